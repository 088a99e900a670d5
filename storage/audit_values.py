"""Plain values of the audit log: what its entries commit to, and the signal that there are new ones."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class AuditAppended(NamedTuple):
    """An entry was committed."""

    seq: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class CheckpointMade:
    """A checkpoint was committed; it may be published."""

    note: str
    size: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The log as it stands."""

    log_id: str
    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """The log goes on behind a store that is not the one its last known checkpoint was made of."""

    epoch: int
    store_epoch: str
    """The new epoch of the store: places in threads' logs that clients remember are void."""
    reason: str
    origin: str
    size: int
    root: str
    """The last known checkpoint; the root in hexadecimal."""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """Another key signs from now on. `signature` is the old key's over `audit_notes.rotation_text`; None: lost."""

    old_vkey: str | None
    new_vkey: str
    signature: str | None


@dataclass(frozen=True, slots=True)
class EntryPath:
    """An entry's bytes and the hashes beside its way to the root."""

    body: str
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """What stands behind the commitments of one entry; a part is missing when it was never there or was erased."""

    content: Any = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is None does not matter.

    `actor`: an id, also `NETWORK:ID` of somebody of a chat network. `action`: whole, or up to a dot and `*`.
    `entity`: an id among the subject's, or `KIND:ID`. `since_ms` is the first instant, `until_ms` the first one after.
    """

    actor: str | None = None
    action: str | None = None
    entity: str | None = None
    outcome: str | None = None
    via: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def names(self) -> list[str]:
        """Which filters are set."""
        return [name for name in self.__slots__ if getattr(self, name) is not None]


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One entry of the log as it stands."""

    seq: int
    org_id: str
    at_ms: int
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class TrailNote:
    """A checkpoint over the first `size` entries."""

    size: int
    note: str
