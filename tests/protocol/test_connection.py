"""One connection's protocol state: hello first, limits, liveness, answers, and bye before every close."""

import pytest
from wire_peer import CHALLENGE, HELLO, WELCOME, WirePeer

from protocol import limits
from protocol.connection import (
    CLOSE_REASON_BYTES,
    MALFORMED_MAX,
    Close,
    HelloReceived,
    NotificationReceived,
    Phase,
    RequestReceived,
    ResponseReceived,
    SendPing,
)
from protocol.errors import CloseCode, ErrorKind, Fault
from protocol.frames import Notification, Request, Response

REFUSAL = Fault(ErrorKind.UNAUTHORIZED, "The token is not valid")
BAD = b'{"jsonrpc":"2.0","id":9}'


# --- handshake ---------------------------------------------------------------------------


def test_challenge_is_the_first_frame() -> None:
    WirePeer().assert_sent_notification("challenge", CHALLENGE.model_dump())


def test_hello_is_handed_to_the_shell_and_answered_by_accept() -> None:
    peer = WirePeer()
    peer.read()

    received = peer.request("h", "hello", HELLO)

    assert isinstance(received, HelloReceived)
    assert received.params.auth.token == "tg_secret"
    assert peer.connection.phase is Phase.AUTHENTICATING
    peer.assert_sent_nothing()
    peer.connection.accept(WELCOME)
    peer.assert_sent_result("h", WELCOME.model_dump(mode="json", exclude_none=True))
    assert peer.connection.phase is Phase.LIVE


def test_refuse_answers_hello_and_closes() -> None:
    peer = WirePeer()
    peer.read()
    peer.request("h", "hello", HELLO)

    peer.connection.refuse(REFUSAL, CloseCode.UNAUTHORIZED)

    peer.assert_sent_error("h", ErrorKind.UNAUTHORIZED)
    peer.assert_closed(CloseCode.UNAUTHORIZED)


def test_decisions_count_only_while_authenticating() -> None:
    peer = WirePeer()
    peer.read()
    peer.connection.accept(WELCOME)
    peer.connection.refuse(REFUSAL, CloseCode.UNAUTHORIZED)
    assert peer.connection.phase is Phase.HELLO
    live = WirePeer.live()
    live.connection.accept(WELCOME)
    live.connection.refuse(REFUSAL, CloseCode.UNAUTHORIZED)
    assert live.connection.phase is Phase.LIVE
    peer.assert_sent_nothing()
    live.assert_sent_nothing()


@pytest.mark.parametrize(
    ("raw", "request_id", "kind"),
    [
        (b'{"jsonrpc":"2.0","id":5,"method":"server.info"}', 5, "invalid_request"),
        (b'{"jsonrpc":"2.0","method":"hello","params":{}}', None, "invalid_request"),
        (b'{"jsonrpc":"2.0","id":5,"result":{}}', None, "invalid_request"),
        (b'{"jsonrpc":"2.0","id":5,"method":"hello","params":{}}', 5, "invalid_params"),
        (b"{", None, "parse_error"),
        (b"[]", None, "invalid_request"),
        (BAD, 9, "invalid_request"),
    ],
)
def test_any_other_first_frame_is_refused_and_closes(raw: bytes, request_id: int | None, kind: str) -> None:
    peer = WirePeer()
    peer.read()

    assert peer.say(raw) is None

    peer.assert_sent_error(request_id, kind)
    peer.assert_closed(CloseCode.BAD_FRAME)


def test_an_unknown_minor_closes_4002_and_names_those_spoken() -> None:
    peer = WirePeer()
    peer.read()

    peer.request(1, "hello", {**HELLO, "minor": 7})

    error = peer.assert_sent_error(1, "invalid_params")
    assert error["data"]["errors"][0]["path"] == "minor"
    peer.assert_closed(CloseCode.UNSUPPORTED_VERSION)


