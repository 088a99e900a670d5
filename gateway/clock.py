"""The shell's sources of time, ids and chance. Pure code gets their values as arguments; tests replace them."""

import os
import random
import time
from typing import Final

from protocol.ids import RANDOM_BYTES, IdPrefix, make_id

ENTROPY_BYTES: Final = 4096
"""Randomness taken from the system at once: one call for some four hundred ids instead of one each."""


class Clock:
    """The machine's clocks, and its randomness. Used from the loop only."""

    def __init__(self) -> None:
        self._entropy = b""
        self._used = 0

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
        begin, end = self._used, self._used + RANDOM_BYTES
        if end > len(self._entropy):
            self._entropy, begin, end = os.urandom(ENTROPY_BYTES), 0, RANDOM_BYTES
        self._used = end
        return make_id(prefix, self.now_ms(), self._entropy[begin:end])
