"""The session's subscriptions, frame by frame: each test reads like a rule of the protocol."""

from typing import Any

import pytest
from model_gateway import AT
from session_wire import LOG, THREAD, Wire, items, methods, readers, seqs
from threadgate_client import (
    Cursor,
    Forbidden,
    Lagging,
    Live,
    ProtocolViolation,
    Reset,
    SubscriptionReset,
    TextUpdate,
)
from threadgate_client.outputs import (
    Delivered,
    HeadDelivered,
    Output,
    ViewEnded,
)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def live(wire: Wire) -> Wire:
    wire.connect()
    return wire


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

    def test_duplicates_are_not_taken_for_gaps(self, live: Wire) -> None:
        live.open(kinds=frozenset({"run.started"}))
        assert [seqs(live.event(seq)) for seq in (2, 5, 5, 2)] == [[2], [5], [], []]
        live.open()
        for seq in (1, 2, 1):
            live.event(seq)
        live.now += 1
        live.session.handle_timeout(live.now)
        assert live.sent() == []

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
        assert readers(live.event(3)) == [second]
        live.event(4)
        assert readers(live.event(5)) == [first, second]

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
        assert readers(live.event(5)) == [good]

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
