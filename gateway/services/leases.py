"""Who owns runs in this process, and for how long at a time."""

from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock

LEASE_S: Final = 30.0
"""A run whose owner is silent this long may be taken over."""
RENEW_S: Final = 10.0
"""Three chances to renew before a lease runs out."""


@dataclass(frozen=True, slots=True)
class Leases:
    """`owner` is this boot of the gateway: a later one is another owner."""

    owner: str
    clock: Clock

    def now_and_until(self) -> tuple[int, int]:
        """The present and the end of a lease that begins now, in milliseconds since 1970."""
        now_ms = self.clock.now_ms()
        return now_ms, now_ms + round(LEASE_S * 1000)
