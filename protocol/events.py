"""What the gateway tells without being asked: durable events and transient notifications.

An event is a fact in a thread's log: numbered, stored, the same bytes for everybody (PROTOCOL.md §5).
Everything else here (`delta`, `snapshot`, `subscription`, `head` …) is about the live connection and is
never stored. `EVENT_DATA` and `NOTIFICATIONS` are the closed lists the schemas are generated from.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal

from protocol.approvals import Approval
from protocol.records import (
    Actor,
    Id,
    Instant,
    Message,
    Offset,
    Origin,
    Record,
    RunError,
    Seq,
    Usage,
)


class EventKind(StrEnum):
    """Durable kinds. Clients ignore kinds they do not know."""

    THREAD_CREATED = "thread.created"
    THREAD_UPDATED = "thread.updated"
    THREAD_ARCHIVED = "thread.archived"
    THREAD_RESTORED = "thread.restored"
    MESSAGE_CREATED = "message.created"
    MESSAGE_UPDATED = "message.updated"
    MESSAGE_DELETED = "message.deleted"
    RUN_QUEUED = "run.queued"
    RUN_STARTED = "run.started"
    RUN_WAITING = "run.waiting"
    RUN_RESUMED = "run.resumed"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    RUN_INTERRUPTED = "run.interrupted"
    TOOL_STARTED = "tool.started"
    TOOL_FINISHED = "tool.finished"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_CANCELLED = "approval.cancelled"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_UNCERTAIN = "delivery.uncertain"
    PARTICIPANT_JOINED = "participant.joined"
    PARTICIPANT_LEFT = "participant.left"
    BUDGET_WARNED = "budget.warned"
    BUDGET_EXCEEDED = "budget.exceeded"
    REDACTED = "redacted"


RUN_ENDINGS: Final = frozenset(
    {EventKind.RUN_COMPLETED, EventKind.RUN_FAILED, EventKind.RUN_CANCELLED, EventKind.RUN_INTERRUPTED}
)
"""Exactly one of these ends every attempt of a run."""


class Event(Record):
    """One durable fact of a thread, as notified and as paged by `thread.history`."""

    thread_id: Id
    seq: Seq
    kind: str
    at: Instant
    actor: Actor
    run_id: str | None = None
    data: dict[str, Any]


class ThreadCreatedData(Record):
    """`title` is empty until somebody names the thread or its first message does."""

    title: str
    agent_id: str
    origin: Origin


class ThreadUpdatedData(Record):
    """Only what changed is present. `assignee` has taken the thread over; `returned_by` gave it back to its agent."""

    title: str | None = None
    agent_id: str | None = None
    assignee: Actor | None = None
    returned_by: Actor | None = None


class MessageData(Record):
    """The whole message; an assistant's is final and wins over what was streamed."""

    message: Message


class MessageDeletedData(Record):
    """Which message its author, or somebody for them, took back. Its text is gone from the log as well."""

    message_id: str


class RunQueuedData(Record):
    """`message_id` is the message the run answers; a retry names the run it repeats.

    `was_steered`: the message was said to a run that ended before it could take it.
    """

    agent_id: str
    message_id: str
    retry_of: str | None = None
    was_steered: bool | None = None


class RunStartedData(Record):
    """`attempt` counts from 1."""

    attempt: int


class RunResumedData(Record):
    """A run that continues after a wait or a restart of the gateway."""

    attempt: int
    reason: str


class RunWaitingData(Record):
    """What the run waits for: `approval`, `input` or `device`. `prompt` is the question that wants input."""

    reason: str
    prompt: str | None = None


class ToolStartedData(Record):
    """A tool is about to be called. `step` is its place in the run's journal; large arguments are cut there too."""

    step: int
    name: str
    arguments: Any


class ToolFinishedData(Record):
    """A tool call ended; `outcome` as in a RunStep, `preview` is one line of what came of it."""

    step: int
    name: str
    outcome: Literal["ok", "error", "unknown", "skipped"]
    preview: str | None = None


class RunCompletedData(Record):
    """`message_id` is the answer; absent when the agent had nothing to say."""

    message_id: str | None = None
    usage: Usage


class RunFailedData(Record):
    """Why."""

    error: RunError


class RunCancelledData(Record):
    """Who asked is the event's actor."""

    reason: str


class RunInterruptedData(Record):
    """An attempt that the gateway lost; `will_retry` says whether another one follows."""

    reason: str
    will_retry: bool


class ApprovalData(Record):
    """The approval as it is now."""

    approval: Approval


