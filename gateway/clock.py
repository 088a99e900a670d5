"""The shell's sources of time, ids and chance. Pure code gets their values as arguments; tests replace them."""

import os
import random
import time

from protocol.ids import RANDOM_BYTES, IdPrefix, make_id


class Clock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow; for deadlines."""
        return time.monotonic()

    def chance(self) -> float:
        """A random number, 0 ≤ x < 1, for jitter."""
        return random.random()

    def new_id(self, prefix: IdPrefix) -> str:
        """A new id."""
        return make_id(prefix, self.now_ms(), os.urandom(RANDOM_BYTES))
