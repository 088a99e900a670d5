"""Deciding: one person's vote, counted against the terms, in one transaction; the first to reach an end has decided.

The one way to decide, over whatever surface. Who may is judged by the function that came with the decision; a refusal
has its audit entry, so it is returned and not raised.
"""

from protocol.approval_requests import ApprovalResult
from protocol.approvals import Approval, ApprovalState
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from storage import approval_ends, approval_grants, approval_people, approval_rows, audit_log
from storage.approval_values import Decide, Terms, Voter
from storage.engine import Row, Transaction
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import to_text
from storage.values import Act

_SQL = Queries("approvals")
_ENDS = {
    "approve": ApprovalState.APPROVED,
    "deny": ApprovalState.DENIED,
    "request_changes": ApprovalState.CHANGES_REQUESTED,
}
_SAID = {
    ApprovalState.APPROVED: "Approved.",
    ApprovalState.DENIED: "Denied.",
    ApprovalState.CHANGES_REQUESTED: "The agent is told what should be different.",
}
NO_LONGER_OPEN = "This is no longer open."
"""What somebody is told whose button or words belong to nothing."""


class _Refused(Exception):
    """Not counted; `why` is a word for the audit log."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.why = why


def decide(tx: Transaction, act: Act, wanted: Decide) -> RawJson | Fault:
    """Decide by a request: an ApprovalResult, or why it does not count. Raises Fault not_found."""
    row = approval_rows.find(tx, act.org_id, wanted.approval_id)

    def effect() -> ApprovalResult:
        return ApprovalResult(approval=_decide(tx, act, row, wanted))

    try:
        return once(tx, act, effect)
    except _Refused as refused:
        return _on_record(tx, act, row, refused)


def press(tx: Transaction, act: Act, wanted: Decide) -> tuple[bool, str]:
    """Decide from a chat, in the transaction of its delivery: whether it counts, and what its sender is told."""
    row = tx.one(_SQL.find, org_id=act.org_id, id=wanted.approval_id)
    if row is None:
        return False, NO_LONGER_OPEN
    try:
        approval = _decide(tx, act, row, wanted)
    except _Refused as refused:
        return False, _on_record(tx, act, row, refused).message
    if approval.state is not ApprovalState.PENDING:
        mine = any(vote.actor.id == act.actor.id for vote in approval.votes)
        return (True, _SAID[approval.state]) if mine else (False, already(approval))
    count, needed = so_far(approval)
    return True, f"Your vote counts: {count} of {needed} approved."


def so_far(approval: Approval) -> tuple[int, int]:
    """How many approve it as it is now, and how many must."""
    now = approval.edited.subject_hash if approval.edited is not None else approval.subject_hash
    yes = [vote for vote in approval.votes if vote.vote == "approve" and vote.subject_hash == now]
    return len(yes), approval.rules.quorum if approval.rules is not None else 1


def already(approval: Approval) -> str:
    """What somebody is told who comes too late: what it is, who did it, when."""
    words = {
        ApprovalState.APPROVED: "approved",
        ApprovalState.DENIED: "denied",
        ApprovalState.CHANGES_REQUESTED: "sent back",
    }
    if approval.state not in words or approval.decided_by is None:
        return NO_LONGER_OPEN
    return (
        f"This was {words[approval.state]} already by {approval.decided_by.name}, at {approval.decided_at}."
    )


def _on_record(tx: Transaction, act: Act, row: Row, refused: _Refused) -> Fault:
    audit_log.append(
        tx, act, "approval.decide", approval_rows.subject(row), outcome="failure", reason=refused.why
    )
    return refused.fault


def _decide(tx: Transaction, act: Act, row: Row, wanted: Decide) -> Approval:
    voter = approval_people.voter(tx, act, wanted.role)
    reason = wanted.judge(approval_people.ballot(tx, row, voter, wanted.among, act.at_ms))
    if reason is not None:
        raise _Refused(Fault(ErrorKind.FORBIDDEN, reason), "not_eligible")
    if wanted.vote == "revoke":
        if not approval_grants.revoke(tx, act, row):
            raise _Refused(Fault(ErrorKind.INVALID_STATE, "No grant was given with it"), "no_grant")
        return approval_rows.record(tx, approval_rows.again(tx, row))
    if row["state"] == ApprovalState.PENDING and approval_ends.expire(tx, act.at_ms, row):
        row = approval_rows.again(tx, row)
    if row["state"] != ApprovalState.PENDING:
        return _late(tx, row, wanted)
    terms = approval_people.terms_of(row)
    _check(row, terms, wanted)
    if wanted.edited is not None:
        row = _edit(tx, act, row, wanted)
    return _count(tx, act, row, terms, voter, wanted)


def _late(tx: Transaction, row: Row, wanted: Decide) -> Approval:
    """The same as what was decided is answered alike; anything else sees the winner."""
    approval = approval_rows.record(tx, row)
    is_same = approval.state == _ENDS[wanted.vote]
    if wanted.edited is not None:
        is_same &= approval.edited is not None and approval.edited.subject == wanted.edited.subject
    elif wanted.seen_hash:
        is_same &= approval_rows.hash_of(row).startswith(wanted.seen_hash)
    if wanted.grant is not None:
        is_same &= approval.grant is not None and approval.grant.scope == wanted.grant.scope
    if is_same:
        return approval
    winner = approval.decided_by.model_dump(mode="json") if approval.decided_by is not None else None
    fault = Fault(
        ErrorKind.INVALID_STATE,
        already(approval),
        state=approval.state.value,
        decided_by=winner,
        decided_at=approval.decided_at,
    )
    raise _Refused(fault, "too_late")


def _check(row: Row, terms: Terms, wanted: Decide) -> None:
    """Whether this decision fits this approval at all."""
    base = wanted.edited.base_hash if wanted.edited is not None else wanted.seen_hash
    if not approval_rows.hash_of(row).startswith(base):
        text = "It is about something else by now: somebody edited it. Look at it again"
        raise _Refused(Fault(ErrorKind.INVALID_STATE, text, state=row["state"]), "seen_otherwise")
    if wanted.vote == "request_changes" and row["run_id"] is None:
        text = "Nobody is there who could change it: approve it, or deny it and say why"
        raise _Refused(Fault(ErrorKind.INVALID_STATE, text, state=row["state"]), "no_run")
    if wanted.grant is not None and (not terms.grants or terms.quorum > 1 or row["agent_id"] is None):
        text = "This can only be approved once: its policy allows no grant, or wants several people each time"
        raise _Refused(Fault(ErrorKind.FORBIDDEN, text), "no_grants")


def _edit(tx: Transaction, act: Act, row: Row, wanted: Decide) -> Row:
    edited = wanted.edited
    assert edited is not None
    shown = {
        "subject": edited.subject,
        "subject_hash": edited.subject_hash,
        "diff": edited.diff,
        "by": act.actor.model_dump(mode="json"),
        "at": to_instant(act.at_ms),
    }
    changed = tx.run(
        _SQL.edit,
        id=row["id"],
        edited=to_text(shown),
        edited_hash=edited.subject_hash,
        base_hash=edited.base_hash,
    )
    assert changed, "it was pending and about that in this transaction"
    hashes = {"from": edited.base_hash, "to": edited.subject_hash}
    audit_log.append(tx, act, "approval.edit", approval_rows.subject(row), detail=hashes)
    return approval_rows.again(tx, row)


def _count(tx: Transaction, act: Act, row: Row, terms: Terms, voter: Voter, wanted: Decide) -> Approval:
    effective = approval_rows.hash_of(row)
    known = {
        vote["principal_id"]: (vote["vote"], vote["subject_hash"])
        for vote in approval_rows.votes(tx, row["id"])
        if not vote["is_void"]
    }
    mine = (wanted.vote, effective)
    if known.get(voter.principal_id) == mine and wanted.edited is None:
        return approval_rows.record(tx, row)
    tx.run(
        _SQL.vote,
        org_id=row["org_id"],
        approval_id=row["id"],
        principal_id=voter.principal_id,
        actor=to_text(act.actor.model_dump(mode="json")),
        vote=wanted.vote,
        subject_hash=effective,
        reason=wanted.reason or None,
        via=act.via,
        now=act.at_ms,
    )
    detail = {"vote": wanted.vote, "subject_hash": effective}
    if voter.principal_id != act.actor.id:
        detail["user_id"] = voter.principal_id
    known[voter.principal_id] = mine
    end = outcome(list(known.values()), effective, terms)
    if end is None:
        return approval_rows.tell(tx, act, row, None, "approval.vote", detail)
    audit_log.append(tx, act, "approval.vote", approval_rows.subject(row), detail=detail)
    if wanted.grant is not None and end is ApprovalState.APPROVED:
        approval_grants.give(tx, act, row, wanted.grant)
    decided = approval_ends.decide(tx, act, row, end, wanted.reason)
    assert decided, "it was pending and in time in this transaction"
    return approval_rows.record(tx, approval_rows.again(tx, row))


def outcome(votes: list[tuple[str, str]], effective: str, terms: Terms) -> ApprovalState | None:
    """What these votes, one per person as `(vote, subject_hash)`, come to; None while there are too few. Pure.

    Somebody who wants changes ends it alone; denials count whatever they were about; approvals of something that was
    edited afterwards do not.
    """
    kinds = [vote for vote, _ in votes]
    if kinds.count("deny") >= terms.denials:
        return ApprovalState.DENIED
    if "request_changes" in kinds:
        return ApprovalState.CHANGES_REQUESTED
    if votes.count(("approve", effective)) >= terms.quorum:
        return ApprovalState.APPROVED
    return None
