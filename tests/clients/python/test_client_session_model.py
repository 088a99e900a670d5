"""Property: whatever the network and the reader do, every view of the session equals the gateway's log.

A hypothesis machine runs a session against the model gateway over a faulty wire: frames wait, events and
deltas get lost, doubled and delayed, connections break, readers pause, the gateway streams meanwhile. At the
end the wire is healed, and nothing may be missing, doubled or out of order.
"""

import json
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_gateway import ModelGateway, Peer
from threadgate_client.items import Cursor, Live, Reset, TextUpdate
from threadgate_client.outputs import Answered, Broken, Delivered, Output, Refused, Stopped, ViewEnded
from threadgate_client.records import Event
from threadgate_client.session import Session

THREAD = "thr_1"
KINDS = ("message.created", "run.started")
FAULTY = ("event", "delta", "snapshot")


@dataclass
class Reader:
    """What one view's user saw."""

    expected_after: int
    kinds: frozenset[str] | None
    seqs: list[int] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    cursor: Cursor | None = None
    is_live: bool = False
    is_paused: bool = False


class ClientAgainstModel(RuleBasedStateMachine):
    """One thread, several readers with and without a filter, one wire."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.gateway = ModelGateway()
        self.gateway.log(THREAD)
        self.session = Session(name="test")
        self.readers: dict[int, Reader] = {}
        self.peer: Peer | None = None
        self.asked: dict[int, str] = {}
        self.answers: dict[str, str] = {}
        self.message = 0

    @initialize()
    def open_first(self) -> None:
        self._open("start", 0, None)
        self.connect()
        self.exchange()

    # --- the gateway's side

    @rule(kind=st.sampled_from(KINDS), count=st.integers(1, 4))
    def append(self, kind: str, count: int) -> None:
        for _ in range(count):
            self._append(kind)

    def _append(self, kind: str) -> None:
        if kind == "message.created":
            self._write_or_finish(is_final=True)
        else:
            self.gateway.append(THREAD, kind, {"attempt": 1}, "run_1")

    @rule()
    def write(self) -> None:
        self._write_or_finish(is_final=False)

    def _write_or_finish(self, is_final: bool) -> None:
        message_id = f"msg_w{self.message}"
        if is_final:
            writing = self.gateway.log(THREAD).writing.get(message_id)
            self.gateway.say(THREAD, writing.text if writing else "", run_id="run_1", message_id=message_id)
            self.message += 1
        else:
            self.gateway.write(THREAD, f"{self.message} ", run_id="run_1", message_id=message_id)

    # --- the user's side

    @precondition(lambda self: len(self.readers) < 4)
    @rule(filtered=st.booleans(), back=st.integers(0, 5))
    def open_at_cursor(self, filtered: bool, back: int) -> None:
        after = max(self.gateway.log(THREAD).head_seq - back, 0)
        self._open(Cursor("epo_1", after), after, frozenset({"message.created"}) if filtered else None)

    def _open(self, position: Cursor | str, after: int, kinds: frozenset[str] | None) -> None:
        view_id = self.session.open_view(THREAD, position, self.now, kinds=kinds)  # type: ignore[arg-type]
        self.readers[view_id] = Reader(after, kinds)

    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        view_id = data.draw(st.sampled_from(sorted(self.readers)))
        reader = self.readers[view_id]
        reader.is_paused = not reader.is_paused
        (self.session.pause_view if reader.is_paused else self.session.resume_view)(view_id, self.now)

    @rule()
    def ask(self) -> None:
        key = f"key-{len(self.asked)}"
        params = {"thread_id": THREAD, "content": [{"type": "text", "text": key}]}
        self.asked[self.session.request("message.send", params, key)] = key

    # --- the wire

    @precondition(lambda self: self.peer is None)
    @rule()
    def connect(self) -> None:
        self.peer = Peer(self.gateway)
        self.session.connection_opened(self.now, "secret")

    @precondition(lambda self: self.peer is not None)
    @rule(code=st.sampled_from([None, None, 1006, 1000, 4101, 4200, 4999]))
    def disconnect(self, code: int | None) -> None:
        assert self.peer
        if code is not None:
            self.peer.leave()
            self.peer = None
            assert self.session.connection_lost(self.now, code, "", 0.5) == []

    @precondition(lambda self: self.peer is not None)
    @rule()
    def up(self) -> None:
        assert self.peer
        for frame in self.session.frames_to_send(self.now):
            self.peer.receive(frame)

    @precondition(lambda self: self.peer is not None)
    @rule()
    def exchange(self) -> None:
        """A healthy moment: everything travels, answers included."""
        for _ in range(4):
            if self.peer:
                self.up()
            while self.peer and self.peer.outgoing:
                self._take(self.session.receive(self.peer.outgoing.popleft(), self.now))

    @precondition(lambda self: self.peer is not None)
    @rule(count=st.integers(1, 10), fault=st.sampled_from(["none", "drop", "double", "delay"]))
    def down(self, count: int, fault: str) -> None:
        assert self.peer
        self.up()
        if not self.peer.outgoing:
            return
        frames = [self.peer.outgoing.popleft() for _ in range(min(count, len(self.peer.outgoing)))]
        # A filtered subscription cannot tell a lost frame from a skipped event; TCP loses none either.
        may_fault = all(reader.kinds is None for reader in self.readers.values())
        first = json.loads(frames[0])
        if may_fault and first.get("method") in FAULTY:
            if fault == "drop":
                frames = frames[1:]
            elif fault == "double":
                frames = [frames[0], *frames]
            elif fault == "delay":
                frames = [*frames[1:], frames[0]]
        for frame in frames:
            self._take(self.session.receive(frame, self.now))

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.3, 9.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self._take(self.session.handle_timeout(self.now))

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Delivered(view_id, item, cursor):
                    self._deliver(self.readers[view_id], item, cursor)
                case Answered(request_id, result):
                    self.answers[self.asked.pop(request_id)] = result["message_id"]
                case Broken():
                    if self.peer:
                        self.peer.leave()
                    self.peer = None
                    self.session.connection_lost(self.now, 1006, "", 0.5)
                case Refused() | Stopped() | ViewEnded():
                    raise AssertionError(output)
                case _:
                    pass

    def _deliver(self, reader: Reader, item: object, cursor: Cursor | None) -> None:
        assert not reader.is_paused
        assert not isinstance(item, Reset)
        if isinstance(item, Event):
            reader.seqs.append(item.seq)
        elif isinstance(item, TextUpdate):
            before = "" if item.is_replaced else reader.texts.get(item.message_id, "")
            assert item.text_so_far == before + item.text_appended
            reader.texts[item.message_id] = item.text_so_far
        elif isinstance(item, Live):
            reader.is_live = True
        reader.cursor = cursor

    # --- what must hold

    def _expected(self, reader: Reader) -> list[int]:
        return [
            event["seq"]
            for event in self.gateway.log(THREAD).after(reader.expected_after)
            if reader.kinds is None or event["kind"] in reader.kinds
        ]

    @invariant()
    def every_view_is_a_prefix_of_the_log(self) -> None:
        for reader in self.readers.values():
            expected = self._expected(reader)
            assert reader.seqs == expected[: len(reader.seqs)]
            for message_id, text in reader.texts.items():
                if writing := self.gateway.log(THREAD).writing.get(message_id):
                    assert writing.text.startswith(text)

    def teardown(self) -> None:
        """Heal the wire: now everything must arrive."""
        for view_id, reader in self.readers.items():
            if reader.is_paused:
                reader.is_paused = False
                self.session.resume_view(view_id, self.now)
            reader.is_live = False
        if self.peer is not None:
            self.disconnect(1006)
        self.connect()
        for _ in range(20):
            self.now += 0.3
            self._take(self.session.handle_timeout(self.now))
            self.exchange()
            if not self.peer or not (self.session.has_frames_to_send() or self.peer.outgoing):
                break
        head = self.gateway.log(THREAD).head_seq
        for reader in self.readers.values():
            assert reader.seqs == self._expected(reader)
            assert reader.cursor == Cursor("epo_1", head)
            assert reader.is_live
            for message_id, writing in self.gateway.log(THREAD).writing.items():
                assert reader.texts.get(message_id) == writing.text
        assert not self.asked
        sent = [
            event["data"]["message"]["content"][0]["text"]
            for event in self.gateway.log(THREAD).events
            if event["kind"] == "message.created" and event["data"]["message"]["role"] == "user"
        ]
        assert sorted(sent) == sorted(self.answers), "each request took effect exactly once"


ClientAgainstModel.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True
)
TestClientAgainstModel = ClientAgainstModel.TestCase
