"""The circuit breaker: what opens it, what does not, and that it always comes to a probe again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.breaker import AUTH_S, FAILURES, FIRST_S, LAST_S, ROOMS, Breaker, BreakerState


def failing(rooms: list[str], breaker: Breaker = Breaker()) -> Breaker:  # noqa: B008 - a frozen value
    for room in rooms:
        breaker = breaker.failed(room, 100.0, 0.0)
    return breaker


def opened() -> Breaker:
    return failing(["a", "b"] * FAILURES)


def test_it_opens_after_failures_in_a_row_over_several_rooms() -> None:
    rooms = [f"r{number % ROOMS}" for number in range(FAILURES)]
    assert failing(rooms[:-1]).state is BreakerState.CLOSED
    assert failing(rooms).state is BreakerState.OPEN


def test_one_room_that_fails_is_its_own_affair() -> None:
    assert failing(["a"] * 100).state is BreakerState.CLOSED


def test_an_answer_in_between_forgets_the_failures() -> None:
    almost = failing(["a", "b"] * 2)
    assert failing(["a"], almost.answered()).failures == 1
    assert failing(["a"], almost).state is BreakerState.OPEN


def test_a_lost_credential_opens_it_at_once() -> None:
    breaker = Breaker().refused(50.0)
    assert (breaker.state, breaker.wait_s(50.0)) == (BreakerState.OPEN, AUTH_S)


def test_what_comes_back_late_does_not_close_it() -> None:
    assert opened().answered().state is BreakerState.OPEN
    tried = opened().tried(10_000.0)
    assert tried.state is BreakerState.HALF_OPEN
    assert tried.answered() == tried == tried.failed("c", 0.0, 0.0)


def test_its_probe_begins_when_its_time_is_over_and_not_before() -> None:
    breaker = opened()
    wait_s = breaker.wait_s(100.0)
    assert FIRST_S / 2 <= wait_s <= FIRST_S
    assert breaker.tried(100.0 + wait_s / 2) == breaker
    assert breaker.tried(100.0 + wait_s).state is BreakerState.HALF_OPEN
    assert breaker.tried(100.0 + wait_s).wait_s(0.0) == 0.0


def test_a_good_probe_closes_it_and_a_bad_one_makes_it_wait_longer() -> None:
    tried = opened().tried(1000.0)
    closed = tried.probed(1000.0, 0.5, is_answered=True)
    assert closed.state is BreakerState.CLOSED
    again = tried.probed(1000.0, 0.5, is_answered=False)
    assert again.state is BreakerState.OPEN
    assert again.wait_s(1000.0) == pytest.approx(1.5 * FIRST_S)
    # Calls that fail behind a good probe: it was not well after all.
    relapsed = closed
    for room in ["a", "b"] * FAILURES:
        relapsed = relapsed.failed(room, 1000.0, 0.5)
    assert relapsed.wait_s(1000.0) == pytest.approx(1.5 * FIRST_S)
    assert closed.answered() == Breaker(), "and one that succeeds shows that all is well"


def test_a_probe_that_was_overtaken_changes_nothing() -> None:
    refused = Breaker().refused(0.0)
    assert refused.probed(1.0, 0.0, is_answered=True) == refused
    assert Breaker().probed(1.0, 0.0, is_answered=False) == Breaker()


@given(
    st.lists(
        st.one_of(
            st.just("answered"), st.just("refused"), st.just("good"), st.just("bad"), st.sampled_from("abc")
        ),
        max_size=60,
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_it_never_waits_longer_than_the_most_and_always_comes_to_a_probe(
    happenings: list[str], chance: float
) -> None:
    breaker, now = Breaker(), 0.0
    for happening in happenings:
        now += 1.0
        match happening:
            case "answered":
                breaker = breaker.answered()
            case "refused":
                breaker = breaker.refused(now)
            case "good" | "bad":
                breaker = breaker.tried(now).probed(now, chance, is_answered=happening == "good")
            case room:
                breaker = breaker.failed(room, now, chance)
        assert 0.0 <= breaker.wait_s(now) <= max(LAST_S, AUTH_S)
        assert (breaker.state is BreakerState.OPEN) >= (breaker.wait_s(now) > 0)
        ready = breaker.tried(now + LAST_S)
        assert ready.state is not BreakerState.OPEN
        assert ready.probed(now + LAST_S, chance, is_answered=True).state is BreakerState.CLOSED
