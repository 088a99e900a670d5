"""What people decide about, as values: approvals, votes, edits, grants. Who asks for them: `approval_methods.py`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadgate_client.fields import Fields
from threadgate_client.records import Actor


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said about it, approve, deny or request_changes; `subject_hash` is what it was about."""

    actor: Actor
    vote: str
    subject_hash: str
    at: datetime
    via: str = ""
    reason: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Vote":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "vote")
        return cls(
            actor=wire.one("actor", Actor.from_json),
            vote=wire.text("vote"),
            subject_hash=wire.text("subject_hash", ""),
            at=wire.instant("at"),
            via=wire.text("via", ""),
            reason=wire.maybe_text("reason"),
        )


@dataclass(frozen=True, slots=True)
class Edit:
    """What was made of it: the whole action, its hash, and what differs, line by line."""

    subject: Mapping[str, Any]
    subject_hash: str
    diff: str
    by: Actor
    at: datetime

    @classmethod
    def from_json(cls, value: object) -> "Edit":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "edited")
        return cls(
            subject=wire.mapping("subject"),
            subject_hash=wire.text("subject_hash"),
            diff=wire.text("diff", ""),
            by=wire.one("by", Actor.from_json),
            at=wire.instant("at"),
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for more than once, in one thread or all of its agent's; it ends by uses, by its time, or when revoked."""

    id: str
    scope: str
    agent_id: str
    kind: str
    name: str
    granted_by: Actor
    expires_at: datetime
    thread_id: str | None = None
    uses_left: int | None = None
    revoked_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Grant":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "grant")
        return cls(
            id=wire.text("id"),
            scope=wire.text("scope", ""),
            agent_id=wire.text("agent_id", ""),
            kind=wire.text("kind", ""),
            name=wire.text("name", ""),
            granted_by=wire.one("granted_by", Actor.from_json),
            expires_at=wire.instant("expires_at"),
            thread_id=wire.maybe_text("thread_id"),
            uses_left=wire.maybe_number("uses_left"),
            revoked_at=wire.maybe_instant("revoked_at"),
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """Who decides: so many different people of `approvers` must approve, so many may deny."""

    approvers: tuple[str, ...] = ()
    quorum: int = 1
    denials: int = 1
    separation: bool = False
    escalate_to: tuple[str, ...] = ()
    grants: bool = True

    @classmethod
    def from_json(cls, value: object) -> "Rules":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "rules")
        return cls(
            approvers=wire.many("approvers", str),
            quorum=wire.number("quorum", 1),
            denials=wire.number("denials", 1),
            separation=wire.flag("separation"),
            escalate_to=wire.many("escalate_to", str),
            grants=wire.flag("grants"),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """Something that somebody or something wants to do and people decide. `body` is the whole of it.

    `kind` is tool, message, device, pairing, release, or a newer one; `state` is pending, approved, denied,
    changes_requested, expired, cancelled, or a newer one. `edited` is what was approved instead of what was asked.
    """

    id: str
    title: str
    body: str
    state: str
    requested_by: str
    created_at: datetime
    expires_at: datetime
    kind: str = "tool"
    name: str = ""
    thread_id: str = ""
    run_id: str = ""
    agent_id: str | None = None
    subject_hash: str = ""
    risk: str = ""
    rule: str = ""
    rules: Rules | None = None
    votes: tuple[Vote, ...] = ()
    escalated_at: datetime | None = None
    decided_by: Actor | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    edited: Edit | None = None
    grant: Grant | None = None
    grant_id: str | None = None
    consumed_at: datetime | None = None
    supersedes: str | None = None

    @property
    def hash(self) -> str:
        """What a decision is about now: the action as it was asked, or as it was edited."""
        return self.edited.subject_hash if self.edited is not None else self.subject_hash

    @classmethod
    def from_json(cls, value: object) -> "Approval":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "approval")
        return cls(
            id=wire.text("id"),
            title=wire.text("title", ""),
            body=wire.text("body", ""),
            state=wire.text("state"),
            requested_by=wire.text("requested_by", ""),
            created_at=wire.instant("created_at"),
            expires_at=wire.instant("expires_at"),
            kind=wire.text("kind", "tool"),
            name=wire.text("name", ""),
            thread_id=wire.maybe_text("thread_id") or "",
            run_id=wire.maybe_text("run_id") or "",
            agent_id=wire.maybe_text("agent_id"),
            subject_hash=wire.text("subject_hash", ""),
            risk=wire.text("risk", ""),
            rule=wire.text("rule", ""),
            rules=wire.maybe("rules", Rules.from_json),
            votes=wire.many("votes", Vote.from_json),
            escalated_at=wire.maybe_instant("escalated_at"),
            decided_by=wire.maybe("decided_by", Actor.from_json),
            decided_at=wire.maybe_instant("decided_at"),
            reason=wire.maybe_text("reason"),
            edited=wire.maybe("edited", Edit.from_json),
            grant=wire.maybe("grant", Grant.from_json),
            grant_id=wire.maybe_text("grant_id"),
            consumed_at=wire.maybe_instant("consumed_at"),
            supersedes=wire.maybe_text("supersedes"),
        )