def test_hello_is_due_within_ten_seconds() -> None:
    peer = WirePeer()
    peer.read()
    peer.wait(limits.HELLO_TIMEOUT_S - 0.001)
    peer.assert_sent_nothing()

    peer.wait(0.001)

    peer.assert_sent_error(None, "invalid_request")
    peer.assert_closed(CloseCode.HELLO_TIMEOUT)


def test_an_early_timer_does_nothing_before_hello() -> None:
    peer = WirePeer()
    peer.read()
    peer.connection.handle_timeout(peer.now + limits.HELLO_TIMEOUT_S - 0.001)
    peer.assert_sent_nothing()


def test_a_slow_authentication_is_no_hello_timeout() -> None:
    peer = WirePeer()
    peer.read()
    peer.request(1, "hello", HELLO)

    peer.wait(limits.HELLO_TIMEOUT_S * 2)

    peer.assert_sent_nothing()
    assert peer.connection.phase is Phase.AUTHENTICATING


@pytest.mark.parametrize(
    ("raw", "request_id"),
    [
        (b'{"jsonrpc":"2.0","id":2,"method":"server.info"}', 2),
        (b'{"jsonrpc":"2.0","id":3,"method":"hello","params":{}}', 3),
        (b'{"jsonrpc":"2.0","method":"note"}', None),
        (BAD, 9),
    ],
)
def test_frames_before_the_answer_to_hello_are_refused(raw: bytes, request_id: int | None) -> None:
    peer = WirePeer()
    peer.request(1, "hello", HELLO)
    peer.read()

    assert peer.say(raw) is None

    peer.assert_sent_error(request_id, "invalid_request")
    assert peer.connection.phase is Phase.AUTHENTICATING


def test_a_flood_before_the_answer_to_hello_closes() -> None:
    peer = WirePeer()
    peer.request(1, "hello", HELLO)
    peer.read()

    for number in range(MALFORMED_MAX):
        peer.request(number, "server.info")

    for number in range(MALFORMED_MAX):
        peer.assert_sent_error(number, "invalid_request")
    peer.assert_closed(CloseCode.BAD_FRAME)


# --- frame limits ------------------------------------------------------------------------


def frame_of(size: int) -> bytes:
    envelope = b'{"jsonrpc":"2.0","method":"note","params":{"x":"%b"}}'
    return envelope % (b"x" * (size - len(envelope) + 2))


def test_before_hello_a_frame_has_at_most_64_kib() -> None:
    peer = WirePeer()
    peer.read()
    hello = WirePeer()
    hello.read()

    peer.say(frame_of(limits.PRE_HELLO_FRAME_BYTES + 1))
    hello.say(frame_of(limits.PRE_HELLO_FRAME_BYTES))

    peer.assert_sent_error(None, ErrorKind.TOO_LARGE)
    peer.assert_closed(CloseCode.BAD_FRAME)
    hello.assert_sent_error(None, "invalid_request")


def test_while_authenticating_the_small_limit_holds() -> None:
    peer = WirePeer()
    peer.request(1, "hello", HELLO)
    peer.read()

    peer.say(frame_of(limits.PRE_HELLO_FRAME_BYTES + 1))

    peer.assert_sent_error(None, ErrorKind.TOO_LARGE)
    peer.assert_closed(CloseCode.BAD_FRAME)


@pytest.mark.parametrize("limit", [limits.FRAME_BYTES, 100_000])
def test_after_hello_the_configured_limit_holds(limit: int) -> None:
    peer = WirePeer.live(limit)

    assert isinstance(peer.say(frame_of(limit)), NotificationReceived)
    assert peer.say(frame_of(limit + 1)) is None

    error = peer.assert_sent_error(None, ErrorKind.TOO_LARGE)
    assert str(limit) in error["message"]
    peer.assert_closed(CloseCode.BAD_FRAME)


