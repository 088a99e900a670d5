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
    READBACK: our own messages can be found again by a marker. NONCE: the server recognises a repeated send,
    for a while, and after that our messages can be read back.
    """

    NONE = "none"
    READBACK = "readback"
    NONCE = "nonce"


class StreamMode(StrEnum):
    """How a room shows an answer while it is written.

    NATIVE: a message that grows (`open_stream`, `append`, `close_stream`). DRAFT: a preview that leaves no
    trace (`draft`). EDIT: a message that is edited. NONE: only typing.
    """

    NATIVE = "native"
    DRAFT = "draft"
    EDIT = "edit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a platform takes: `per_s` calls a second on average, `burst` at once after a pause."""

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One room's limits. Intervals are the least seconds between two calls the platform tolerates.

    `stream_max_s` is the longest a native stream may live (later text goes through edits), or how long a draft
    stays to be seen. `room_rate` and `account_rate` bound calls that write; None means the platform tells by
    refusing. `typing_refresh_s` is how often typing must be shown again, None where it cannot be shown.
    `file_max_bytes` 0: no files.
    """

    text_max: int
    text_unit: TextUnit
    idempotency: Idempotency
    can_edit: bool
    edit_interval_s: float
    typing_refresh_s: float | None = None
    stream: StreamMode = StreamMode.EDIT
    stream_interval_s: float = 1.0
    stream_max_s: float | None = None
    room_rate: Rate | None = None
    account_rate: Rate | None = None
    file_max_bytes: int = 0
    reactions: bool = False
    actions_max: int = 0
