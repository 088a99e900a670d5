"""Policies as they stand in the configuration, `[[policies]]`: shapes and their checks; what they mean is in
`gateway/rules/policy.py`. The sentences under the fields are the documentation: it is generated from them.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.agent_settings import Section
from gateway.time_windows import checked_window
from protocol import limits
from protocol.records import Role

ProposedKind: TypeAlias = Literal["tool", "device", "message", "pairing", "release"]
Risk: TypeAlias = Literal["low", "medium", "high"]
Effect: TypeAlias = Literal["allow", "warn", "require_approval", "deny"]

Pattern = Annotated[str, Field(min_length=1, max_length=128)]
"""A name; `*` stands for any characters."""

KEYS_OF_KIND: Final[dict[ProposedKind, frozenset[str]]] = {
    "tool": frozenset({"tool", "agent", "channel", "room", "person", "risk", "tainted", "time"}),
    "device": frozenset({"tool", "agent", "channel", "room", "person", "risk", "tainted", "time"}),
    "message": frozenset({"agent", "channel", "room", "person", "tainted", "time"}),
    "pairing": frozenset({"channel", "room", "person", "time"}),
    "release": frozenset({"agent", "time"}),
}
"""What can be said of an act of each kind: a rule that asks for more never fits one."""


def _checked_approver(pattern: str) -> str:
    sort, separator, name = pattern.partition(":")
    if not separator or not sort or not name:
        raise ValueError(f"{pattern!r} is nobody: write role:NAME, user:ID or NETWORK:ID")
    if sort == "role" and name not in list(Role):
        raise ValueError(f"{name!r} is no role: there are {', '.join(Role)}")
    return pattern


Approver = Annotated[Pattern, AfterValidator(_checked_approver)]


class ApprovalTerms(Section):
    """Who decides about an act, and by when."""

    approvers: tuple[Approver, ...] = ()
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
    escalate_to: tuple[Approver, ...] = ()
    """The second group, written like `approvers`."""
    rooms: tuple[Annotated[str, Field(pattern=r"^[a-z]+:[^:\s]+:\S+$", max_length=256)], ...] = ()
    """Rooms where it is asked besides the conversation's own, `NETWORK:ACCOUNT:ROOM`; all of them show how it ended."""
    grants: bool = True
    """Whether who approves may do so for more than this once (this thread, a number of times, a while)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.escalate_s is None) != (not self.escalate_to):
            raise ValueError("escalate_s and escalate_to are given together")
        for name, after_s in (("remind_s", self.remind_s), ("escalate_s", self.escalate_s)):
            if after_s is not None and self.expires_s is not None and after_s >= self.expires_s:
                raise ValueError(f"{name} comes before expires_s")
        people = set(self.approvers) | set(self.escalate_to)
        if self.approvers and _are_single(people) and len(people) < self.quorum:
            raise ValueError(f"quorum: {len(people)} people cannot approve {self.quorum} times")
        return self


class PolicySettings(Section):
    """One rule: what it is about, and what then. Every key that is given must fit; the lists fit by any of theirs."""

    name: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    """How it is named in explanations and in the audit log."""
    effect: Effect
    """deny beats require_approval beats allow, whatever the order; warn only leaves a note."""
    reason: Annotated[str, Field(max_length=500)] = ""
    """What people and agents are told."""
    kind: tuple[ProposedKind, ...] = ()
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
    risk: tuple[Risk, ...] = ()
    """How risky the tool or command is said to be."""
    tainted: bool | None = None
    """Whether the agent has read what no person here wrote: results of `http_fetch`, of MCP servers, of devices and of
    other programs in this run, or what somebody from outside the organization wrote in the thread."""
    time: Annotated[str, AfterValidator(checked_window)] = ""
    """When it holds: `mon-fri 09:00-17:00 Europe/Berlin`; always when empty. Days, a span (also over midnight) and a
    zone may each be left out; the zone is UTC unless told."""
    approval: ApprovalTerms = ApprovalTerms()
    """Who decides, for the effect require_approval."""

    @model_validator(mode="after")
    def _can_fit(self) -> Self:
        if self.effect != "require_approval" and "approval" in self.model_fields_set:
            raise ValueError('approval: it belongs to the effect "require_approval"')
        asked = self.asked_keys()
        for kind in self.kind:
            if missing := sorted(asked - KEYS_OF_KIND[kind]):
                raise ValueError(f"{missing[0]}: an act of kind {kind} has none, so the rule never fits one")
        if not self.kinds():
            raise ValueError(f"no kind of act has all of {', '.join(sorted(asked))}")
        return self

    def asked_keys(self) -> set[str]:
        """The keys that must fit, beside `kind`."""
        every = frozenset().union(*KEYS_OF_KIND.values())
        return {key for key in every if getattr(self, key) not in ((), "", None)}

    def kinds(self) -> tuple[ProposedKind, ...]:
        """The kinds of acts that it can fit."""
        asked = self.asked_keys()
        return tuple(kind for kind in self.kind or KEYS_OF_KIND if asked <= KEYS_OF_KIND[kind])


def _are_single(people: Iterable[str]) -> bool:
    """Whether each of these is one person, and no group."""
    return all("*" not in one and not one.startswith("role:") for one in people)
