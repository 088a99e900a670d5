"""The session's connection: handshake, requests, time. No loop, no socket, no clock: frame by frame."""

import json

import pytest
from session_wire import THREAD, Wire, methods
from threadgate_client import (
    ConnectionClosed,
    Forbidden,
    TooLarge,
    Unauthorized,
)
from threadgate_client.outputs import (
    Answered,
    Broken,
    Refused,
    Stopped,
)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def live(wire: Wire) -> Wire:
    wire.connect()
    return wire


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
        wire.refuse(hello["id"], "unavailable", retryable=retryable, retry_after_ms=4000)
        wire.now += 2
        assert wire.session.handle_timeout(wire.now) == [Broken("hello was refused")]
        assert bool(wire.lose()) is stops
        assert wire.session.retry_at == (None if stops else wire.now + 4.5)

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
