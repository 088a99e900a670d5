"""A gateway in one page, for the client's tests: keeps thread logs in memory and speaks the protocol exactly.

Pure: frames in by `Peer.receive`, frames out in `Peer.outgoing`. `scripted_server.py` puts it on a socket.
It is a model of the contract, written from the contract, and shares no code with the client or the gateway.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

AT = "2026-11-21T09:30:00.000Z"
ACTOR = {"id": "prn_1", "kind": "user", "name": "Ada"}
ORIGIN = {"kind": "client", "channel": None, "account": None, "room": None}
LIMITS = {"frame_bytes": 1 << 20, "subscriptions": 128, "inflight": 64, "queue_bytes": 1 << 20}
Handler = Callable[[dict[str, Any]], dict[str, Any]]


class WireFault(Exception):
    """Becomes an error response."""

    def __init__(self, kind: str, message: str = "no", code: int = -32000, **data: Any) -> None:
        super().__init__(message)
        self.error = {
            "code": code,
            "message": message,
            "data": {"kind": kind, "retryable": kind in {"rate_limited", "busy", "unavailable", "internal"}}
            | data,
        }


@dataclass
class Writing:
    """A message being written."""

    run_id: str
    text: str = ""
    next_index: int = 0


@dataclass
class Log:
    """One thread."""

    id: str
    events: list[dict[str, Any]] = field(default_factory=list)
    first_seq: int = 1
    writing: dict[str, Writing] = field(default_factory=dict)

    @property
    def head_seq(self) -> int:
        return self.events[-1]["seq"] if self.events else 0

    def after(self, seq: int) -> list[dict[str, Any]]:
        return [event for event in self.events if event["seq"] > seq]


@dataclass
class ModelGateway:
    """The store, and what it knows of its connections."""

    epoch: str = "epo_1"
    token: str = "secret"
    heartbeat_s: int = 25
    minors: tuple[int, ...] = (0,)
    logs: dict[str, Log] = field(default_factory=dict)
    peers: list["Peer"] = field(default_factory=list)
    stored: dict[tuple[str, str], tuple[str, dict[str, Any]]] = field(default_factory=dict)
    handlers: dict[str, Handler] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=lambda: dict(LIMITS))
    on_send: Callable[[Log, str], None] | None = None
    counter: int = 0

    def __post_init__(self) -> None:
        self.handlers |= {
            "server.info": self._server_info,
            "message.send": self._send,
            "thread.create": lambda params: {"thread": self.thread_json(self.log(self._id("thr")))},
            "thread.get": lambda params: {"thread": self.thread_json(self._known(params))},
        }

    # --- the store

    def log(self, thread_id: str) -> Log:
        if thread_id not in self.logs:
            self.logs[thread_id] = Log(thread_id)
            self.append(thread_id, "thread.created", {"title": None, "agent_id": "demo", "origin": ORIGIN})
        return self.logs[thread_id]

    def append(
        self, thread_id: str, kind: str, data: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> dict[str, Any]:
        log = self.logs.setdefault(thread_id, Log(thread_id))
        event = {
            "thread_id": thread_id,
            "seq": max(log.head_seq, log.first_seq - 1) + 1,
            "kind": kind,
            "at": AT,
            "actor": ACTOR,
            "run_id": run_id,
            "data": dict(data or {}),
        }
        log.events.append(event)
        head = {"thread_id": thread_id, "seq": event["seq"], "kind": kind, "at": AT, "preview": "…"}
        self.heads.append(head | {"offset": len(self.heads) + 1})
        for peer in self.peers:
            peer.tell_event(event)
            peer.tell_head(self.heads[-1])
        return event

    def say(
        self, thread_id: str, text: str, *, run_id: str, message_id: str, role: str = "assistant"
    ) -> None:
        self.log(thread_id).writing.pop(message_id, None)
        message = {
            "id": message_id,
            "role": role,
            "content": [{"type": "text", "text": text}],
            "author": ACTOR,
            "run_id": run_id,
        }
        self.append(thread_id, "message.created", {"message": message}, run_id)

    def write(self, thread_id: str, text: str, *, run_id: str, message_id: str) -> None:
        writing = self.log(thread_id).writing.setdefault(message_id, Writing(run_id))
        piece = {"thread_id": thread_id, "run_id": run_id, "message_id": message_id}
        delta = piece | {"index": writing.next_index, "text": text}
        writing.text += text
        writing.next_index += 1
        for peer in self.peers:
            peer.tell_delta(delta)

    def trim(self, thread_id: str, first_seq: int) -> None:
        log = self.log(thread_id)
        log.first_seq = first_seq
        log.events = [event for event in log.events if event["seq"] >= first_seq]

    def thread_json(self, log: Log) -> dict[str, Any]:
        return {
            "id": log.id,
            "title": None,
            "status": "active",
            "agent_id": "demo",
            "head_seq": log.head_seq,
            "created_at": AT,
            "updated_at": AT,
            "origin": ORIGIN,
        }

    # --- methods

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do it once per idempotency key."""
        method, params = request["method"], request["params"]
        self.seen.append(request)
        key = (method, params.get("idempotency_key") or "")
        if key[1] and key in self.stored:
            stored_params, result = self.stored[key]
            if stored_params != json.dumps(params):
                raise WireFault("idempotency_conflict")
            return result
        if method not in self.handlers:
            raise WireFault("method_not_found", code=-32601)
        result = self.handlers[method](params)
        if key[1]:
            self.stored[key] = (json.dumps(params), result)
        return result

    def _id(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}_{self.counter}"

    def _known(self, params: Mapping[str, Any]) -> Log:
        if params["thread_id"] not in self.logs:
            raise WireFault("not_found")
        return self.logs[params["thread_id"]]

    def _server_info(self, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "server": {"name": "model", "version": "0"},
            "epoch": self.epoch,
            "minors": list(self.minors),
            "limits": self.limits,
            "default_agent_id": "demo",
            "started_at": AT,
        }

    def _send(self, params: dict[str, Any]) -> dict[str, Any]:
        log = self.log(params.get("thread_id") or self._id("thr"))
        run_id, message_id = self._id("run"), self._id("msg")
        self.say(log.id, params["content"][0]["text"], run_id=run_id, message_id=message_id, role="user")
        seq = log.head_seq
        self.append(log.id, "run.queued", {"agent_id": "demo", "message_id": message_id}, run_id)
        if self.on_send:
            self.on_send(log, run_id)
        return {
            "thread_id": log.id,
            "message_id": message_id,
            "seq": seq,
            "run_id": run_id,
            "run_state": "queued",
            "queue_position": 0,
        }


