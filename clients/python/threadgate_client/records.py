"""The things the gateway knows, as values: threads, messages, runs, events, agents, tokens, audit.

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
from threadgate_client.spending import SwitchedOff


class EventKind(StrEnum):
    """The kinds this client acts on; events of all kinds are delivered."""

    MESSAGE_CREATED = "message.created"
    RUN_QUEUED = "run.queued"
    RUN_WAITING = "run.waiting"
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
    """A conversation. `status` is active, archived, deleted, or a newer one.

    `assignee` is the person who has taken it over: until it is given back, its agent does not answer.
    """

    id: str
    title: str | None
    status: str
    agent_id: str
    head_seq: int
    created_at: datetime
    updated_at: datetime
    origin: Origin
    assignee: Actor | None = None

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
            assignee=wire.maybe("assignee", Actor.from_json),
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
    switched_off: SwitchedOff | None = None

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
            switched_off=wire.maybe("switched_off", SwitchedOff.from_json),
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is connected."""

    id: str
    kind: str
    name: str

    @classmethod
    def from_json(cls, value: object) -> "Principal":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "principal")
        return cls(id=wire.text("id"), kind=wire.text("kind", ""), name=wire.text("name", ""))
