"""What crosses the adapter port: inbound deliveries, rooms, rendered content, operations and receipts.

Plain immutable values (JSON-friendly: the store keeps some of them as text). No behaviour, no platform types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class RoomRef:
    """A place inside an account. `room` and `topic` are the platform's own immutable ids, as strings."""

    room: str
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote. Only `id` is identity; `name` is for showing."""

    id: str
    name: str
    is_bot: bool = False


class Addressed(StrEnum):
    """Why a message concerns us; `AMBIENT` means it does not."""

    DIRECT = "direct"
    MENTION = "mention"
    REPLY = "reply"
    COMMAND = "command"
    AMBIENT = "ambient"


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message a platform delivered.

    `delivery_id` is unique per platform delivery within (channel, account): a redelivery has the same one.
    `thread_key` names the conversation when the platform does (a direct chat, a topic); None means the
    conversation is the chain of replies, followed through `reply_to`. Times are milliseconds since 1970.
    """

    delivery_id: str
    room: RoomRef
    message_ref: str
    sender: Sender
    text: str
    addressed: Addressed
    is_direct: bool
    occurred_at_ms: int
    thread_key: str | None = None
    reply_to: str | None = None
    room_title: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that says nothing to us (a join, an edit, a bot); kept by id, so it stays accounted for."""

    delivery_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """One platform message, frozen: `payload` is what the adapter needs to send it, `text` what one reads."""

    text: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One durable act on a platform. `id` is the delivery's id, stable across attempts and restarts."""

    id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform took it. `ref` is the platform's message id."""

    ref: str
    certainty: Literal["confirmed", "deduplicated"] = "confirmed"


class Finding(StrEnum):
    """What reconciliation found out about an operation with an unknown outcome."""

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWABLE = "unknowable"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The finding, with the receipt when the message was found."""

    finding: Finding
    receipt: Receipt | None = None


class HealthState(StrEnum):
    """Whether messages flow."""

    STARTING = "starting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """How an account fares; `detail` says what to do when it is not connected."""

    state: HealthState
    detail: str | None = None
    last_event_at_ms: int | None = None
