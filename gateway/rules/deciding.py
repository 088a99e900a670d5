"""Who may decide about an approval, and how a decision is typed into a chat. Pure.

The one place that judges eligibility, for every surface: the store calls it in the transaction of the decision, with
the voter as the store knows them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.rules.names import fits_any
from storage.approval_values import Ballot, Vote, Voter

NO_LONGER_OPEN: Final = "This is no longer open."
NOT_YOURS: Final = "You may not decide this."
DISABLED: Final = "You may not decide this: your account is disabled."
INVOLVED: Final = "You may not decide this: you are among those who asked for it."
CODE_CHARS: Final = 16
"""Of a hash, where people see it: 64 bits."""
CODE_MIN: Final = 6
"""The fewest of them that somebody may type."""
_TYPED: Final = re.compile(
    r"[/!]?(?P<verb>approve|deny|changes)(?:@\S+)?\s+(?P<code>apr_[0-9a-z]+|[0-9a-f]{6,64})(?:\s+(?P<text>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_VOTES: Final[Mapping[str, Vote]] = {"approve": "approve", "deny": "deny", "changes": "request_changes"}


def judge(ballot: Ballot) -> str | None:
    """Why somebody may not decide; None when they may. What cannot be evaluated is a no."""
    voter, terms = ballot.voter, ballot.terms
    if voter.is_disabled:
        return DISABLED
    if terms.separation and voter.principal_id in ballot.involved:
        return INVOLVED
    if ballot.is_escalated and _is_meant(voter, terms.escalate_to):
        return None
    if terms.approvers:
        return None if _is_meant(voter, terms.approvers) else NOT_YOURS
    if ballot.among is None:
        return None
    if ballot.among:
        return None if voter.names & ballot.among else NOT_YOURS
    is_theirs = bool(ballot.requested_by) and ballot.requested_by in voter.names | {voter.principal_id}
    return None if is_theirs else NOT_YOURS


def _is_meant(voter: Voter, patterns: tuple[str, ...]) -> bool:
    fits = fits_any(pattern for pattern in patterns if pattern)
    return any(fits(name) for name in voter.names if name)


@dataclass(frozen=True, slots=True)
class Typed:
    """A decision in words: about the approval with this id, or with this beginning of its hash."""

    vote: Vote
    code: str
    text: str


def typed(message: str) -> Typed | None:
    """What a message decides, when it is `approve CODE [why]`, `deny CODE why` or `changes CODE what`; else None."""
    found = _TYPED.fullmatch(message.strip())
    if found is None:
        return None
    return Typed(_VOTES[found["verb"].lower()], found["code"].lower(), (found["text"] or "").strip())
