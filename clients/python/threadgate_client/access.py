"""What is decided and recorded, as values: approvals, tokens, people who ask to be let in, the audit log.

Frozen and tolerant, like those of `records.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadgate_client.fields import Fields
from threadgate_client.records import Actor


@dataclass(frozen=True, slots=True)
class Approval:
    """Something an agent wants to do and a person decides. `state` is pending, approved, denied, expired,
    cancelled, or a newer one."""

    id: str
    thread_id: str
    run_id: str
    title: str
    body: str
    state: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    decided_by: Actor | None = None
    decided_at: datetime | None = None
    reason: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Approval":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "approval")
        return cls(
            id=wire.text("id"),
            thread_id=wire.text("thread_id", ""),
            run_id=wire.text("run_id", ""),
            title=wire.text("title", ""),
            body=wire.text("body", ""),
            state=wire.text("state"),
            requested_by=wire.text("requested_by", ""),
            created_at=wire.instant("created_at"),
            expires_at=wire.instant("expires_at"),
            decided_by=wire.maybe("decided_by", Actor.from_json),
            decided_at=wire.maybe_instant("decided_at"),
            reason=wire.maybe_text("reason"),
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A credential without its secret."""

    id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    agent_id: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Token":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "token")
        return cls(
            id=wire.text("id"),
            name=wire.text("name", ""),
            role=wire.text("role"),
            created_at=wire.instant("created_at"),
            expires_at=wire.maybe_instant("expires_at"),
            revoked_at=wire.maybe_instant("revoked_at"),
            agent_id=wire.maybe_text("agent_id"),
        )


@dataclass(frozen=True, slots=True)
class Pairing:
    """Somebody who asked to be let in. `subject` is identity, `name` is their own word; `state` is pending,
    approved, rejected, expired, or a newer one."""

    id: str
    kind: str
    subject: str
    name: str
    state: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    channel: str | None = None
    account: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Pairing":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "pairing")
        return cls(
            id=wire.text("id"),
            kind=wire.text("kind"),
            subject=wire.text("subject"),
            name=wire.text("name", ""),
            state=wire.text("state"),
            created_at=wire.instant("created_at"),
            expires_at=wire.instant("expires_at"),
            decided_at=wire.maybe_instant("decided_at"),
            channel=wire.maybe_text("channel"),
            account=wire.maybe_text("account"),
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit log. `body` is the sealed text; the other fields repeat it for reading."""

    seq: int
    at: datetime
    actor: Actor
    action: str
    outcome: str
    subject: Mapping[str, Any]
    detail: Mapping[str, Any]
    hash: str
    body: str
    reason: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "AuditEntry":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "audit entry")
        return cls(
            seq=wire.number("seq"),
            at=wire.instant("at"),
            actor=wire.one("actor", Actor.from_json),
            action=wire.text("action"),
            outcome=wire.text("outcome"),
            subject=wire.mapping("subject"),
            detail=wire.mapping("detail"),
            hash=wire.text("hash"),
            body=wire.text("body"),
            reason=wire.maybe_text("reason"),
        )