@pytest.mark.parametrize("make", [WirePeer, WirePeer.live])
def test_what_the_websocket_layer_refuses_is_answered_too(make: type[WirePeer]) -> None:
    large, unreadable = make(), make()
    large.read()
    unreadable.read()

    large.connection.receive_oversized()
    unreadable.connection.receive_unreadable("Frames are text")

    large.assert_sent_error(None, ErrorKind.TOO_LARGE)
    large.assert_closed(CloseCode.BAD_FRAME)
    unreadable.assert_sent_error(None, "invalid_request")
    unreadable.assert_closed(CloseCode.BAD_FRAME)


def test_a_closed_connection_ignores_what_still_comes() -> None:
    peer = WirePeer.live()
    peer.connection.close(CloseCode.RESTARTING, "restarting")
    peer.assert_closed(CloseCode.RESTARTING)

    peer.connection.receive_oversized()
    peer.connection.receive_unreadable("binary")
    peer.connection.receive_pong()

    peer.assert_sent_nothing()


# --- requests and answers ----------------------------------------------------------------


def test_requests_are_handed_on_and_answered_in_any_order() -> None:
    peer = WirePeer.live()

    assert peer.request("a", "run.get", {"run_id": "r"}) == RequestReceived(
        Request("a", "run.get", {"run_id": "r"})
    )
    peer.request(2, "thread.list")
    peer.connection.respond(2, {"threads": []})
    peer.connection.fail("a", Fault(ErrorKind.NOT_FOUND, "no such run"))

    peer.assert_sent_result(2, {"threads": []})
    peer.assert_sent_error("a", ErrorKind.NOT_FOUND)


def test_an_answer_is_given_once_and_only_to_who_asked() -> None:
    peer = WirePeer.live()
    peer.request(1, "server.info")
    peer.connection.respond(1, {})
    peer.read()

    peer.connection.respond(1, {})
    peer.connection.fail(1, REFUSAL)
    peer.connection.respond("1", {})

    peer.assert_sent_nothing()


def test_an_id_in_flight_cannot_be_used_again_until_it_was_answered() -> None:
    peer = WirePeer.live()
    peer.request(1, "server.info")

    assert peer.request(1, "thread.list") is None
    peer.assert_sent_error(1, "invalid_request")
    peer.connection.respond(1, {})
    peer.assert_sent_result(1, {})
    assert isinstance(peer.request(1, "thread.list"), RequestReceived)


def test_a_text_id_is_not_the_number_it_spells() -> None:
    peer = WirePeer.live()

    assert isinstance(peer.request(1, "server.info"), RequestReceived)
    assert isinstance(peer.request("1", "server.info"), RequestReceived)


def test_at_most_64_requests_are_in_flight() -> None:
    peer = WirePeer.live()
    for number in range(limits.INFLIGHT_REQUESTS):
        assert isinstance(peer.request(number, "server.info"), RequestReceived)

    assert peer.request("more", "server.info") is None
    error = peer.assert_sent_error("more", ErrorKind.RATE_LIMITED)
    assert error["data"]["retryable"] is True
    assert error["data"]["retry_after_ms"] > 0
    peer.connection.respond(0, {})
    assert isinstance(peer.request("more", "server.info"), RequestReceived)


def test_hello_twice_is_refused_without_closing() -> None:
    peer = WirePeer.live()

    assert peer.request(2, "hello", HELLO) is None

    peer.assert_sent_error(2, "invalid_request")
    assert peer.connection.phase is Phase.LIVE


def test_notifications_and_responses_are_handed_on() -> None:
    peer = WirePeer.live()

    assert peer.say(b'{"jsonrpc":"2.0","method":"run.output","params":{}}') == NotificationReceived(
        Notification("run.output", {})
    )
    assert peer.say(b'{"jsonrpc":"2.0","id":4,"result":{}}') == ResponseReceived(Response(4, {}, None))
    peer.assert_sent_nothing()


def test_sixteen_malformed_frames_close_4000() -> None:
    peer = WirePeer.live()
    for _ in range(MALFORMED_MAX - 1):
        peer.say(BAD)
        peer.assert_sent_error(9, "invalid_request")
    assert peer.connection.phase is Phase.LIVE

    peer.say(b"[]")

    peer.assert_sent_error(None, "invalid_request")
    peer.assert_closed(CloseCode.BAD_FRAME)


