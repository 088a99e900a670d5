"""The circuit breaker of one account as a value: when nothing more is tried, because nothing arrives anyway.

    closed ──failures in a row, over several rooms──▶ open ──its time is over──▶ half open
       ▲                                               ▲                          │  │
       └───────────────────────────────────────────────┼───────the probe succeeds─┘  │
                                                       └──────────the probe fails────┘

A failure is a platform that did not answer; a platform that refuses something has answered. A lost credential
opens the breaker at once. One room that fails is that room's affair: its own backoff deals with it. Times are
monotonic seconds; the random number (0 ≤ chance < 1) is an argument.
"""

import enum
from dataclasses import dataclass, replace
from typing import Final

FAILURES: Final = 5
"""In a row: fewer happen whenever a load balancer of theirs restarts."""
ROOMS: Final = 2
"""So many rooms must have failed: what fails in one place says nothing about the account."""
FIRST_S: Final = 5.0
"""The first pause: outages of seconds are the common ones."""
LAST_S: Final = 300.0
"""The longest, as in `retry.py`: more than five minutes after a long outage nobody should wait."""
AUTH_S: Final = 60.0
"""Pause while an account's credential does not work: an operator must act."""


class BreakerState(enum.StrEnum):
    """As the protocol names it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` and `failing_rooms` count since the last answer; `openings` since the last time all was well."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    failing_rooms: frozenset[str] = frozenset()
    openings: int = 0
    open_until: float = 0.0

    def answered(self) -> "Breaker":
        """A call was answered: all is well. An open breaker waits for its probe, whatever else comes back."""
        return Breaker() if self.state is BreakerState.CLOSED else self

    def failed(self, room: str, now: float, chance: float) -> "Breaker":
        """A call to `room` was not answered."""
        if self.state is not BreakerState.CLOSED:
            return self
        rooms = self.failing_rooms if len(self.failing_rooms) >= ROOMS else self.failing_rooms | {room}
        counted = replace(self, failures=self.failures + 1, failing_rooms=rooms)
        is_enough = counted.failures >= FAILURES and len(rooms) >= ROOMS
        return counted._opened(now, chance) if is_enough else counted

    def refused(self, now: float) -> "Breaker":
        """The account's credential does not work any more."""
        return replace(self, state=BreakerState.OPEN, open_until=now + AUTH_S)

    def wait_s(self, now: float) -> float:
        """Seconds until something may be tried; 0 when calls may be made, or the probe of a half open one."""
        return max(0.0, self.open_until - now) if self.state is BreakerState.OPEN else 0.0

    def tried(self, now: float) -> "Breaker":
        """Its time is over: the one probe begins. Nothing changes before."""
        if self.state is BreakerState.OPEN and now >= self.open_until:
            return replace(self, state=BreakerState.HALF_OPEN)
        return self

    def probed(self, now: float, chance: float, *, is_answered: bool) -> "Breaker":
        """The probe is over. After a good one calls are made again; that all is well is for them to show."""
        if self.state is not BreakerState.HALF_OPEN:
            return self
        if is_answered:
            return Breaker(openings=self.openings)
        return self._opened(now, chance)

    def _opened(self, now: float, chance: float) -> "Breaker":
        pause_s = min(LAST_S, FIRST_S * 2 ** min(self.openings, 16)) * (0.5 + chance / 2)
        return Breaker(BreakerState.OPEN, openings=self.openings + 1, open_until=now + pause_s)
