"""What the gateway asks of the audit log, and what the log asks of the gateway: keys that are not in the store."""

from typing import Any, Protocol

from protocol.records import AuditEntry
from storage.audit_values import Revealed
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


class AuditStore(Protocol):
    """The audit log, for reading; entries are written by the acts themselves."""

    async def page(
        self, org_id: str, after_seq: int, action: str | None, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        """Entries in order after a place."""
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
