"""What a room of a platform can do, as values. The core branches on these and never on a platform's name."""

from dataclasses import dataclass
from enum import StrEnum


class TextUnit(StrEnum):
    """How a platform counts the length of a text."""

    CODEPOINTS = "codepoints"
    UTF16 = "utf16"


class Idempotency(StrEnum):
    """What a platform offers against saying something twice.

    NONE: nothing, so content goes through edits of a placeholder (platforms differ only in this value).
    READBACK: our own messages can be found again by a marker. NONCE: the server recognises a repeated send.
    """

    NONE = "none"
    READBACK = "readback"
    NONCE = "nonce"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One room's limits. Intervals are the least seconds between two calls the platform tolerates."""

    text_max: int
    text_unit: TextUnit
    idempotency: Idempotency
    can_edit: bool
    edit_interval_s: float
    typing_refresh_s: float | None = None
