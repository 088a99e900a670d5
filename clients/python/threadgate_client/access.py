"""What is decided and recorded, as values: tokens, people who ask to be let in, the audit log.

Frozen and tolerant, like those of `records.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadgate_client.errors import ProtocolViolation
from threadgate_client.fields import Fields
from threadgate_client.records import Actor


def _rate(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ProtocolViolation("token.requests_per_s is not a number")
    return float(value)


@dataclass(frozen=True, slots=True)
class Token:
    """A credential without its secret. It may what both its role and that of its principal allow."""

    id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    agent_id: str | None = None
    principal_id: str | None = None
    networks: tuple[str, ...] = ()
    requests_per_s: float | None = None
    rotated_from: str | None = None
    last_used_at: datetime | None = None

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
            principal_id=wire.maybe_text("principal_id"),
            networks=wire.many("networks", str),
            requests_per_s=wire.maybe("requests_per_s", _rate),
            rotated_from=wire.maybe_text("rotated_from"),
            last_used_at=wire.maybe_instant("last_used_at"),
        )


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What a device asks for that wants to be paired. All but the key's `fingerprint` and the address is its own word.

    `is_widening`: it is paired already and asks for more. `commands` are names and their risks.
    """

    device_id: str
    fingerprint: str
    platform: str
    address: str
    commands: tuple[tuple[str, str], ...]
    scopes: tuple[str, ...]
    is_widening: bool

    @classmethod
    def from_json(cls, value: object) -> "DeviceRequest":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "device request")
        return cls(
            device_id=wire.text("device_id"),
            fingerprint=wire.text("fingerprint"),
            platform=wire.text("platform", ""),
            address=wire.text("address", ""),
            commands=wire.many("commands", _outline),
            scopes=wire.many("scopes", str),
            is_widening=wire.flag("is_widening"),
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
    device: DeviceRequest | None = None

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
            device=wire.maybe("device", DeviceRequest.from_json),
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
    content: Any = None
    """What the entry commits to; like `address` only when it was asked for and is still there."""
    address: str | None = None

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
            content=wire.maybe("content", lambda content: content),
            address=wire.maybe_text("address"),
        )


def _outline(value: object) -> tuple[str, str]:
    wire = Fields(value, "command")
    return wire.text("name"), wire.text("risk", "medium")
