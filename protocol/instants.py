"""Instants on the wire: milliseconds since 1970 ↔ RFC 3339 text in UTC with exactly three decimals.

The store keeps integers, the wire shows text; this is the only place that converts.
"""

from datetime import UTC, datetime
from functools import lru_cache


def to_instant(at_ms: int) -> str:
    """`1763717400123` → `2025-11-21T09:30:00.123Z`."""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


def from_instant(instant: str) -> int:
    """The inverse of `to_instant`; takes other ISO 8601 forms too. Raises ValueError without a time zone."""
    moment = datetime.fromisoformat(instant)
    if moment.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return round(moment.timestamp() * 1000)


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    # Many instants of one second are formatted in a row under load: the date part is worth remembering.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
