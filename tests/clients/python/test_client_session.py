"""The session frame by frame: no loop, no socket, no clock. Each test reads like a rule of the protocol."""

import json
from typing import Any

import pytest
from model_gateway import ACTOR, AT, LIMITS
from threadgate_client import (
    ConnectionClosed,
    Cursor,
    Event,
    Forbidden,
    Lagging,
    Live,
    ProtocolViolation,
    Reset,
    SubscriptionReset,
    TextUpdate,
    TooLarge,
    Unauthorized,
)
from threadgate_client.outputs import (
    Answered,
    Broken,
    Delivered,
    HeadDelivered,
    Output,
    Ready,
    Refused,
    Stopped,
    ViewEnded,
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


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def live(wire: Wire) -> Wire:
    wire.connect()
    return wire


def items(outputs: list[Output]) -> list[Any]:
    return [output.item for output in outputs if isinstance(output, Delivered) and output.item is not None]


def seqs(outputs: list[Output]) -> list[int]:
    return [item.seq for item in items(outputs) if isinstance(item, Event)]


def methods(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["method"] for frame in frames]


class TestHandshake:
    def test_nothing_is_said_before_the_challenge(self, wire: Wire) -> None:
        wire.session.request("server.info", {}, "key")
        wire.session.connection_opened(wire.now, "secret")
        assert wire.sent() == []
        assert not wire.session.has_frames_to_send()

    def test_hello_is_first_and_requests_follow_its_answer(self, wire: Wire) -> None:
        wire.session.request("server.info", {}, "key")
        hello = wire.connect()
        assert hello["auth"] == {"token": "secret"}
        assert hello["role"] == "client"
        assert hello["client"] == {"name": "test", "version": "1", "platform": "here"}
        assert "last_close_code" not in hello
        assert methods(wire.sent()) == ["server.info"]

    def test_a_refused_hello_stops_with_its_own_error(self, wire: Wire) -> None:
        wire.challenge()
        (hello,) = wire.sent()
        assert wire.refuse(hello["id"], "unauthorized") == []
        (stopped,) = wire.lose(4001)
        assert isinstance(stopped, Stopped)
        assert isinstance(stopped.error, Unauthorized)
        assert wire.session.retry_at is None

    @pytest.mark.parametrize(("retryable", "stops"), [(False, True), (True, False)])
    def test_a_refused_hello_without_a_close_is_ended_here(
        self, wire: Wire, retryable: bool, stops: bool
    ) -> None:
        wire.challenge()
        (hello,) = wire.sent()
        wire.refuse(hello["id"], "unavailable", retryable=retryable)
        wire.now += 2
        assert wire.session.handle_timeout(wire.now) == [Broken("hello was refused")]
        assert bool(wire.lose()) is stops

    def test_another_minor_stops(self, wire: Wire) -> None:
        (broken,) = wire.challenge(minors=(7,))
        assert isinstance(broken, Broken)
        (stopped,) = wire.lose()
        assert isinstance(stopped, Stopped)
        assert isinstance(stopped.error, ConnectionClosed)
        assert stopped.error.code == 4002

    def test_a_second_challenge_changes_nothing(self, live: Wire) -> None:
        assert live.tell("challenge", nonce="m", minors=[0]) == []
        assert live.sent() == []


class TestRequests:
    def test_reads_have_no_key_and_all_else_has(self, live: Wire) -> None:
        live.session.request("thread.get", {"thread_id": THREAD}, "key-1")
        live.session.request("thread.archive", {"thread_id": THREAD}, "key-2")
        live.session.request("future.method", {}, "key-3")
        live.session.request("message.send", {"idempotency_key": "mine"}, "key-4")
        keys = [frame["params"].get("idempotency_key") for frame in live.sent()]
        assert keys == [None, "key-2", "key-3", "mine"]

    def test_answers_come_in_any_order(self, live: Wire) -> None:
        first = live.session.request("server.info", {}, "")
        second = live.session.request("agent.list", {}, "")
        live.sent()
        assert live.answer(second, {"agents": []}) == [Answered(second, {"agents": []})]
        (refused,) = live.refuse(first, "forbidden")
        assert isinstance(refused, Refused)
        assert isinstance(refused.error, Forbidden)
        assert live.answer(first, {}) == [], "answered twice"

    def test_unanswered_requests_leave_again_in_order(self, live: Wire) -> None:
        for name in ("a", "b", "c"):
            live.session.request("message.send", {"content": name}, f"key-{name}")
        before = live.sent()
        live.answer(before[1]["id"], {})
        live.lose()
        live.connect()
        assert live.sent() == [before[0], before[2]]

    def test_forgotten_requests_do_not(self, live: Wire) -> None:
        sent = live.session.request("server.info", {}, "")
        live.sent()
        unsent = live.session.request("server.info", {}, "")
        live.session.forget(sent)
        live.session.forget(unsent)
        assert live.sent() == []
        live.lose()
        live.connect()
        assert live.sent() == []

    def test_a_late_answer_to_a_forgotten_request_is_dropped(self, live: Wire) -> None:
        request_id = live.session.request("server.info", {}, "")
        live.sent()
        live.session.forget(request_id)
        assert live.answer(request_id, {}) == []

    def test_no_more_in_flight_than_allowed(self, live: Wire) -> None:
        ids = [live.session.request("server.info", {}, "") for _ in range(70)]
        assert len(live.sent()) == 64
        assert not live.session.has_frames_to_send()
        live.answer(ids[0], {})
        assert len(live.sent()) == 1

    def test_a_frame_that_would_close_the_connection_never_leaves(self, live: Wire) -> None:
        with pytest.raises(TooLarge):
            live.session.request("message.send", {"content": "x" * (1 << 20)}, "key")
        with pytest.raises(ValueError, match="JSON compliant"):
            live.session.request("message.send", {"content": float("nan")}, "key")
        assert live.sent() == []

    def test_a_request_of_the_gateway_is_declined(self, live: Wire) -> None:
        frame = {"jsonrpc": "2.0", "id": "g1", "method": "command.invoke", "params": {}}
        assert live.session.receive(json.dumps(frame), live.now) == []
        (declined,) = live.sent()
        assert declined["id"] == "g1"
        assert declined["error"]["code"] == -32601

    def test_an_error_without_an_id_is_nobodys(self, live: Wire) -> None:
        assert live.refuse(None, "invalid_request", code=-32600) == []
        assert live.session.is_ready


class TestEvents:
    def test_the_start_is_the_first_event_there_is(self, live: Wire) -> None:
        live.open("start", {"epoch": "epo_1", "first_seq": 3, "head_seq": 5})
        assert seqs(live.event(3)) == [3]

    def test_the_tail_is_after_the_head(self, live: Wire) -> None:
        live.open("tail")
        assert live.event(5) == []
        assert seqs(live.event(6)) == [6]

    def test_duplicates_are_ignored(self, live: Wire) -> None:
        live.open()
        assert [seqs(live.event(seq)) for seq in (1, 1, 2, 1, 3)] == [[1], [], [2], [], [3]]

    def test_a_gap_subscribes_again_from_the_cursor(self, live: Wire) -> None:
        live.open()
        live.event(1)
        assert live.event(3) == []
        live.now += 1
        live.session.handle_timeout(live.now)
        (asked,) = live.sent()
        assert asked["params"]["from"] == {"epoch": "epo_1", "after_seq": 1}
        assert live.event(2) == [], "what comes before the answer belongs to the old subscription"
        live.answer(asked["id"], LOG)
        assert [seqs(live.event(seq)) for seq in (2, 3)] == [[2], [3]]

    def test_gaps_do_not_hammer_the_gateway(self, live: Wire) -> None:
        live.open()
        for seq in range(3, 50):
            live.event(seq)
        assert live.sent() == []
        assert live.session.next_deadline() == live.now + 0.25

    def test_live_beyond_the_cursor_is_a_gap_too(self, live: Wire) -> None:
        live.open()
        live.now += 1
        assert live.state("live", seq=5) == []
        assert methods(live.sent()) == ["thread.subscribe"]

    def test_live_is_told_once_per_catch_up(self, live: Wire) -> None:
        live.open("tail")
        assert items(live.state("live", seq=5)) == [Live(THREAD, 5)]
        assert items(live.state("live", seq=5)) == []
        assert items(live.state("lagging", seq=5)) == [Lagging(THREAD, 5)]
        assert items(live.state("live", seq=5)) == [Live(THREAD, 5)]

    def test_kinds_move_the_cursor_over_what_is_left_out(self, live: Wire) -> None:
        view_id = live.open("tail", kinds=frozenset({"run.started"}))
        assert seqs(live.event(8)) == [8]
        assert live.state("at", seq=11) == [Delivered(view_id, None, Cursor("epo_1", 11))]
        assert live.state("at", seq=10) == []
        live.lose()
        (point,) = live.connect()["resume"]
        assert point["after_seq"] == 11
        assert point["kinds"] == ["run.started"]

    def test_unknown_kinds_and_notifications_are_tolerated(self, live: Wire) -> None:
        live.open("tail")
        assert seqs(live.event(6, "moon.landed", data={"new": True}, extra=1)) == [6]
        assert live.tell("brand.new", thread_id=THREAD) == []
        assert live.state("hibernating") == []
        assert live.tell("heartbeat") == []

    def test_a_malformed_event_ends_its_readers_only(self, live: Wire) -> None:
        view_id = live.open("tail")
        (ended,) = live.event(6, actor=None)
        assert isinstance(ended, ViewEnded)
        assert ended.view_id == view_id
        assert isinstance(ended.error, ProtocolViolation)
        assert methods(live.sent()) == ["thread.unsubscribe"]

    def test_an_odd_message_does_not_cost_the_event(self, live: Wire) -> None:
        live.open("tail")
        assert seqs(live.event(6, "message.created", data={"message": "?"})) == [6]


class TestTexts:
    def test_deltas_in_order_make_the_text(self, live: Wire) -> None:
        live.open("tail")
        assert items(live.delta(0, "a")) == [TextUpdate(THREAD, "run_1", "msg_1", "a", "a")]
        assert items(live.delta(0, "a")) == []
        assert items(live.delta(1, "b")) == [TextUpdate(THREAD, "run_1", "msg_1", "b", "ab")]

    def test_a_missing_delta_asks_for_a_snapshot(self, live: Wire) -> None:
        live.open("tail")
        live.delta(0, "a")
        live.now += 1
        assert live.delta(2, "c") == []
        (asked,) = live.sent()
        assert asked["method"] == "thread.subscribe"
        live.answer(asked["id"], LOG)
        assert items(live.snapshot(3, "abc")) == [TextUpdate(THREAD, "run_1", "msg_1", "bc", "abc")]
        assert items(live.delta(3, "d"))[0].text_so_far == "abcd"

    def test_a_snapshot_that_says_nothing_new_is_silent(self, live: Wire) -> None:
        live.open("tail")
        live.delta(0, "a")
        assert items(live.snapshot(1, "a")) == []

    def test_a_snapshot_that_differs_replaces(self, live: Wire) -> None:
        live.open("tail")
        live.delta(0, "abc")
        (update,) = items(live.snapshot(1, "ab"))
        assert update == TextUpdate(THREAD, "run_1", "msg_1", "ab", "ab", is_replaced=True)

    def test_the_durable_message_ends_its_stream(self, live: Wire) -> None:
        live.open("tail")
        live.delta(0, "a")
        live.event(6, "message.created", data={"message": {"id": "msg_1"}})
        assert items(live.delta(7, "late")) == []
        assert items(live.snapshot(9, "late")) == []
        assert live.sent() == []

    def test_another_attempt_may_write_anew(self, live: Wire) -> None:
        live.open("tail")
        live.delta(0, "lost")
        live.event(6, "run.interrupted", run_id="run_1", data={"will_retry": True})
        assert items(live.delta(0, "new"))[0].text_so_far == "new"

    def test_who_wants_no_deltas_gets_none(self, live: Wire) -> None:
        live.open("tail", deltas=False)
        assert live.delta(0, "a") == []
        assert live.snapshot(1, "a") == []


class TestSeveralViews:
    def test_they_share_one_subscription_from_the_lowest_cursor(self, live: Wire) -> None:
        first = live.open(Cursor("epo_1", 4), kinds=frozenset({"run.started"}), deltas=False)
        second = live.session.open_view(THREAD, Cursor("epo_1", 2), live.now, deltas=True)
        (asked,) = live.sent()
        assert asked["params"] == {
            "thread_id": THREAD,
            "from": {"epoch": "epo_1", "after_seq": 2},
            "deltas": True,
        }
        live.answer(asked["id"], LOG)
        assert [output.view_id for output in live.event(3) if isinstance(output, Delivered)] == [second]
        live.event(4)
        assert {output.view_id for output in live.event(5) if isinstance(output, Delivered)} == {
            first,
            second,
        }

    def test_the_last_one_unsubscribes(self, live: Wire) -> None:
        first, second = live.open("tail"), live.open("tail")
        live.session.close_view(first, live.now)
        assert live.sent() == []
        live.session.close_view(second, live.now)
        assert methods(live.sent()) == ["thread.unsubscribe"]
        assert live.event(6) == []

    def test_only_those_that_cannot_be_honoured_are_reset(self, live: Wire) -> None:
        good, bad = (
            live.open(Cursor("epo_1", 4)),
            live.session.open_view(THREAD, Cursor("epo_0", 9), live.now),
        )
        (asked,) = live.sent()
        outputs = live.answer(asked["id"], LOG)
        assert items(outputs) == [Reset(THREAD, "epoch_changed", "epo_1", 1, 5, Cursor("epo_0", 9))]
        assert ViewEnded(bad, None) in outputs
        assert [output.view_id for output in live.event(5) if isinstance(output, Delivered)] == [good]

    def test_a_paused_view_gets_nothing_and_continues_from_its_cursor(self, live: Wire) -> None:
        view_id = live.open()
        live.event(1)
        live.session.pause_view(view_id, live.now)
        assert methods(live.sent()) == ["thread.unsubscribe"]
        assert live.event(2) == []
        live.session.resume_view(view_id, live.now)
        (asked,) = live.sent()
        assert asked["params"]["from"] == {"epoch": "epo_1", "after_seq": 1}


class TestResume:
    def test_hello_restores_the_subscription(self, live: Wire) -> None:
        live.open()
        live.event(1)
        live.lose(4200)
        hello = live.connect(resumed=[{"thread_id": THREAD, "state": "replaying"}])
        assert hello["last_close_code"] == 4200
        assert hello["resume"] == [
            {"thread_id": THREAD, "epoch": "epo_1", "after_seq": 1, "deltas": True},
        ]
        assert live.sent() == []
        assert seqs(live.event(2)) == [2]

    def test_what_hello_did_not_restore_is_asked_for(self, live: Wire) -> None:
        live.open()
        live.lose()
        live.connect()
        assert methods(live.sent()) == ["thread.subscribe"]

    def test_a_subscription_without_a_place_is_asked_for_before_the_requests(self, wire: Wire) -> None:
        wire.session.request("message.send", {}, "key")
        wire.session.open_view(THREAD, "tail", wire.now)
        assert wire.connect()["resume"] == []
        assert methods(wire.sent()) == ["thread.subscribe", "message.send"]

    def test_no_more_than_hello_may_name_or_carry(self, wire: Wire) -> None:
        for number in range(200):
            wire.session.open_view(f"thr_{number}", Cursor("epo_1", 1), wire.now)
        assert len(wire.connect()["resume"]) == 128
        assert len(wire.sent()) == 64, "the others follow, as many as may be in flight"

    @pytest.mark.parametrize("reason", ["forbidden", "gone"])
    def test_a_thread_that_is_closed_now_is_reset(self, live: Wire, reason: str) -> None:
        view_id = live.open(restarts=True)
        live.lose()
        live.connect(resumed=[{"thread_id": THREAD, "state": "reset", "reason": reason}])
        assert items(live.welcome) == [Reset(THREAD, reason, lost_cursor=Cursor("epo_1", 0))]
        assert ViewEnded(view_id, None) in live.welcome
        assert live.state("reset", reason=reason) == [], "told once"

    def test_another_reset_is_asked_about(self, live: Wire) -> None:
        live.open()
        live.lose()
        live.connect("epo_2", [{"thread_id": THREAD, "state": "reset", "reason": "epoch_changed"}])
        (asked,) = live.sent()
        outputs = live.answer(asked["id"], {"epoch": "epo_2", "first_seq": 1, "head_seq": 3})
        assert [item.reason for item in items(outputs)] == ["epoch_changed"]

    def test_a_view_that_was_not_in_hello_is_not_taken_for_resumed(self, live: Wire) -> None:
        live.open()
        live.lose()
        live.session.open_view(THREAD, Cursor("epo_0", 3), live.now)
        live.connect(resumed=[{"thread_id": THREAD, "state": "replaying"}])
        (asked,) = live.sent()
        assert [item.reason for item in items(live.answer(asked["id"], LOG))] == ["epoch_changed"]


class TestReset:
    @pytest.mark.parametrize(
        ("reason", "cursor", "log"),
        [
            ("epoch_changed", Cursor("epo_0", 3), LOG),
            ("trimmed", Cursor("epo_1", 1), {**LOG, "first_seq": 3}),
            ("ahead", Cursor("epo_1", 9), LOG),
        ],
    )
    def test_a_reset_ends_the_view(
        self, live: Wire, reason: str, cursor: Cursor, log: dict[str, Any]
    ) -> None:
        view_id = live.session.open_view(THREAD, cursor, live.now)
        outputs = live.state("reset", reason=reason, **log)
        assert items(outputs) == [
            Reset(THREAD, reason, log["epoch"], log["first_seq"], log["head_seq"], cursor)
        ]
        assert outputs[-1] == ViewEnded(view_id, None)

    def test_it_restarts_if_asked(self, live: Wire) -> None:
        live.open(restarts=True)
        live.state("reset", reason="trimmed", epoch="epo_1", first_seq=4, head_seq=9)
        (asked,) = live.sent()
        assert asked["params"]["from"] == "start"
        live.answer(asked["id"], {"epoch": "epo_1", "first_seq": 4, "head_seq": 9})
        assert seqs(live.event(4)) == [4]

    def test_a_refused_subscription_ends_the_view(self, live: Wire) -> None:
        view_id = live.session.open_view(THREAD, "tail", live.now)
        (asked,) = live.sent()
        (ended,) = live.refuse(asked["id"], "forbidden")
        assert isinstance(ended, ViewEnded)
        assert ended.view_id == view_id
        assert isinstance(ended.error, Forbidden)

    def test_a_subscription_refused_for_now_is_asked_for_again(self, live: Wire) -> None:
        live.session.open_view(THREAD, "tail", live.now)
        (asked,) = live.sent()
        assert live.refuse(asked["id"], "rate_limited", retryable=True, retry_after_ms=2000) == []
        assert live.session.next_deadline() == live.now + 2
        live.now += 2
        live.session.handle_timeout(live.now)
        assert methods(live.sent()) == ["thread.subscribe"]


class TestInbox:
    def head(self, wire: Wire, offset: int) -> list[Output]:
        head = {"thread_id": THREAD, "seq": 1, "kind": "run.started", "at": AT, "preview": ""}
        return wire.tell("head", **head, offset=offset)

    def test_heads_resume_from_the_lowest_offset_needed(self, live: Wire) -> None:
        live.session.open_inbox(None, live.now)
        (asked,) = live.sent()
        assert asked["params"] == {}
        assert self.head(live, 3) == []
        live.answer(asked["id"], {"epoch": "epo_1", "offset": 4})
        (delivered,) = self.head(live, 7)
        assert isinstance(delivered, HeadDelivered)
        live.lose()
        live.connect()
        (asked,) = live.sent()
        assert asked["params"] == {"after_offset": 7}

    def test_another_store_ends_it(self, live: Wire) -> None:
        view_id = live.session.open_inbox(4, live.now)
        live.lose()
        live.connect("epo_2")
        ended = live.welcome[-1]
        assert isinstance(ended, ViewEnded)
        assert ended.view_id == view_id
        assert isinstance(ended.error, SubscriptionReset)

    def test_it_can_be_refused_closed_and_paused(self, live: Wire) -> None:
        view_id = live.session.open_inbox(4, live.now)
        (asked,) = live.sent()
        live.refuse(asked["id"], "unavailable", retryable=True)
        live.now += 1
        live.session.handle_timeout(live.now)
        (asked,) = live.sent()
        live.answer(asked["id"], {"epoch": "epo_1", "offset": 4})
        live.session.pause_view(view_id, live.now)
        assert methods(live.sent()) == ["inbox.unsubscribe"]
        live.session.resume_view(view_id, live.now)
        (asked,) = live.sent()
        (ended,) = live.refuse(asked["id"], "forbidden")
        assert isinstance(ended, ViewEnded)
        live.session.close_view(view_id, live.now)
        assert live.sent() == []


class TestTime:
    def test_silence_breaks_the_connection(self, live: Wire) -> None:
        assert live.session.next_deadline() == 135
        live.now = 120
        live.tell("heartbeat")
        live.now = 154.9
        assert live.session.handle_timeout(live.now) == []
        live.now = 155
        assert live.session.handle_timeout(live.now) == [Broken("the gateway fell silent")]
        assert live.session.next_deadline() is None
        assert live.tell("heartbeat") == []

    def test_an_unanswered_subscription_breaks_the_connection(self, live: Wire) -> None:
        live.session.open_view(THREAD, "tail", live.now)
        live.sent()
        live.now += 20
        live.tell("heartbeat")
        live.now += 10
        assert live.session.handle_timeout(live.now) == [Broken("a subscription was not answered")]

    @pytest.mark.parametrize(
        "frame", ["{", "[]", "1", '{"id":1}', '{"method":"event","params":[]}', "[" * 99999]
    )
    def test_what_is_not_a_frame_breaks_the_connection(self, live: Wire, frame: str) -> None:
        (broken,) = live.session.receive(frame, live.now)
        assert isinstance(broken, Broken)

    def test_retries_back_off_and_are_forgotten_after_10_s_live(self, wire: Wire) -> None:
        delays = []
        for _ in range(8):
            wire.session.dial_failed(wire.now, jitter=1.0)
            assert wire.session.retry_at is not None
            delays.append(wire.session.retry_at - wire.now)
        assert delays == [1, 2, 4, 8, 16, 20, 20, 20]
        wire.connect()
        wire.now += 9.9
        wire.lose(jitter=1.0)
        assert wire.session.retry_at == wire.now + 20
        wire.connect()
        wire.now += 10
        wire.lose(jitter=0.0)
        assert wire.session.retry_at == wire.now + 0.5

    @pytest.mark.parametrize(
        ("code", "delay_s"),
        [(1000, 0.75), (1006, 0.75), (4101, 0.75), (4199, 0.75), (4200, 0.25), (4299, 0.25)],
    )
    def test_the_hundred_decides(self, live: Wire, code: int, delay_s: float) -> None:
        assert live.lose(code, jitter=0.5) == []
        assert live.session.retry_at == live.now + delay_s

    @pytest.mark.parametrize("code", [4000, 4001, 4003, 4006, 4099])
    def test_40xx_stops(self, live: Wire, code: int) -> None:
        (stopped,) = live.lose(code)
        assert isinstance(stopped, Stopped)
        assert isinstance(stopped.error, ConnectionClosed)
        assert stopped.error.code == code
        assert live.session.next_deadline() is None

    def test_bye_counts_when_the_close_frame_got_lost(self, live: Wire) -> None:
        live.tell("bye", code=4200, reason="restarting", retry_after_ms=3000)
        assert live.lose(1006, jitter=0.0) == []
        assert live.session.retry_at == live.now + 3
        assert live.connect()["last_close_code"] == 4200
        live.tell("bye", code=4001, reason="revoked")
        (stopped,) = live.lose(1006)
        assert isinstance(stopped, Stopped)
        assert str(stopped.error) == "closed with 4001 (revoked), verdict: stop"
