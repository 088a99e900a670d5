"""How long this adapter waits after failures of its own asking: connecting, reading back, storing."""

import random
from dataclasses import dataclass, field

from channels.discord.capabilities import BACKOFF_FIRST_S, BACKOFF_MAX_S, IDENTIFY_SPACING_S


@dataclass(frozen=True, slots=True)
class Backoff:
    """Between half a bound and the bound, which doubles from `first_s`: bots that failed together do not come
    back together, and never sooner than they may. New sessions are `identify_spacing_s` apart."""

    first_s: float = BACKOFF_FIRST_S
    max_s: float = BACKOFF_MAX_S
    identify_spacing_s: float = IDENTIFY_SPACING_S
    _jitter: random.Random = field(default_factory=random.Random)

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row; none after none."""
        if failures == 0:
            return 0.0
        # The exponent is bounded so that a long outage cannot overflow the power.
        bound_s = min(self.max_s, self.first_s * 2 ** min(failures - 1, 32))
        return self._jitter.uniform(bound_s / 2, bound_s)
