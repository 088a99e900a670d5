"""Opaque, prefixed, time-ordered identifiers.

An id is a prefix that names its kind, an underscore and 26 Crockford base32 characters: 48 bits of
milliseconds since 1970 and 80 random bits, so ids of one kind sort by creation. Nobody parses them; the order
only keeps database pages warm and lists stable. Time and randomness are arguments: this module is pure.
"""

from enum import StrEnum
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_BODY_CHARS: Final = 26
RANDOM_BYTES: Final = 10
"""Random bytes one id consumes (80 bits: no collision to expect below 10^11 ids in one millisecond)."""


class IdPrefix(StrEnum):
    """The kind of thing an id names."""

    THREAD = "thr"
    MESSAGE = "msg"
    RUN = "run"
    APPROVAL = "apr"
    DELIVERY = "dlv"
    DEVICE = "dev"
    TOKEN = "tok"
    PRINCIPAL = "prn"
    CONNECTION = "con"
    INCIDENT = "inc"
    EPOCH = "epo"
    PAIRING = "par"
    BLOB = "blb"
    QUESTION = "que"
    GRANT = "grt"
    INVOCATION = "inv"
    HOLD = "hld"
    ERASURE = "ers"
    PERSON = "per"
    LINK_CODE = "lnk"


def make_id(prefix: IdPrefix, now_ms: int, entropy: bytes) -> str:
    """Return an id for `prefix`.

    `now_ms` is the wall clock in milliseconds since 1970; `entropy` is exactly `RANDOM_BYTES` random bytes.
    Raises ValueError when either is out of range.
    """
    if len(entropy) != RANDOM_BYTES or not 0 <= now_ms < 1 << 48:
        raise ValueError("an id needs 48 bits of milliseconds and 80 random bits")
    number = now_ms << 80 | int.from_bytes(entropy)
    # 130 bits in thirteen steps of two characters: a third of the time of one character a step.
    body = "".join([_PAIRS[(number >> shift) & 0x3FF] for shift in range(120, -1, -10)])
    return f"{prefix.value}_{body}"


def has_prefix(value: str, prefix: IdPrefix) -> bool:
    """Whether `value` has the shape of an id of that kind (says nothing about its existence)."""
    kind, _, body = value.partition("_")
    return kind == prefix.value and len(body) == _BODY_CHARS and all(char in _ALPHABET for char in body)
