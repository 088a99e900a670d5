"""Policies as they stand in the configuration, `[[policies]]`: shapes and their checks; what they mean is in
`gateway/rules/policy.py`. The sentences under the fields are the documentation: it is generated from them.
"""

from typing import Annotated, Literal

from pydantic import Field

from gateway.agent_settings import Section
from protocol import limits

Pattern = Annotated[str, Field(min_length=1, max_length=128)]
"""A name; `*` stands for any characters."""


class ApprovalTerms(Section):
    """Who decides about an act, and by when."""

    approvers: tuple[Pattern, ...] = ()
    """Who may decide: `role:approver`, `user:ID`, `NETWORK:ID` of a person of a chat network; without any, the
    account's own `approvers`, and through the protocol whoever has the scope approval.decide."""
    quorum: Annotated[int, Field(ge=1, le=20)] = 1
    """Different people who must approve."""
    denials: Annotated[int, Field(ge=1, le=20)] = 1
    """Different people whose denial ends it."""
    separation: bool = False
    """Whether those who asked for the run, or wrote in it, are not among those who decide."""
    expires_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    """After this time it is denied; the agent's `wait_timeout_s` unless told."""
    remind_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    """After this time the room is reminded, once."""
    escalate_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    """After this time those in `escalate_to` may decide, too."""
    escalate_to: tuple[Pattern, ...] = ()
    """The second group, written like `approvers`."""
    rooms: tuple[Annotated[str, Field(pattern=r"^[a-z]+:[^:\s]+:\S+$", max_length=256)], ...] = ()
    """Rooms where it is asked besides the conversation's own, `NETWORK:ACCOUNT:ROOM`; all of them show how it ended."""
    grants: bool = True
    """Whether who approves may do so for more than this once (this thread, a number of times, a while)."""


class PolicySettings(Section):
    """One rule: what it is about, and what then. Every key that is given must fit; the lists fit by any of theirs."""

    name: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    """How it is named in explanations and in the audit log."""
    effect: Literal["allow", "warn", "require_approval", "deny"]
    """deny beats require_approval beats allow, whatever the order; warn only leaves a note."""
    reason: Annotated[str, Field(max_length=500)] = ""
    """What people and agents are told."""
    kind: tuple[Literal["tool", "device", "message", "pairing", "release"], ...] = ()
    """Kinds of acts."""
    tool: tuple[Pattern, ...] = ()
    """Names of tools, or `DEVICE.COMMAND`."""
    agent: tuple[Pattern, ...] = ()
    """Ids of agents."""
    channel: tuple[Pattern, ...] = ()
    """`slack`, `slack:ACCOUNT`, `client`."""
    room: tuple[Pattern, ...] = ()
    """Ids of rooms on their network."""
    person: tuple[Pattern, ...] = ()
    """Who asked, as `NETWORK:ID` or the id of a user."""
    risk: tuple[Literal["low", "medium", "high"], ...] = ()
    """How risky the tool or command is said to be."""
    time: str = ""
    """When it holds: `mon-fri 09:00-17:00 Europe/Berlin`; always when empty."""
    approval: ApprovalTerms = ApprovalTerms()
    """Who decides, for the effect require_approval."""
