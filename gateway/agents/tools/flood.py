"""How much an MCP server may send before it is cut off: an allowance that fills up again. Pure; time is an argument."""

from dataclasses import dataclass
from typing import Final

from protocol.limits import KIB, MIB

MESSAGE_BYTES_MAX: Final = 4 * MIB
"""One message: a screenshot fits. Longer ones end the connection, or the call that they answer."""
MESSAGE_COST: Final = 16 * KIB
"""What even the smallest message costs, in bytes: reading one keeps the loop busy for as long as copying so many."""
ALLOWANCE_BYTES: Final = 32 * MIB
"""At once: eight of the longest messages, or two thousand small ones."""
REFILL_BYTES_PER_S: Final = 4 * MIB
"""Over time: some 250 messages a second, more than progress reports need, and a few percent of one core."""


class Flooded(Exception):
    """The server sends more than anybody could use."""


@dataclass(slots=True)
class Allowance:
    """What one connection may still send."""

    left: float = ALLOWANCE_BYTES
    at_s: float = 0.0

    def take(self, size: int, messages: int, now_s: float) -> None:
        """Count what came, at a monotonic time. Raises Flooded."""
        refill = max(0.0, now_s - self.at_s) * REFILL_BYTES_PER_S
        self.left = min(ALLOWANCE_BYTES, self.left + refill) - max(size, messages * MESSAGE_COST)
        self.at_s = now_s
        if self.left < 0:
            raise Flooded("it sent more than a connection may")
