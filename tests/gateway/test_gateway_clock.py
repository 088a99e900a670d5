"""Ids made by one process sort as they were made: the order of runs and deliveries rests on it."""

import pytest

from gateway.clock import Clock
from protocol.ids import IdPrefix, has_prefix


def test_ids_of_the_same_millisecond_sort_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(clock, "now_ms", lambda: 1_700_000_000_000)
    made = [clock.new_id(IdPrefix.DELIVERY) for _ in range(1000)]
    assert made == sorted(set(made))
    assert all(has_prefix(one, IdPrefix.DELIVERY) for one in made)


def test_a_clock_that_is_set_back_does_not_set_ids_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    times = iter([1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_001])
    monkeypatch.setattr(clock, "now_ms", lambda: next(times))
    made = [clock.new_id(IdPrefix.RUN) for _ in range(3)]
    assert made == sorted(set(made))


def test_ids_of_two_processes_differ() -> None:
    assert len({Clock().new_id(IdPrefix.THREAD) for _ in range(1000)}) == 1000
