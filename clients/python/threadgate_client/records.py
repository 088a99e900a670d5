"""The things the gateway knows, as values: threads, messages, runs, events, agents, channels, tokens, audit.

Frozen and tolerant: unknown fields are ignored, and a kind, state or role that a newer gateway adds is just
another string (the enums here compare equal to their strings). Who asks for them is in `methods.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from threadgate_client.fields import Fields


class EventKind(StrEnum):
    """The kinds this client acts on; events of all kinds are delivered."""

    MESSAGE_CREATED = "message.created"
    RUN_QUEUED = "run.queued"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    RUN_INTERRUPTED = "run.interrupted"


RUN_ENDINGS = frozenset(
    {EventKind.RUN_COMPLETED, EventKind.RUN_FAILED, EventKind.RUN_CANCELLED, EventKind.RUN_INTERRUPTED}
)
"""Exactly one of these ends every attempt of a run."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something. `id` is identity, `name` is decoration."""

    id: str
    kind: str
    name: str

    @classmethod
    def from_json(cls, value: object) -> "Actor":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "actor")
        return cls(id=wire.text("id"), kind=wire.text("kind", ""), name=wire.text("name", ""))


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text in CommonMark."""

    text: str


@dataclass(frozen=True, slots=True)
class BlobPart:
    """A file, by the id its upload returned. `name` is what the gateway calls it; a sender leaves it out."""

    blob_id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class UnknownPart:
    """Content of a type that this client does not know, as it came."""

    type: str
    fields: Mapping[str, Any]


Part = TextPart | BlobPart | UnknownPart


def part_from_json(value: object) -> Part:
    """Read one part of a message's content. Raises ProtocolViolation."""
    wire = Fields(value, "part")
    match wire.text("type"):
        case "text":
            return TextPart(wire.text("text"))
        case "blob":
            return BlobPart(wire.text("blob_id"), wire.text("name", ""))
        case other:
            return UnknownPart(other, MappingProxyType(dict(value) if isinstance(value, dict) else {}))


def part_to_json(part: Part) -> dict[str, Any]:
    """Write one part of a message's content."""
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case BlobPart(blob_id=blob_id):
            return {"type": "blob", "blob_id": blob_id}
        case UnknownPart(_, fields):
            return dict(fields)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a thread began: a client of the protocol, or a room of a chat network."""

    kind: str
    channel: str | None = None
    account: str | None = None
    room: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Origin":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "origin")
        return cls(
            kind=wire.text("kind", ""),
            channel=wire.maybe_text("channel"),
            account=wire.maybe_text("account"),
            room=wire.maybe_text("room"),
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation. `status` is active, archived, deleted, or a newer one."""

    id: str
    title: str | None
    status: str
    agent_id: str
    head_seq: int
    created_at: datetime
    updated_at: datetime
    origin: Origin

    @classmethod
    def from_json(cls, value: object) -> "Thread":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "thread")
        return cls(
            id=wire.text("id"),
            title=wire.maybe_text("title"),
            status=wire.text("status"),
            agent_id=wire.text("agent_id"),
            head_seq=wire.number("head_seq"),
            created_at=wire.instant("created_at"),
            updated_at=wire.instant("updated_at"),
            origin=wire.one("origin", Origin.from_json),
        )


@dataclass(frozen=True, slots=True)
class Message:
    """What was said. `role` is user, assistant, system, or a newer one."""

    id: str
    role: str
    content: tuple[Part, ...]
    author: Actor
    run_id: str | None = None

    @property
    def text(self) -> str:
        """The text parts, one after the other."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @classmethod
    def from_json(cls, value: object) -> "Message":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "message")
        return cls(
            id=wire.text("id"),
            role=wire.text("role"),
            content=wire.many("content", part_from_json),
            author=wire.one("author", Actor.from_json),
            run_id=wire.maybe_text("run_id"),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One durable fact of a thread. `data` is as it came; `message` reads it for `message.*` kinds."""

    thread_id: str
    seq: int
    kind: str
    at: datetime
    actor: Actor
    run_id: str | None
    data: Mapping[str, Any]

    @property
    def message(self) -> Message | None:
        """The message the event is about, or None. Raises ProtocolViolation when it is malformed."""
        return Message.from_json(self.data["message"]) if "message" in self.data else None

    @classmethod
    def from_json(cls, value: object) -> "Event":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "event")
        return cls(
            thread_id=wire.text("thread_id"),
            seq=wire.number("seq"),
            kind=wire.text("kind"),
            at=wire.instant("at"),
            actor=wire.one("actor", Actor.from_json),
            run_id=wire.maybe_text("run_id"),
            data=wire.mapping("data"),
        )