# --- liveness ----------------------------------------------------------------------------


def test_a_ping_every_25_s_and_a_heartbeat_when_nothing_was_sent() -> None:
    peer = WirePeer.live()

    peer.wait(limits.HEARTBEAT_S)

    peer.assert_sent_ping()
    peer.assert_sent_notification("heartbeat", {})
    peer.assert_sent_nothing()
    peer.connection.receive_pong()
    peer.wait(limits.HEARTBEAT_S)
    peer.assert_sent_ping()
    peer.assert_sent_notification("heartbeat", {})


def test_no_heartbeat_when_the_socket_was_used() -> None:
    peer = WirePeer.live()
    peer.now += 20
    peer.connection.sent(peer.now)

    peer.wait(limits.HEARTBEAT_S - 20)

    peer.assert_sent_ping()
    peer.assert_sent_nothing()
    peer.connection.receive_pong()
    peer.wait(20)
    peer.assert_sent_notification("heartbeat", {})


def test_no_pong_within_20_s_closes_4105() -> None:
    peer = WirePeer.live()
    peer.wait(limits.HEARTBEAT_S)
    peer.read()

    peer.wait(limits.PONG_TIMEOUT_S - 0.001)
    peer.assert_sent_nothing()
    peer.wait(0.001)

    peer.assert_closed(CloseCode.NO_PONG)


def test_a_pong_keeps_the_connection() -> None:
    peer = WirePeer.live()
    for _ in range(10):
        peer.wait(limits.HEARTBEAT_S)
        assert SendPing() in peer.read()
        peer.connection.receive_pong()

    assert peer.connection.phase is Phase.LIVE


def test_a_timer_that_comes_much_too_late_does_each_thing_once() -> None:
    peer = WirePeer.live()
    peer.now += 1000

    peer.connection.handle_timeout(peer.now)

    peer.assert_sent_ping()
    peer.assert_sent_notification("heartbeat", {})
    peer.assert_sent_nothing()
    assert (peer.connection.next_deadline() or 0) > peer.now


def test_an_early_timer_does_nothing() -> None:
    peer = WirePeer.live()
    peer.connection.handle_timeout(peer.now + limits.HEARTBEAT_S - 0.001)
    peer.assert_sent_nothing()


# --- closing -----------------------------------------------------------------------------


def test_bye_comes_before_the_close_and_says_when_to_return() -> None:
    peer = WirePeer.live()
    peer.request(1, "server.info")

    peer.connection.close(CloseCode.RESTARTING, "the gateway is restarting", 2000)

    peer.assert_sent_notification(
        "bye", {"code": 4200, "reason": "the gateway is restarting", "retry_after_ms": 2000}
    )
    assert peer.read() == [Close(CloseCode.RESTARTING, "the gateway is restarting")]


def test_the_first_close_wins_and_nothing_is_answered_after_it() -> None:
    peer = WirePeer.live()
    peer.request(1, "server.info")
    peer.connection.close(CloseCode.TOKEN_EXPIRED, "expired")

    peer.connection.close(CloseCode.RESTARTING, "restarting")
    peer.connection.respond(1, {})
    peer.connection.fail(1, REFUSAL)

    peer.assert_closed(CloseCode.TOKEN_EXPIRED)


def test_a_long_reason_fits_the_close_frame_and_stays_text() -> None:
    peer = WirePeer.live()
    reason = "x" + "é" * 200

    peer.connection.close(CloseCode.FORBIDDEN, reason)

    peer.assert_sent_notification("bye", {"code": 4003, "reason": reason})
    (close,) = peer.read()
    assert isinstance(close, Close)
    assert reason.startswith(close.reason)
    assert CLOSE_REASON_BYTES - 1 <= len(close.reason.encode()) <= CLOSE_REASON_BYTES
