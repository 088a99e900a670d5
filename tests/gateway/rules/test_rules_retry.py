"""When what certainly did not happen is tried again: later each time, never later than the most, with jitter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.retry import DELIVERY_ATTEMPTS, LAST_S, backoff_s

chances = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(0, 0.5, 1), (1, 1, 2), (2, 2, 4), (3, 4, 8), (8, 128, 256), (9, 150, 300), (40, 150, 300)],
)
def test_waits_double_up_to_five_minutes(attempt: int, least: float, most: float) -> None:
    assert backoff_s(attempt, 0.0) == least
    assert backoff_s(attempt, 0.999_999) == pytest.approx(most, rel=1e-5)


@given(st.integers(0, 10**9), chances)
def test_a_wait_is_between_half_and_all_of_the_most(attempt: int, chance: float) -> None:
    assert 0.5 <= backoff_s(attempt, chance) <= LAST_S


@given(st.integers(0, 100), chances)
def test_no_wait_is_shorter_than_the_one_before(attempt: int, chance: float) -> None:
    assert backoff_s(attempt, chance) <= backoff_s(attempt + 1, chance)


@given(st.integers(0, 100), chances, chances)
def test_chance_spreads_those_who_failed_together(attempt: int, one: float, other: float) -> None:
    sooner, later = sorted((one, other))
    assert backoff_s(attempt, sooner) <= backoff_s(attempt, later)


def test_a_delivery_is_tried_for_hours_and_then_given_up() -> None:
    hours = [sum(backoff_s(n, chance) for n in range(1, DELIVERY_ATTEMPTS)) / 3600 for chance in (0.0, 1.0)]
    assert hours[0] > 1.5
    assert hours[1] < 4