class RunState(StrEnum):
    """The states of a run that are known today."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run did not complete. `kind` is stable, `message` is safe to show."""

    kind: str
    message: str

    @classmethod
    def from_json(cls, value: object) -> "RunError":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "error")
        return cls(kind=wire.text("kind", ""), message=wire.text("message", ""))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run consumed. Money is in millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0

    @classmethod
    def from_json(cls, value: object) -> "Usage":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "usage")
        return cls(
            input_tokens=wire.number("input_tokens", 0),
            output_tokens=wire.number("output_tokens", 0),
            cost_microusd=wire.number("cost_microusd", 0),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of an agent. `state` is a RunState, or a newer one.

    `waiting_for` is approval, input, device, or a newer word, while the state is waiting. `facts` say how it was
    answered, `journal_hash` seals what a completed run did.
    """

    id: str
    thread_id: str
    agent_id: str
    state: str
    attempt: int
    queued_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: RunError | None = None
    usage: Usage = field(default_factory=Usage)
    retry_of: str | None = None
    agent_version: str | None = None
    waiting_for: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    journal_hash: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "Run":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "run")
        return cls(
            id=wire.text("id"),
            thread_id=wire.text("thread_id"),
            agent_id=wire.text("agent_id"),
            state=wire.text("state"),
            attempt=wire.number("attempt"),
            queued_at=wire.instant("queued_at"),
            started_at=wire.maybe_instant("started_at"),
            ended_at=wire.maybe_instant("ended_at"),
            error=wire.maybe("error", RunError.from_json),
            usage=wire.maybe("usage", Usage.from_json) or Usage(),
            retry_of=wire.maybe_text("retry_of"),
            agent_version=wire.maybe_text("agent_version"),
            waiting_for=wire.maybe_text("waiting_for"),
            facts=wire.mapping("facts"),
            journal_hash=wire.maybe_text("journal_hash"),
        )


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """Somebody who answers, as the gateway knows them. `state` is draft, released, suspended, or a newer one;
    `breaker` is closed, open, half_open, or a newer word. `problem` says why it cannot answer at all."""

    id: str
    name: str
    kind: str
    state: str
    description: str
    version: str = ""
    tools: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    fallback: str | None = None
    breaker: str = "closed"
    running: int = 0
    concurrent: int | None = None
    workers: int | None = None
    problem: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "AgentInfo":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "agent")
        return cls(
            id=wire.text("id"),
            name=wire.text("name", ""),
            kind=wire.text("kind", ""),
            state=wire.text("state", ""),
            description=wire.text("description", ""),
            version=wire.text("version", ""),
            tools=wire.many("tools", str),
            scopes=wire.many("scopes", str),
            fallback=wire.maybe_text("fallback"),
            breaker=wire.text("breaker", "closed"),
            running=wire.number("running", 0),
            concurrent=wire.maybe_number("concurrent"),
            workers=wire.maybe_number("workers"),
            problem=wire.maybe_text("problem"),
        )


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
class ChannelGap:
    """Between these instants messages of people may have been lost for ever."""

    since: datetime
    until: datetime
    reason: str

    @classmethod
    def from_json(cls, value: object) -> "ChannelGap":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "gap")
        return cls(wire.instant("since"), wire.instant("until"), wire.text("reason", ""))


@dataclass(frozen=True, slots=True)
class Channel:
    """One account of a chat network and how it fares. `breaker` is closed, open, half_open, or a newer word."""

    id: str
    kind: str
    account: str
    state: str
    detail: str | None = None
    last_event_at: datetime | None = None
    deliveries_waiting: int = 0
    deliveries_uncertain: int = 0
    deliveries_held: int = 0
    deliveries_failed: int = 0
    lag_ms: int | None = None
    missing: tuple[str, ...] = ()
    probed_at: datetime | None = None
    breaker: str = "closed"
    last_gap: ChannelGap | None = None

    @classmethod
    def from_json(cls, value: object) -> "Channel":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "channel")
        return cls(
            id=wire.text("id"),
            kind=wire.text("kind"),
            account=wire.text("account"),
            state=wire.text("state"),
            detail=wire.maybe_text("detail"),
            last_event_at=wire.maybe_instant("last_event_at"),
            deliveries_waiting=wire.number("deliveries_waiting", 0),
            deliveries_uncertain=wire.number("deliveries_uncertain", 0),
            deliveries_held=wire.number("deliveries_held", 0),
            deliveries_failed=wire.number("deliveries_failed", 0),
            lag_ms=wire.maybe_number("lag_ms"),
            missing=wire.many("missing", str),
            probed_at=wire.maybe_instant("probed_at"),
            breaker=wire.text("breaker", "closed"),
            last_gap=wire.maybe("last_gap", ChannelGap.from_json),
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One platform message that is or was owed to a room.

    `state` is idle, sending, unknown, held, sent, failed, or a newer one.
    """

    id: str
    channel_id: str
    room: str
    part: int
    state: str
    preview: str
    attempts: int
    uncertain: int
    created_at: datetime
    updated_at: datetime
    topic: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    ref: str | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Delivery":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "delivery")
        return cls(
            id=wire.text("id"),
            channel_id=wire.text("channel_id"),
            room=wire.text("room"),
            part=wire.number("part"),
            state=wire.text("state"),
            preview=wire.text("preview", ""),
            attempts=wire.number("attempts", 0),
            uncertain=wire.number("uncertain", 0),
            created_at=wire.instant("created_at"),
            updated_at=wire.instant("updated_at"),
            topic=wire.maybe_text("topic"),
            thread_id=wire.maybe_text("thread_id"),
            run_id=wire.maybe_text("run_id"),
            ref=wire.maybe_text("ref"),
            error=wire.maybe_text("error"),
            next_attempt_at=wire.maybe_instant("next_attempt_at"),
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
        )
