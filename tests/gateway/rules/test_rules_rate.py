"""Token buckets: never more than the burst and what time brought, and never a wait without an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.rate import TokenBucket

rates = st.floats(0.01, 1000)
bursts = st.integers(1, 200)
pauses = st.lists(st.floats(0, 60), max_size=80)


def test_a_new_principal_has_the_whole_burst() -> None:
    bucket = TokenBucket.full(per_s=1.0, burst=3, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket.full(per_s=2.0, burst=1, now=0.0)
    assert bucket.take(0.0) == 0.0
    assert [bucket.take(0.0) for _ in range(5)] == [0.5] * 5
    assert bucket.take(0.25) == pytest.approx(0.25)
    assert bucket.take(0.5) == 0.0


def test_a_rest_fills_no_more_than_the_burst() -> None:
    bucket = TokenBucket.full(per_s=100.0, burst=2, now=0.0)
    bucket.take(0.0)
    assert [bucket.take(3600.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.01)]


@given(rates, bursts, pauses)
def test_never_more_than_the_burst_and_what_time_brought(per_s: float, burst: int, gaps: list[float]) -> None:
    bucket, now, taken = TokenBucket.full(per_s, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        for _ in range(5):
            taken += bucket.take(now) == 0.0
        assert taken <= burst + per_s * now + 1e-6
        assert 0.0 <= bucket.level <= burst


@given(rates, bursts, pauses)
def test_a_wait_is_as_long_as_said(per_s: float, burst: int, gaps: list[float]) -> None:
    bucket, now = TokenBucket.full(per_s, burst, 0.0), 0.0
    for gap in gaps:
        now += gap
        wait_s = bucket.take(now)
        assert 0.0 <= wait_s <= 1.0 / per_s + 1e-9
        if wait_s:
            now += wait_s
            assert bucket.take(now) <= 1e-6 / per_s, "who waited as told is served, up to rounding"
