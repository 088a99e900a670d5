"""Waiting after failures of an adapter's own asking: connecting, polling, reading back. Pure.

Calls that the core makes are not waited for here: the core decides when to make them again.
"""

import random
from dataclasses import dataclass

# The exponent is bounded so that a long outage cannot overflow the power.
_EXPONENT_MAX = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failures in a row: anything up to a bound that doubles from `first_s` to `max_s`."""

    first_s: float
    max_s: float

    def bound_s(self, failures: int) -> float:
        """The longest wait after so many failures; `failures` counts from 1."""
        return float(min(self.max_s, self.first_s * 2 ** min(failures - 1, _EXPONENT_MAX)))

    def delay_s(self, failures: int, jitter: random.Random) -> float:
        """Full jitter: bots that failed together do not come back together. `failures` counts from 1."""
        return jitter.uniform(0, self.bound_s(failures))
