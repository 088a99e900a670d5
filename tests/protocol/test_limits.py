"""The numbers of the contract."""

from protocol import limits


def test_limits_are_those_of_the_contract() -> None:
    assert (limits.PRE_HELLO_FRAME_BYTES, limits.FRAME_BYTES) == (65_536, 1_048_576)
    assert (limits.HELLO_TIMEOUT_S, limits.HEARTBEAT_S, limits.PONG_TIMEOUT_S) == (10, 25, 20)
    assert (limits.QUEUE_BYTES, limits.QUEUE_FRAMES, limits.STALL_TIMEOUT_S) == (1_048_576, 1024, 15)
    assert (limits.REPLAY_EVENTS, limits.REPLAY_BYTES) == (256, 262_144)
    assert (limits.REQUESTS_PER_S, limits.REQUEST_BURST, limits.INFLIGHT_REQUESTS) == (50, 100, 64)
    assert (limits.SUBSCRIPTIONS, limits.PAGE_MAX, limits.IDEMPOTENCY_KEY_CHARS) == (128, 500, 64)
    assert (limits.DELTA_INTERVAL_S, limits.IDEMPOTENCY_TTL_S) == (0.04, 86_400)
    assert limits.TEXT_CHARS * 4 <= limits.FRAME_BYTES
