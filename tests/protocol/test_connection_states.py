"""The connection under arbitrary frames, answers and clock steps: what must hold whatever happens."""

import json
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wire_peer import HELLO, WELCOME, WirePeer

from protocol.connection import Action, Close, Phase, RequestReceived, SendText
from protocol.errors import CloseCode, ErrorKind, Fault
from protocol.frames import RequestId

IDS = st.one_of(st.integers(0, 5), st.sampled_from(["a", "b", "1"]))
METHODS = st.sampled_from(["server.info", "thread.list", "hello", "no.such"])
PARAMS = st.sampled_from([{}, HELLO, {**HELLO, "minor": 9}, {"thread_id": "t"}])
RAW = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"{}", b"[]", b'{"jsonrpc":"2.0","id":1,"result":{}}', b'{"jsonrpc":"2.0","id":7}', b"x" * 70_000]
    ),
)
CODES = st.sampled_from(CloseCode)


class ConnectionStates(RuleBasedStateMachine):
    """Drives one connection; what it wrote is kept in order."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = WirePeer(frame_bytes=1 << 16)
        self.connection = self.peer.connection
        self.written: list[Action] = []
        self.accepted = False
        self.requested: Counter[RequestId] = Counter()

    def _collect(self) -> None:
        self.written += self.connection.take_actions()

    @rule(raw=RAW)
    def say_anything(self, raw: bytes) -> None:
        self._take(self.peer.say(raw))

    @rule(request_id=IDS, method=METHODS, params=PARAMS)
    def ask(self, request_id: RequestId, method: str, params: dict[str, Any]) -> None:
        self._take(self.peer.request(request_id, method, params))

    @precondition(lambda self: self.connection.phase is Phase.HELLO)
    @rule()
    def say_hello(self) -> None:
        self._take(self.peer.request("hello", "hello", HELLO))

    @rule()
    def accept(self) -> None:
        self.accepted |= self.connection.phase is Phase.AUTHENTICATING
        self.connection.accept(WELCOME)

    @rule(code=CODES)
    def refuse(self, code: CloseCode) -> None:
        self.connection.refuse(Fault(ErrorKind.UNAUTHORIZED, "no"), code)

    @rule(request_id=IDS)
    def respond(self, request_id: RequestId) -> None:
        self.connection.respond(request_id, {"answer": True})

    @rule(request_id=IDS)
    def fail(self, request_id: RequestId) -> None:
        self.connection.fail(request_id, Fault(ErrorKind.NOT_FOUND, "handled: no"))

    @rule(code=CODES, reason=st.text(max_size=200))
    def close(self, code: CloseCode, reason: str) -> None:
        self.connection.close(code, reason)

    @rule()
    def pong(self) -> None:
        self.connection.receive_pong()

    @rule()
    def refuse_frame(self) -> None:
        self.connection.receive_unreadable("binary")

    @rule(seconds=st.floats(0, 60))
    def step_clock(self, seconds: float) -> None:
        self.peer.now += seconds
        self.connection.handle_timeout(self.peer.now)

    @rule()
    def use_socket(self) -> None:
        self.connection.sent(self.peer.now)

    @rule()
    def meet_deadline(self) -> None:
        deadline = self.connection.next_deadline()
        if deadline is None:
            return
        self.peer.now = max(self.peer.now, deadline)
        self.connection.handle_timeout(self.peer.now)
        following = self.connection.next_deadline()
        assert following is None or following > self.peer.now, "the timer would fire again at once"

    @invariant()
    def one_bye_then_one_close_then_nothing(self) -> None:
        self._collect()
        byes = [place for place, action in enumerate(self.written) if _method(action) == "bye"]
        closes = [place for place, action in enumerate(self.written) if isinstance(action, Close)]
        if self.connection.phase is Phase.CLOSED:
            assert byes == [len(self.written) - 2]
            assert closes == [len(self.written) - 1]
        else:
            assert byes == closes == []

    @invariant()
    def each_request_is_answered_at_most_once(self) -> None:
        self._collect()
        answered = Counter(
            frame["id"] for frame in map(_frame, self.written) if frame and _is_answer_of_handler(frame)
        )
        assert answered <= self.requested

    @invariant()
    def a_deadline_until_the_end(self) -> None:
        assert (self.connection.next_deadline() is None) == (self.connection.phase is Phase.CLOSED)

    def _take(self, received: object) -> None:
        if isinstance(received, RequestReceived):
            assert self.accepted, "a request before hello was accepted"
            self.requested[received.request.id] += 1


def _frame(action: Action) -> dict[str, Any] | None:
    if not isinstance(action, SendText):
        return None
    frame: dict[str, Any] = json.loads(action.payload)
    return frame


def _method(action: Action) -> str | None:
    frame = _frame(action)
    return frame.get("method") if frame else None


def _is_answer_of_handler(frame: dict[str, Any]) -> bool:
    """Answers of the rules above, not of the connection itself (refusals, hello)."""
    return frame.get("result") == {"answer": True} or frame.get("error", {}).get("message") == "handled: no"


ConnectionStates.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestConnectionStates = ConnectionStates.TestCase
