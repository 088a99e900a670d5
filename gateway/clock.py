"""The shell's sources of time, ids and chance. Pure code gets their values as arguments; tests replace them."""

import os
import random
import time
from typing import Final

from protocol.ids import RANDOM_BYTES, IdPrefix, make_id

_ENTROPY_MAX: Final = (1 << 8 * RANDOM_BYTES) - 1


class Clock:
    """The machine's clocks, and its randomness. Used from the loop only."""

    def __init__(self) -> None:
        self._id_ms = 0
        self._id_entropy = 0

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
        """A new id that sorts behind all ids made before by this clock, also those of the same millisecond.

        The order of what is owed to a room is the order of its ids, and one answer is often several messages.
        Ids are names, not secrets: within a millisecond they count up from a random number.
        """
        now_ms = self.now_ms()
        if now_ms > self._id_ms:
            self._id_ms, self._id_entropy = now_ms, int.from_bytes(os.urandom(RANDOM_BYTES))
        elif self._id_entropy < _ENTROPY_MAX:
            self._id_entropy += 1
        else:
            self._id_ms, self._id_entropy = self._id_ms + 1, 0
        return make_id(prefix, self._id_ms, self._id_entropy.to_bytes(RANDOM_BYTES))
