"""Approvals as they cross the wire: what somebody or something wants to do, who voted how, and how it was decided.

Shapes only. The params and results of `approval.*` are in `approval_requests.py`.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from protocol.records import LAX, Actor, Id, Instant, Record, Text, Title


class ApprovalState(StrEnum):
    """Pending until enough people decided, nobody did in time, or what asked for it ended."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CHANGES_REQUESTED = "changes_requested"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class ApprovalKind(StrEnum):
    """What is decided about. An approval for a tool was called `action` before there were others."""

    TOOL = "tool"
    MESSAGE = "message"
    DEVICE = "device"
    PAIRING = "pairing"
    RELEASE = "release"


class ApprovalVote(Record):
    """What one person said. A person has one vote, over whatever surface; the newest counts.

    `subject_hash` is what they voted about: a vote for something that was edited afterwards does not count any more.
    """

    actor: Actor
    vote: Literal["approve", "deny", "request_changes"]
    subject_hash: str
    reason: str | None = None
    at: Instant
    via: str


class ApprovalRules(Record):
    """Who decides: `approvers` and, once it was escalated, `escalate_to` as well, written as in the configuration.

    `quorum` different people must approve, `denials` of them end it. `separation`: who asked for it, and who wrote in
    its run, are not among them. `grants`: whether it may be approved for more than this once.
    """

    approvers: Annotated[list[str], Field(default_factory=list)]
    quorum: Annotated[int, Field(ge=1)] = 1
    denials: Annotated[int, Field(ge=1)] = 1
    separation: bool = False
    escalate_to: Annotated[list[str], Field(default_factory=list)]
    grants: bool = True


class ApprovalEdit(Record):
    """What was made of it by whoever edited it: the whole subject, its hash, and what differs, line by line."""

    subject: Any
    subject_hash: str
    diff: str
    by: Actor
    at: Instant


class ApprovalGrant(Record):
    """Leave for more than once: the same tool of the same agent, in one thread or in all of its threads.

    It ends after `uses_left` uses or at `expires_at`, whatever comes first, or when somebody revokes it.
    """

    id: Id
    scope: Literal["thread", "agent"]
    agent_id: str
    kind: Annotated[ApprovalKind, LAX]
    name: str
    thread_id: Id | None = None
    uses_left: int | None = None
    expires_at: Instant
    granted_by: Actor
    revoked_at: Instant | None = None


class Approval(Record):
    """Something that somebody or something wants to do and people decide. `body` is the whole of it, as CommonMark.

    `subject` is the exact action and `subject_hash` what a decision binds to; for an approval that was edited both
    are what they were, and `edited` is what was approved. `requested_by` is the id of whoever asked the agent,
    `decided_by` whose vote ended it, `reason` what they said. `grant` is the leave for more that was given with it,
    `grant_id` the one that approved it without asking. `consumed_at` is when it was used, which happens once.
    """

    id: Id
    kind: Annotated[ApprovalKind, LAX] = ApprovalKind.TOOL
    name: str = ""
    thread_id: Id | None = None
    run_id: Id | None = None
    agent_id: str | None = None
    title: Title
    body: Text
    subject: Any = None
    subject_hash: str = ""
    risk: Literal["low", "medium", "high"] = "medium"
    rule: str = ""
    rules: ApprovalRules | None = None
    state: Annotated[ApprovalState, LAX]
    votes: Annotated[list[ApprovalVote], Field(default_factory=list)]
    requested_by: str
    created_at: Instant
    expires_at: Instant
    remind_at: Instant | None = None
    reminded_at: Instant | None = None
    escalate_at: Instant | None = None
    escalated_at: Instant | None = None
    decided_by: Actor | None = None
    decided_at: Instant | None = None
    reason: str | None = None
    edited: ApprovalEdit | None = None
    grant: ApprovalGrant | None = None
    grant_id: Id | None = None
    consumed_at: Instant | None = None
    supersedes: Id | None = None
