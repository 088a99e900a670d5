"""When to try again what certainly did not happen. The random number is an argument (0 ≤ chance < 1)."""

from typing import Final

FIRST_S: Final = 1.0
"""A restarted platform or a lost route is usually back within seconds."""
LAST_S: Final = 300.0
"""Five minutes between attempts is the most an operator should wait after a long outage."""
DELIVERY_ATTEMPTS: Final = 50
"""About four hours at five minutes each; afterwards a delivery is failed and shown."""


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait after the `attempt`-th failure: exponential, with jitter between half and all of it."""
    ceiling = min(LAST_S, FIRST_S * 2 ** min(attempt, 16))
    return float(ceiling * (0.5 + chance / 2))
