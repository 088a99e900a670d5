"""The plain values of decisions that go into the store: who decides what, under which terms. What is asked is a
`storage.values.NewApproval`.

No behaviour. What may be asked with them is in `approval_ports.py`; who may decide is judged by a pure function that
comes in with each decision (`gateway/rules/deciding.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Vote = Literal["approve", "deny", "request_changes"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Who decides; `protocol.approvals.ApprovalRules` says what the fields mean."""

    approvers: tuple[str, ...] = ()
    quorum: int = 1
    denials: int = 1
    separation: bool = False
    escalate_to: tuple[str, ...] = ()
    grants: bool = True


# --- deciding --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Voter:
    """Who wants to decide, as the store knows them.

    `principal_id` is the user whom somebody of a chat network is linked to, else their own id: one person, one vote.
    `names` are all the ways in which a pattern may mean them: `user:ID`, `role:ROLE`, `NETWORK:ID`.
    """

    principal_id: str
    names: frozenset[str]
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Ballot:
    """What there is to judge whether somebody may decide.

    `among` are those whom their account of a chat network lets decide, by their ids there; none are whoever asked, and
    None is a caller of the protocol, who holds the scope. `involved` are the principals behind what is asked.
    """

    voter: Voter
    terms: Terms
    is_escalated: bool
    requested_by: str
    involved: frozenset[str]
    among: frozenset[str] | None


Judge: TypeAlias = Callable[[Ballot], str | None]
"""Why somebody may not decide, for them to read; None when they may."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The action as somebody changed it: it was `base_hash` before, and is `subject_hash` now."""

    subject: Any
    subject_hash: str
    base_hash: str
    diff: str


@dataclass(frozen=True, slots=True)
class NewGrant:
    """Leave for more than once, to be made with an approval."""

    id: str
    scope: Literal["thread", "agent"]
    uses: int | None
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Decide:
    """A decision to record. `judge` has to be given: nobody decides without being judged.

    `seen_hash` is the beginning of the hash of what they have looked at; empty when it is not known. `role` is that of
    the token they came with.
    """

    approval_id: str
    vote: Vote | Literal["revoke"]
    reason: str
    judge: Judge
    among: frozenset[str] | None
    seen_hash: str = ""
    role: str | None = None
    edited: Edited | None = None
    grant: NewGrant | None = None


# --- afterwards ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApprovalChanged:
    """Signal: an approval was asked, changed or decided; cards and times may have to follow."""

    approval_id: str


@dataclass(frozen=True, slots=True)
class CardEdit:
    """What a card is to show, or its room is told: `delivery_id` is the delivery that does it."""

    card_id: str
    delivery_id: str
    content: str
