"""The plain values of files: those that arrive, those that are here, as rows know them. No behaviour."""

from dataclasses import dataclass
from typing import Literal

BlobState = Literal["pending", "stored", "failed"]


@dataclass(frozen=True, slots=True)
class ArrivingFile:
    """A file that came with a message and has to be fetched from its chat network.

    `name` is safe already, `media_type` and `size_bytes` are claims. `source` is what the adapter needs, as JSON
    text; None says that it will not be fetched, because the message had too many.
    """

    id: str
    name: str
    media_type: str
    size_bytes: int | None
    channel: str
    account: str
    source: str | None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose bytes are here: its id, a safe name and what its bytes are."""

    id: str
    name: str
    media_type: str


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A file as the store knows it. `sha256` is known once it is stored, `error` says why it failed or was late."""

    id: str
    org_id: str
    state: BlobState
    name: str
    media_type: str
    size_bytes: int | None
    sha256: str | None
    message_id: str | None
    thread_id: str | None
    channel: str | None
    account: str | None
    source: str | None
    attempts: int
    error: str | None
    created_at_ms: int
