"""What crosses the adapter port: inbound deliveries, rooms, rendered content, operations and receipts.

Plain immutable values (JSON-friendly: the store keeps some of them as text). No behaviour, no platform types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

# --- places and people -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoomRef:
    """A place inside an account. `room` and `topic` are the platform's own immutable ids, as strings.

    `topic` is a thread inside the room, named before it may exist: replying to it makes it (Slack's thread of
    a root message, Discord's thread of a starter message, Telegram's topic).
    """

    room: str
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote. Only `id` is identity; `name` is for showing.

    `is_external`: from outside the organization that owns the room (a shared channel, a guest).
    """

    id: str
    name: str
    is_bot: bool = False
    is_external: bool = False


class Addressed(StrEnum):
    """Why a message concerns us; `AMBIENT` means it does not."""

    DIRECT = "direct"
    MENTION = "mention"
    REPLY = "reply"
    COMMAND = "command"
    AMBIENT = "ambient"


# --- what a platform delivers ----------------------------------------------------------------------
#
# Every delivery has a `delivery_id`, unique within (channel, account): a redelivery has the same one.
# Times are milliseconds since 1970.


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message. `key` is what the adapter needs to fetch it, as JSON-friendly values.

    `name` and `media_type` are claims of the sender; `size_bytes` is the platform's word, None when unknown.
    """

    key: Mapping[str, str]
    name: str
    media_type: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message that somebody wrote (or a slash command they ran: then `message_ref` is None).

    `thread_key` names the conversation when the platform does (a direct chat, a topic); a conversation that
    is not known by its key is looked for through `reply_to`, the message it answers, and else begins here.
    `room` is where the answer goes.
    """

    delivery_id: str
    room: RoomRef
    message_ref: str | None
    sender: Sender
    text: str
    addressed: Addressed
    is_direct: bool
    occurred_at_ms: int
    thread_key: str | None = None
    reply_to: str | None = None
    room_title: str | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Edited:
    """A message of a person now says something else."""

    delivery_id: str
    room: RoomRef
    message_ref: str
    sender: Sender
    text: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message of a person is gone. Who deleted it is often not told."""

    delivery_id: str
    room: RoomRef
    message_ref: str
    occurred_at_ms: int


@dataclass(frozen=True, slots=True)
class Pressed:
    """Somebody pressed a button of ours, or submitted the form it opened (`reason` is what they typed).

    `value` is what the button carried: opaque, looked up by the core and never trusted.
    """

    delivery_id: str
    room: RoomRef
    message_ref: str | None
    sender: Sender
    value: str
    occurred_at_ms: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A delivery that says nothing to us (a join, a bot); kept by id, so it stays accounted for."""

    delivery_id: str
    reason: str


Delivery: TypeAlias = Inbound | Edited | Deleted | Pressed | Ignored


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one delivery. `says` is for its sender alone, as the platform can show it; None for nothing.

    An adapter uses it to answer what must be answered (a button, a slash command), after the commit.
    """

    is_taken: bool
    says: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where receiving stands, and when that was last known to be true (milliseconds since 1970)."""

    value: str
    updated_at_ms: int


# --- what we show ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """A button. `value` is at most 40 bytes, so that it fits every platform; `asks_reason` opens a form first
    where the platform has forms."""

    value: str
    label: str
    style: Literal["default", "primary", "danger"] = "default"
    asks_reason: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """Something to decide: a title, what it is about as CommonMark, and its buttons.

    A card without actions is settled: it says in `outcome` how it was decided, and by whom.
    """

    title: str
    body: str
    actions: tuple[Action, ...] = ()
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """One platform message, frozen: `payload` is what the adapter needs to send it, `text` what one reads.

    With `blob_id` it is a file with `text` as its caption: it goes through `upload`.
    """

    text: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    blob_id: str | None = None


@dataclass(frozen=True, slots=True)
class OutboundFile:
    """A file to upload: its bytes, and how to call and label it."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One durable act on a platform. `id` is the delivery's id, stable across attempts and restarts.

    `attempted_at_ms` is when the first attempt began (milliseconds since 1970; for finding it again);
    `recipient` is the platform's id of the person who is answered, where one is.
    """

    id: str
    attempt: int
    attempted_at_ms: int = 0
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform took it. `ref` is the platform's message id."""

    ref: str
    certainty: Literal["confirmed", "deduplicated"] = "confirmed"


class Finding(StrEnum):
    """What reconciliation found out about an operation with an unknown outcome.

    FOUND: its message stands on the platform, whatever it says by now; the core makes it show the content.
    """

    FOUND = "found"
    ABSENT = "absent"
    UNKNOWABLE = "unknowable"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The finding, with the receipt when the message was found."""

    finding: Finding
    receipt: Receipt | None = None


class Mark(StrEnum):
    """A receipt on a person's message, shown as a reaction."""

    SEEN = "seen"
    DONE = "done"
    FAILED = "failed"


# --- health ----------------------------------------------------------------------------------------


class HealthState(StrEnum):
    """Whether messages flow."""

    STARTING = "starting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """How an account fares; `detail` says what to do when it is not connected.

    `lag_ms` is how long the newest event was under way; `missing` names scopes, intents or rights the account
    lacks, and what does not work without them.
    """

    state: HealthState
    detail: str | None = None
    last_event_at_ms: int | None = None
    lag_ms: int | None = None
    missing: tuple[str, ...] = ()


# --- HTTP ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request of a platform to our port. `path` is what follows `/hooks/{kind}/{account}/`; header names are
    in lower case; `query` as decoded. Nothing about it is trusted before the adapter has verified it."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
