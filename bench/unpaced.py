"""`threadgate` without the pace of real networks, for benchmarks against emulated ones that limit nothing.

Telegram takes 25 calls a second of a bot, and ten thousand answers would measure that. Everything else is the
product's own.
"""

import gateway.cli
import gateway.services.traffic
from gateway.rules.rate import TokenBucket


class Unlimited(TokenBucket):
    """Never empty."""

    def wait_s(self, now: float) -> float:
        """Nothing to wait for."""
        return 0.0


if __name__ == "__main__":
    gateway.services.traffic.TokenBucket = Unlimited  # type: ignore[attr-defined]
    gateway.cli.main()
