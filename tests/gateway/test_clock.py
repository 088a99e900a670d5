"""The clock's ids: unlike everything else it gives out, they have a promise beyond the machine's."""

import pytest

from gateway.clock import Clock
from protocol.ids import IdPrefix


class FrozenClock(Clock):
    """A clock whose wall time the test sets."""

    wall_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.wall_ms


def test_ids_of_one_millisecond_sort_in_the_order_they_were_made() -> None:
    clock = FrozenClock()
    ids = [clock.new_id(IdPrefix.DELIVERY) for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_ids_keep_their_order_when_the_wall_clock_is_set_back() -> None:
    clock = FrozenClock()
    first = clock.new_id(IdPrefix.DELIVERY)
    clock.wall_ms -= 60_000
    assert clock.new_id(IdPrefix.DELIVERY) > first


def test_ids_keep_their_order_when_a_millisecond_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.clock.os.urandom", lambda count: b"\xff" * count)
    clock = FrozenClock()
    ids = [clock.new_id(IdPrefix.DELIVERY) for _ in range(3)]
    assert ids == sorted(set(ids))
