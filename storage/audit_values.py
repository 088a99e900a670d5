"""Plain values of the audit log: what its entries commit to, and the signal that there are new ones."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditAppended:
    """An entry was committed."""

    seq: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Revealed:
    """What stands behind the commitments of one entry; a part is missing when it was never there or was erased."""

    content: Any = None
    address: str | None = None
