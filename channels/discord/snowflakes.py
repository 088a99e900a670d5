"""Discord's ids and times. An id holds the instant it was made, in milliseconds (reference.mdx#snowflakes)."""

from datetime import datetime

# 2015-01-01T00:00:00Z in milliseconds since 1970.
_EPOCH_MS = 1_420_070_400_000
_SEQUENCE_BITS = 22


def millis_of(snowflake: str) -> int:
    """When the id was made, in milliseconds since 1970."""
    return (int(snowflake) >> _SEQUENCE_BITS) + _EPOCH_MS


def first_id_at(at_ms: int) -> int:
    """The least id that can be made at this instant."""
    return max(at_ms - _EPOCH_MS, 0) << _SEQUENCE_BITS


def millis_of_time(iso: str) -> int:
    """A time as the API writes it, in milliseconds since 1970. Raises ValueError."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)
