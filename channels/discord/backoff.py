"""How long this adapter waits after failures of its own asking: connecting, reading back, storing."""

import random
from dataclasses import dataclass

from channels import backoff
from channels.discord.capabilities import BACKOFF_FIRST_S, BACKOFF_MAX_S, IDENTIFY_SPACING_S

_JITTER = random.Random()


@dataclass(frozen=True, slots=True)
class Backoff(backoff.Backoff):
    """Half a bound at least: identifying costs one of a thousand a day. New sessions are `identify_spacing_s`
    apart."""

    first_s: float = BACKOFF_FIRST_S
    max_s: float = BACKOFF_MAX_S
    identify_spacing_s: float = IDENTIFY_SPACING_S

    def delay_s(self, failures: int, jitter: random.Random = _JITTER) -> float:
        """The wait after so many failures in a row; none after none."""
        bound_s = self.bound_s(failures)
        return jitter.uniform(bound_s / 2, bound_s) if failures else 0.0