class DeliveryData(Record):
    """One message on a chat network. `part` counts from 1; `ref` is the platform's id of it."""

    delivery_id: str
    channel: str
    account: str
    room: str
    part: int
    ref: str | None = None
    reason: str | None = None


class BudgetData(Record):
    """A budget that is nearly or wholly used up. `resets_at` is when it is whole again."""

    budget: str
    of: Literal["messages", "runs", "tokens", "microusd", "concurrent"]
    used: int
    limit: int
    resets_at: Instant | None = None


class EmptyData(Record):
    """The kind says it all."""


EVENT_DATA: Final[Mapping[EventKind, type[Record]]] = {
    EventKind.THREAD_CREATED: ThreadCreatedData,
    EventKind.THREAD_UPDATED: ThreadUpdatedData,
    EventKind.THREAD_ARCHIVED: EmptyData,
    EventKind.THREAD_RESTORED: EmptyData,
    EventKind.MESSAGE_CREATED: MessageData,
    EventKind.MESSAGE_UPDATED: MessageData,
    EventKind.MESSAGE_DELETED: MessageDeletedData,
    EventKind.RUN_QUEUED: RunQueuedData,
    EventKind.RUN_STARTED: RunStartedData,
    EventKind.RUN_WAITING: RunWaitingData,
    EventKind.RUN_RESUMED: RunResumedData,
    EventKind.RUN_COMPLETED: RunCompletedData,
    EventKind.RUN_FAILED: RunFailedData,
    EventKind.RUN_CANCELLED: RunCancelledData,
    EventKind.RUN_INTERRUPTED: RunInterruptedData,
    EventKind.TOOL_STARTED: ToolStartedData,
    EventKind.TOOL_FINISHED: ToolFinishedData,
    EventKind.APPROVAL_REQUESTED: ApprovalData,
    EventKind.APPROVAL_DECIDED: ApprovalData,
    EventKind.APPROVAL_EXPIRED: ApprovalData,
    EventKind.APPROVAL_CANCELLED: ApprovalData,
    EventKind.DELIVERY_SENT: DeliveryData,
    EventKind.DELIVERY_FAILED: DeliveryData,
    EventKind.DELIVERY_UNCERTAIN: DeliveryData,
    EventKind.BUDGET_WARNED: BudgetData,
    EventKind.BUDGET_EXCEEDED: BudgetData,
    EventKind.REDACTED: EmptyData,
}
"""The data of every kind this version emits; the other kinds arrive with their features."""


class ServerIdentity(Record):
    """What answers."""

    name: str
    version: str


class Challenge(Record):
    """The first frame of every connection. `server_time` is milliseconds since 1970."""

    nonce: str
    server_time: int
    server: ServerIdentity
    minors: list[int]


class Delta(Record):
    """The next piece of a message being written. `index` counts from 0 per message."""

    thread_id: Id
    run_id: Id
    message_id: Id
    index: int
    text: str


class Snapshot(Record):
    """Everything said so far of a message being written; the next delta has `next_index`."""

    thread_id: Id
    run_id: Id
    message_id: Id
    next_index: int
    text: str


class SubscriptionNotice(Record):
    """Where a subscription stands.

    live: all up to `seq` was sent, what follows is live · at: events up to `seq` were skipped by `kinds` ·
    lagging: the client reads too slowly, the rest follows from the store · reset: the cursor cannot be
    honoured, the subscription is over and `reason` says why.
    """

    thread_id: Id
    state: Literal["live", "at", "lagging", "reset"]
    seq: Seq | None = None
    reason: Literal["epoch_changed", "trimmed", "ahead", "forbidden", "gone"] | None = None
    epoch: str | None = None
    first_seq: Seq | None = None
    head_seq: Seq | None = None


class Head(Record):
    """The newest event of a thread, for lists. `kind` is `thread.deleted` when the thread is gone."""

    thread_id: Id
    seq: Seq
    kind: str
    at: Instant
    preview: str
    offset: Offset


class Heartbeat(Record):
    """Nothing happened for a while; the connection is alive."""


class Bye(Record):
    """The last frame before the gateway closes."""

    code: int
    reason: str
    retry_after_ms: int | None = None


NOTIFICATIONS: Final[Mapping[str, type[Record]]] = {
    "challenge": Challenge,
    "event": Event,
    "delta": Delta,
    "snapshot": Snapshot,
    "subscription": SubscriptionNotice,
    "head": Head,
    "heartbeat": Heartbeat,
    "bye": Bye,
}
"""Every notification the gateway sends in this version, by method name."""
