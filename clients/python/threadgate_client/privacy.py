"""What becomes of data, as it is on the wire: what is over its time, legal holds, and what an erasure came to.

Plain values, built only from the wire. The methods are in `methods.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadgate_client.fields import Fields
from threadgate_client.records import Actor


@dataclass(frozen=True, slots=True)
class LegalHold:
    """What must be kept. `kind` is thread, person, or a newer one."""

    id: str
    kind: str
    subject: str
    reason: str
    placed_by: Actor
    placed_at: datetime
    released_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "LegalHold":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "legal hold")
        return cls(
            id=wire.text("id"),
            kind=wire.text("kind"),
            subject=wire.text("subject"),
            reason=wire.text("reason", ""),
            placed_by=wire.one("placed_by", Actor.from_json),
            placed_at=wire.instant("placed_at"),
            released_at=wire.maybe_instant("released_at"),
        )


@dataclass(frozen=True, slots=True)
class Erased:
    """What would be, or was, erased, by class; the certificate only when it was."""

    counts: Mapping[str, Any]
    certificate: Mapping[str, Any]
    holds: tuple[LegalHold, ...] = ()

    @classmethod
    def from_json(cls, value: object) -> "Erased":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "erasure")
        return cls(
            counts=wire.mapping("counts"),
            certificate=wire.mapping("certificate"),
            holds=wire.many("holds", LegalHold.from_json),
        )


@dataclass(frozen=True, slots=True)
class OverTime:
    """One class of data with a bound: how much of it is over its time, was deleted, is kept by a legal hold."""

    name: str
    days: int
    cutoff: datetime
    would_delete: int
    deleted: int
    held: int

    @classmethod
    def from_json(cls, value: object) -> "OverTime":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "retention class")
        return cls(
            name=wire.text("name"),
            days=wire.number("days"),
            cutoff=wire.instant("cutoff"),
            would_delete=wire.number("would_delete"),
            deleted=wire.number("deleted"),
            held=wire.number("held"),
        )


@dataclass(frozen=True, slots=True)
class Retained:
    """What a run of retention came to."""

    dry_run: bool
    classes: tuple[OverTime, ...]

    @classmethod
    def from_json(cls, value: object) -> "Retained":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "retention")
        return cls(dry_run=wire.flag("dry_run"), classes=wire.many("classes", OverTime.from_json))
