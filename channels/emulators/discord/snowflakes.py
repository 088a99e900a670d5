"""Snowflakes: ids that carry the millisecond they were made in (reference.mdx#snowflakes of discord-api-docs).

Pure; the clock is injected. Ids made here never repeat and never run backwards, even when the clock does.
"""

from collections.abc import Callable
from typing import Final

# 2015-01-01T00:00:00Z in milliseconds since 1970: the first second of snowflake time.
EPOCH_MS: Final = 1_420_070_400_000
# Worker, process and increment together: what tells ids of one millisecond apart.
COUNTER_BITS: Final = 22


class Snowflakes:
    """Makes ids. `clock` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A new id, larger than all before it."""
        # Never the bare instant: the real ones have a machine's number in their low bits, so that everything
        # of a millisecond lies behind an anchor made from the clock.
        now = first_at(self._clock()) | 1
        self._last = max(now, self._last + 1)
        return self._last


def first_at(at: float) -> int:
    """The smallest id of this instant, seconds since 1970."""
    return max(0, int(at * 1000) - EPOCH_MS) << COUNTER_BITS


def instant_of(snowflake: int) -> float:
    """Seconds since 1970 at which an id was made."""
    return ((snowflake >> COUNTER_BITS) + EPOCH_MS) / 1000
