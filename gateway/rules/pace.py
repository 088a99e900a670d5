"""How fast one person may write in one room: two programs that answer each other must not talk for ever.

Measured by the platform's time of each message, so that what people wrote while the gateway was down is not
taken for haste, and by delivery, so that a redelivery is judged like the first.
"""

from collections import OrderedDict, deque
from typing import Final

MINUTE_MS: Final = 60_000
WRITERS_MAX: Final = 1_000
"""Pairs of room and person that are remembered; those who wrote last."""


class Pace:
    """Counts messages per room and person over the last minute. Bounded: forgets who has not written for long."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._taken: OrderedDict[tuple[str, str], deque[tuple[int, str]]] = OrderedDict()

    def allows(self, room: str, sender_id: str, delivery_id: str, at_ms: int) -> bool:
        """Whether this message is one of those its sender may write; it is counted when it is."""
        taken = self._taken.setdefault((room, sender_id), deque(maxlen=self._per_minute))
        self._taken.move_to_end((room, sender_id))
        if len(self._taken) > WRITERS_MAX:
            self._taken.popitem(last=False)
        if any(known == delivery_id for _, known in taken):
            return True
        if len(taken) == self._per_minute and abs(at_ms - taken[0][0]) < MINUTE_MS:
            return False
        taken.append((at_ms, delivery_id))
        return True
