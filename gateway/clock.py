"""The shell's sources of time, ids and chance. Pure code gets their values as arguments; tests replace them."""

import os
import random
import time

from protocol.ids import RANDOM_BYTES, IdPrefix, make_id


class Clock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._last_id = 0

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
        """A new id, greater than all before it: the store orders queued runs and deliveries by theirs."""
        number = self.now_ms() << 8 * RANDOM_BYTES | int.from_bytes(os.urandom(RANDOM_BYTES))
        self._last_id = max(number, self._last_id + 1)
        now_ms, chance = divmod(self._last_id, 1 << 8 * RANDOM_BYTES)
        return make_id(prefix, now_ms, chance.to_bytes(RANDOM_BYTES))
