"""A session without a socket, and what a test says to it as its gateway. Shared by the session's tests."""

import json
from typing import Any

from model_gateway import ACTOR, AT, LIMITS
from threadgate_client import (
    Event,
)
from threadgate_client.outputs import (
    Delivered,
    Output,
    Ready,
)
from threadgate_client.session import Session
from threadgate_client.views import Position

THREAD = "thr_1"
LOG = {"epoch": "epo_1", "first_seq": 1, "head_seq": 5}


class Wire:
    """A session and what the test, as its gateway, says to it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.session = Session(name="test", version="1", platform="here")

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.session.frames_to_send(self.now)]

    def tell(self, method: str, **params: Any) -> list[Output]:
        frame = {"jsonrpc": "2.0", "method": method, "params": params}
        return self.session.receive(json.dumps(frame), self.now)

    def answer(self, request_id: int, result: dict[str, Any]) -> list[Output]:
        return self.session.receive(
            json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}), self.now
        )

    def refuse(self, request_id: int | None, kind: str, code: int = -32000, **data: Any) -> list[Output]:
        error = {"code": code, "message": "no", "data": {"kind": kind, **data}}
        return self.session.receive(
            json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}), self.now
        )

    def challenge(self, minors: tuple[int, ...] = (0,)) -> list[Output]:
        self.session.connection_opened(self.now, "secret")
        server = {"name": "g", "version": "1"}
        return self.tell("challenge", nonce="n", server_time=0, server=server, minors=list(minors))

    def connect(self, epoch: str = "epo_1", resumed: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Shake hands; returns the params of the session's hello."""
        assert self.challenge() == []
        (hello,) = self.sent()
        assert hello["method"] == "hello"
        result = {
            "connection_id": "con_1",
            "principal": ACTOR,
            "scopes": [],
            "minor": 0,
            "capabilities": [],
            "epoch": epoch,
            "heartbeat_s": 25,
            "limits": LIMITS,
            "resumed": resumed or [],
        }
        self.welcome = self.answer(hello["id"], result)
        assert isinstance(self.welcome[0], Ready)
        return dict(hello["params"])

    def lose(self, code: int = 1006, jitter: float = 0.0) -> list[Output]:
        return self.session.connection_lost(self.now, code, "", jitter)

    def event(self, seq: int, kind: str = "run.started", **fields: Any) -> list[Output]:
        event = {"thread_id": THREAD, "seq": seq, "kind": kind, "at": AT, "actor": ACTOR, "data": {}}
        return self.tell("event", **{**event, **fields})

    def delta(self, index: int, text: str, message_id: str = "msg_1") -> list[Output]:
        return self.tell(
            "delta", thread_id=THREAD, run_id="run_1", message_id=message_id, index=index, text=text
        )

    def snapshot(self, next_index: int, text: str) -> list[Output]:
        piece = {"thread_id": THREAD, "run_id": "run_1", "message_id": "msg_1", "text": text}
        return self.tell("snapshot", next_index=next_index, **piece)

    def state(self, state: str, **fields: Any) -> list[Output]:
        return self.tell("subscription", thread_id=THREAD, state=state, **fields)

    def open(self, position: Position = "start", log: dict[str, Any] | None = None, **wishes: Any) -> int:
        """Open a view and let the gateway accept it."""
        view_id = self.session.open_view(THREAD, position, self.now, **wishes)
        (asked,) = self.sent()
        self.answer(asked["id"], log or LOG)
        return view_id


def items(outputs: list[Output]) -> list[Any]:
    return [output.item for output in outputs if isinstance(output, Delivered) and output.item is not None]


def seqs(outputs: list[Output]) -> list[int]:
    return [item.seq for item in items(outputs) if isinstance(item, Event)]


def readers(outputs: list[Output]) -> list[int]:
    return [output.view_id for output in outputs if isinstance(output, Delivered)]


def methods(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["method"] for frame in frames]
