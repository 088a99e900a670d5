"""A peer of the connection under test: says frames, steps the clock, and asserts in the protocol's words."""

import json
from typing import Any

from protocol import limits
from protocol.connection import Action, Close, Connection, Received, SendPing, SendText
from protocol.errors import CloseCode, ErrorKind
from protocol.events import Challenge, ServerIdentity
from protocol.frames import encode_request
from protocol.records import ActorKind, Principal
from protocol.requests import ConnectionLimits, HelloResult

START_S = 1000.0

HELLO: dict[str, Any] = {"minor": 0, "client": {"name": "test"}, "auth": {"token": "tg_secret"}}

CHALLENGE = Challenge(
    nonce="n0nce",
    server_time=1_763_717_400_123,
    server=ServerIdentity(name="threadgate", version="0.1.0"),
    minors=[0],
)

WELCOME = HelloResult(
    connection_id="con_1",
    principal=Principal(id="prn_1", kind=ActorKind.USER, name="Ada"),
    scopes=["thread.read"],
    minor=0,
    capabilities=[],
    epoch="epo_1",
    heartbeat_s=25,
    limits=ConnectionLimits(
        frame_bytes=limits.FRAME_BYTES,
        subscriptions=limits.SUBSCRIPTIONS,
        inflight=limits.INFLIGHT_REQUESTS,
        queue_bytes=limits.QUEUE_BYTES,
    ),
    resumed=[],
)


class WirePeer:
    """The other end, without a socket. `now` is the only clock."""

    def __init__(self, frame_bytes: int = limits.FRAME_BYTES) -> None:
        self.now = START_S
        self.connection = Connection(CHALLENGE, self.now, frame_bytes)
        self._sent: list[Action] = []

    @classmethod
    def live(cls, frame_bytes: int = limits.FRAME_BYTES) -> "WirePeer":
        """A peer whose hello was accepted, with everything up to there read."""
        peer = cls(frame_bytes)
        peer.request(1, "hello", HELLO)
        peer.connection.accept(WELCOME)
        peer.read()
        return peer

    # --- what the peer does ---------------------------------------------------------------

    def say(self, raw: bytes) -> Received | None:
        """Send one text frame."""
        return self.connection.receive(raw, self.now)

    def request(
        self, request_id: str | int, method: str, params: dict[str, Any] | None = None
    ) -> Received | None:
        """Send one request."""
        return self.say(encode_request(request_id, method, params or {}))

    def wait(self, seconds: float) -> None:
        """Let time pass and call the timer as the shell would, whenever it is due."""
        until = self.now + seconds
        while (deadline := self.connection.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.connection.handle_timeout(self.now)
        self.now = until

    def read(self) -> list[Action]:
        """Everything that was written since the last look."""
        self._sent += self.connection.take_actions()
        sent, self._sent = self._sent, []
        return sent

    # --- what the test expects ------------------------------------------------------------

    def assert_sent_nothing(self) -> None:
        """Nothing waits to be read."""
        assert self.read() == []

    def assert_sent_ping(self) -> None:
        """The next thing written is a WebSocket ping."""
        assert isinstance(self._next(), SendPing)

    def assert_sent_result(self, request_id: str | int, result: dict[str, Any]) -> None:
        """The next frame answers the request."""
        assert self._next_frame() == {"jsonrpc": "2.0", "id": request_id, "result": result}

    def assert_sent_notification(self, method: str, params: dict[str, Any]) -> None:
        """The next frame is this notification."""
        assert self._next_frame() == {"jsonrpc": "2.0", "method": method, "params": params}

    def assert_sent_error(self, request_id: str | int | None, kind: ErrorKind | str) -> dict[str, Any]:
        """The next frame refuses the request with this kind; returns its error object."""
        frame = self._next_frame()
        assert frame["id"] == request_id
        error: dict[str, Any] = frame["error"]
        assert error["data"]["kind"] == kind
        return error

    def assert_closed(self, code: CloseCode) -> None:
        """What follows is bye, then the close, then nothing, whatever comes."""
        bye = self._next_frame()
        assert (bye["method"], bye["params"]["code"]) == ("bye", code)
        close = self._next()
        assert isinstance(close, Close)
        assert close.code == code
        assert bye["params"]["reason"].startswith(close.reason)
        self.assert_sent_nothing()
        assert self.connection.next_deadline() is None
        assert self.request("late", "server.info") is None
        self.connection.handle_timeout(self.now + 1e6)
        self.assert_sent_nothing()

    def _next(self) -> Action:
        self._sent += self.connection.take_actions()
        assert self._sent, "nothing was sent"
        return self._sent.pop(0)

    def _next_frame(self) -> dict[str, Any]:
        action = self._next()
        assert isinstance(action, SendText), action
        frame: dict[str, Any] = json.loads(action.payload)
        return frame
