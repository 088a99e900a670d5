"""Which worker executes which run, of one agent: the least loaded with room, or the one that knows the thread. Pure.

Runs stand in line in the order they came; a worker that has room goes to the first of them that it may serve. Time
is an argument, in monotonic seconds. The connections behind the ids are in `workers.py`.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import inf
from typing import Final

THREADS_MAX: Final = 10_000
"""Threads whose worker is remembered; of more, those that were served longest ago are forgotten."""


@dataclass(slots=True)
class _Seat:
    """A worker: so many runs at once, so many now. It gets none before `rests_until`."""

    concurrent: int
    running: int = 0
    rests_until: float = -inf

    @property
    def load(self) -> tuple[float, int]:
        return self.running / self.concurrent, self.running


@dataclass(frozen=True, slots=True)
class _Wish:
    """A run in line; workers in `refused` are not for it."""

    thread_id: str
    refused: frozenset[str] = frozenset()


@dataclass(slots=True)
class Roster:
    """The workers of one agent and the runs that wait for one.

    Tickets are numbers that grow with the order of arrival. After every change ask `assign` what follows from it.
    """

    sticky_s: float
    _seats: dict[str, _Seat] = field(default_factory=dict)
    _line: dict[int, _Wish] = field(default_factory=dict)
    _threads: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict)

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self._seats)

    @property
    def waiting(self) -> int:
        """How many runs stand in line."""
        return len(self._line)

    def join(self, worker_id: str, concurrent: int) -> None:
        """A worker is there and takes so many runs at once."""
        self._seats[worker_id] = _Seat(concurrent)

    def leave(self, worker_id: str) -> None:
        """A worker is gone, and with it whatever it did."""
        self._seats.pop(worker_id, None)

    def rest(self, worker_id: str, until: float) -> None:
        """Give a worker nothing new before `until`; infinity for never again."""
        if (seat := self._seats.get(worker_id)) is not None:
            seat.rests_until = max(seat.rests_until, until)

    def wait(self, ticket: int, thread_id: str, refused: frozenset[str] = frozenset()) -> None:
        """A run stands in line, where its ticket belongs; not for the workers that refused it."""
        is_last = not self._line or ticket > next(reversed(self._line))
        self._line[ticket] = _Wish(thread_id, refused)
        if not is_last:
            self._line = dict(sorted(self._line.items()))

    def withdraw(self, ticket: int) -> None:
        """A run waits no more."""
        self._line.pop(ticket, None)

    def release(self, worker_id: str, thread_id: str, now: float) -> None:
        """A run of that thread is over at this worker, which has room for another."""
        if (seat := self._seats.get(worker_id)) is not None:
            seat.running -= 1
            self._remember(thread_id, worker_id, now)

    def assign(self, now: float) -> list[tuple[int, str]]:
        """Who gets whom, as tickets and workers; each run is out of the line then, and its worker busier by one."""
        assigned: list[tuple[int, str]] = []
        free = {name: seat for name, seat in self._seats.items() if _has_room(seat, now)}
        for ticket, wish in tuple(self._line.items()):
            if not free:
                break
            chosen = self._choose(wish, free, now)
            if chosen is None:
                continue
            del self._line[ticket]
            self._remember(wish.thread_id, chosen, now)
            seat = free[chosen]
            seat.running += 1
            if not _has_room(seat, now):
                del free[chosen]
            assigned.append((ticket, chosen))
        return assigned

    def has_hope(self, refused: frozenset[str]) -> bool:
        """Whether one of the workers may still serve a run that those refused: it is merely busy or resting."""
        return any(name not in refused and seat.rests_until < inf for name, seat in self._seats.items())

    def next_change(self, now: float) -> float | None:
        """When a resting worker is to be had again; None when nobody waits for that."""
        if not self._line:
            return None
        ends = [seat.rests_until for seat in self._seats.values() if now < seat.rests_until < inf]
        return min(ends, default=None)

    def _choose(self, wish: _Wish, free: dict[str, _Seat], now: float) -> str | None:
        known, until = self._threads.get(wish.thread_id, ("", -inf))
        if known in free and known not in wish.refused and now < until:
            return known
        able = [name for name in free if name not in wish.refused]
        return min(able, key=lambda name: free[name].load, default=None)

    def _remember(self, thread_id: str, worker_id: str, now: float) -> None:
        self._threads[thread_id] = worker_id, now + self.sticky_s
        self._threads.move_to_end(thread_id)
        while len(self._threads) > THREADS_MAX:
            self._threads.popitem(last=False)


def _has_room(seat: _Seat, now: float) -> bool:
    return seat.running < seat.concurrent and now >= seat.rests_until