@dataclass(eq=False)
class Peer:
    """One connection. Each subscription is the set of its deltas wish and kinds; replay is immediate."""

    gateway: ModelGateway
    outgoing: deque[str] = field(default_factory=deque)
    subscriptions: dict[str, tuple[bool, frozenset[str] | None]] = field(default_factory=dict)
    has_inbox: bool = False
    is_ready: bool = False
    hello: dict[str, Any] | None = None
    close_code: int | None = None

    def __post_init__(self) -> None:
        self.gateway.peers.append(self)
        server = {"name": "model", "version": "0"}
        challenge = {"nonce": "n", "server_time": 0, "server": server, "minors": list(self.gateway.minors)}
        self.notify("challenge", challenge)

    def leave(self) -> None:
        self.gateway.peers.remove(self)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.outgoing.append(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def receive(self, text: str | bytes) -> None:
        request = json.loads(text)
        if "method" not in request:
            return
        try:
            if request["method"] == "hello":
                self._greet(request)
                return
            if not self.is_ready:
                raise WireFault("invalid_request", code=-32600)
            match request["method"]:
                case "thread.subscribe":
                    self._subscribe(request)
                case "thread.unsubscribe":
                    self.subscriptions.pop(request["params"]["thread_id"], None)
                    self._answer(request, {})
                case "inbox.subscribe":
                    self._subscribe_inbox(request)
                case "inbox.unsubscribe":
                    self.has_inbox = False
                    self._answer(request, {})
                case _:
                    self._answer(request, self.gateway.answer(request))
        except WireFault as fault:
            self.outgoing.append(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": fault.error}))

    def tell_event(self, event: dict[str, Any]) -> None:
        wish = self.subscriptions.get(event["thread_id"])
        if wish is None:
            return
        if wish[1] is None or event["kind"] in wish[1]:
            self.notify("event", event)
        else:
            self._tell_state(event["thread_id"], "at", seq=event["seq"])

    def tell_delta(self, delta: dict[str, Any]) -> None:
        if self.subscriptions.get(delta["thread_id"], (False, None))[0]:
            self.notify("delta", delta)

    def tell_head(self, head: dict[str, Any]) -> None:
        if self.has_inbox:
            self.notify("head", head)

    def _answer(self, request: dict[str, Any], result: dict[str, Any]) -> None:
        self.outgoing.append(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))

    def _tell_state(self, thread_id: str, state: str, **fields: Any) -> None:
        self.notify("subscription", {"thread_id": thread_id, "state": state, **fields})

    def _greet(self, request: dict[str, Any]) -> None:
        params = request["params"]
        if params["auth"].get("token") != self.gateway.token:
            self.close_code = 4001
            raise WireFault("unauthorized", "Unknown token")
        self.is_ready, self.hello = True, params
        reasons = [(point, self._objection(point["thread_id"], point)) for point in params["resume"]]
        resumed = [
            {"thread_id": point["thread_id"], "state": "reset" if reason else "replaying", "reason": reason}
            for point, reason in reasons
        ]
        result = {
            "connection_id": "con_1",
            "principal": ACTOR,
            "scopes": ["thread.read"],
            "minor": 0,
            "capabilities": [],
            "epoch": self.gateway.epoch,
            "heartbeat_s": self.gateway.heartbeat_s,
            "limits": self.gateway.limits,
            "resumed": resumed,
        }
        self._answer(request, result)
        for point, reason in reasons:
            if reason:
                self._tell_reset(point["thread_id"], reason)
            else:
                self._replay(point["thread_id"], point["after_seq"], point["deltas"], point.get("kinds"))

    def _objection(self, thread_id: str, cursor: Mapping[str, Any]) -> str | None:
        log = self.gateway.logs.get(thread_id)
        if log is None:
            return "gone"
        if cursor["epoch"] != self.gateway.epoch:
            return "epoch_changed"
        if cursor["after_seq"] > log.head_seq:
            return "ahead"
        return "trimmed" if cursor["after_seq"] < log.first_seq - 1 else None

    def _tell_reset(self, thread_id: str, reason: str) -> None:
        log = self.gateway.logs.get(thread_id) or Log(thread_id)
        place = {"epoch": self.gateway.epoch, "first_seq": log.first_seq, "head_seq": log.head_seq}
        self._tell_state(thread_id, "reset", reason=reason, **place)

    def _subscribe(self, request: dict[str, Any]) -> None:
        params = request["params"]
        thread_id, place = params["thread_id"], params["from"]
        log = self.gateway._known(params)
        self.subscriptions.pop(thread_id, None)
        answer = {"epoch": self.gateway.epoch, "first_seq": log.first_seq, "head_seq": log.head_seq}
        self._answer(request, answer)
        if isinstance(place, dict) and (reason := self._objection(thread_id, place)):
            self._tell_reset(thread_id, reason)
            return
        starts = {"tail": log.head_seq, "start": log.first_seq - 1}
        after = place["after_seq"] if isinstance(place, dict) else starts[place]
        self._replay(thread_id, after, params["deltas"], params.get("kinds"))

    def _replay(self, thread_id: str, after_seq: int, deltas: bool, kinds: list[str] | None) -> None:
        log = self.gateway.logs[thread_id]
        self.subscriptions[thread_id] = (deltas, None if kinds is None else frozenset(kinds))
        for event in log.after(after_seq):
            self.tell_event(event)
        for message_id, writing in log.writing.items() if deltas else ():
            piece = {"thread_id": thread_id, "run_id": writing.run_id, "message_id": message_id}
            self.notify("snapshot", piece | {"next_index": writing.next_index, "text": writing.text})
        self._tell_state(thread_id, "live", seq=log.head_seq)

    def _subscribe_inbox(self, request: dict[str, Any]) -> None:
        after = request["params"].get("after_offset")
        self._answer(request, {"epoch": self.gateway.epoch, "offset": len(self.gateway.heads)})
        self.has_inbox = True
        newest = {head["thread_id"]: head for head in self.gateway.heads[after:]} if after is not None else {}
        for head in sorted(newest.values(), key=lambda head: head["offset"]):
            self.tell_head(head)
