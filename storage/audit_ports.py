"""What the gateway asks of the audit log, and what the log asks of the gateway: keys that are not in the store."""

from typing import Any, Protocol

from protocol.records import AuditEntry
from storage.audit_values import (
    AuditFilter,
    AuditHead,
    EntryPath,
    KeyRotation,
    NewEpoch,
    Revealed,
    TrailLine,
    TrailNote,
)
from storage.values import Act


class Sealer(Protocol):
    """Data keys of content behind audit entries, usable only with a key that is kept outside the store.

    Called on database threads, inside transactions.
    """

    def new_key(self) -> bytes:
        """A new data key, wrapped."""
        ...

    def seal(self, wrapped: bytes, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt with a wrapped data key; what is sealed opens only at the place it is bound to.

        Raises ContentUnreadable when the outer key does not open the data key.
        """
        ...

    def open(self, wrapped: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        """Decrypt. Raises ContentUnreadable."""
        ...


class CheckpointStore(Protocol):
    """The tree over the log's entries, and the checkpoints that were signed over it."""

    async def head(self) -> AuditHead:
        """The log as it stands."""
        ...

    async def grow(self, size: int) -> int:
        """Make the tree over the next entries, some thousands at most and up to `size`; returns how many it is over."""
        ...

    async def root(self, size: int) -> bytes:
        """The root over the first entries. Raises StoreDamaged where the tree is not over so many."""
        ...

    async def latest(self) -> str | None:
        """The note of the newest checkpoint."""
        ...

    async def add(self, note: str, size: int, root: bytes, now_ms: int) -> None:
        """Record a signed checkpoint; whoever publishes it is told after the commit (`CheckpointMade`)."""
        ...

    async def path(self, org_id: str, seq: int, size: int) -> EntryPath:
        """What proves that an entry of the organization is among the first. Raises Fault not_found."""
        ...

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """What proves that the tree over `second` entries begins with the one over `first`."""
        ...

    async def begin_epoch(self, act: Act, new: NewEpoch) -> None:
        """Go on behind a store that was restored; the entry says behind what."""
        ...

    async def rotate_key(self, act: Act, rotation: KeyRotation) -> None:
        """Record that another key signs."""
        ...


class AuditStore(Protocol):
    """The audit log, for reading; entries are written by the acts themselves."""

    async def page(
        self, org_id: str, after_seq: int, action: str | None, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        """Entries in order after a place."""
        ...

    async def find(
        self, org_id: str, wanted: AuditFilter, after_seq: int, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        """Entries that fit, in order after a place. Raises StoreUnavailable where the index cannot be made now."""
        ...

    async def record(
        self,
        act: Act,
        action: str,
        subject: dict[str, str],
        outcome: str,
        detail: dict[str, Any],
        *,
        reason: str | None = None,
        content: Any = None,
        about: str | None = None,
    ) -> None:
        """An entry for an act that changes nothing else (a refused login, say)."""
        ...

    async def reveal(self, act: Act, seqs: list[int]) -> dict[int, Revealed]:
        """What stands behind these entries of the act's organization, by seq, where it is still there.

        Looking at it leaves an entry of its own.
        """
        ...


class TrailStore(Protocol):
    """The audit log of all organizations on its way out, and how far each way has got."""

    async def lines(self, after: int, last: int, limit: int) -> list[TrailLine]:
        """Entries behind `after` up to `last`, verbatim."""
        ...

    async def notes(self, after: int, last: int, limit: int) -> list[TrailNote]:
        """Checkpoints over more than `after` and at most `last` entries, smallest first."""
        ...

    async def positions(self) -> dict[str, int]:
        """Up to where each sink and anchor was confirmed."""
        ...

    async def advance(self, name: str, position: int, now_ms: int) -> None:
        """Everything up to there was confirmed by the target."""
        ...
