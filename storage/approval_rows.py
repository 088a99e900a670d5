"""An approval as it is shown, from its row, its votes and its grant; and how everybody is told of it. Nothing decides
here."""

from typing import Any, Final

from protocol.approvals import (
    Approval,
    ApprovalEdit,
    ApprovalGrant,
    ApprovalRules,
    ApprovalState,
    ApprovalVote,
)
from protocol.canonical import canonical, text_digest
from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.instants import to_instant
from protocol.limits import KIB
from protocol.records import Actor
from storage import audit_log
from storage.approval_values import ApprovalChanged
from storage.engine import Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act, Decided

_SQL = Queries("approvals")
_THREADS = Queries("threads")
SUBJECT_CHARS: Final = 64 * KIB
"""Of an action that is shown as a value beside the text that says all of it: both have to fit into one frame."""


def find(tx: Reader, org_id: str, approval_id: str) -> Row:
    """The row of an approval. Raises Fault not_found."""
    row = tx.one(_SQL.find, org_id=org_id, id=approval_id)
    if row is None:
        raise Fault(
            ErrorKind.NOT_FOUND, "There is no such approval", hint="approval.list shows what there is"
        )
    return row


def again(tx: Reader, row: Row) -> Row:
    """The same row as it is now."""
    return find(tx, row["org_id"], row["id"])


def hash_of(row: Row) -> str:
    """What a vote is about now: the action as it was asked, or as it was edited."""
    effective: str = row["edited_hash"] or row["subject_hash"]
    return effective


def record(tx: Reader, row: Row) -> Approval:
    """The approval as it is shown."""
    request = from_text(row["request"])
    edited, is_open = row["edited"], row["state"] == ApprovalState.PENDING
    grant = tx.one(_SQL.grant_of, approval_id=row["id"])
    return Approval(
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        agent_id=row["agent_id"],
        title=request["title"],
        body=request["body"],
        subject=_shown(row["subject"]),
        subject_hash=row["subject_hash"],
        risk=row["risk"],
        rule=row["rule"],
        rules=ApprovalRules.model_validate(from_text(row["terms"])),
        state=ApprovalState(row["state"]),
        votes=[_vote(vote) for vote in votes(tx, row["id"]) if not (is_open and vote["is_void"])],
        requested_by=row["requested_by"],
        created_at=to_instant(row["created_at"]),
        expires_at=to_instant(row["expires_at"]),
        remind_at=_instant(row["remind_at"]),
        reminded_at=_instant(row["reminded_at"]),
        escalate_at=_instant(row["escalate_at"]),
        escalated_at=_instant(row["escalated_at"]),
        decided_by=_actor(row["decided_by"]),
        decided_at=_instant(row["decided_at"]),
        reason=row["reason"],
        edited=ApprovalEdit.model_validate(from_text(edited)) if edited is not None else None,
        grant=_grant(grant) if grant is not None else None,
        grant_id=row["grant_id"],
        consumed_at=_instant(row["consumed_at"]),
        supersedes=row["supersedes"],
    )


def votes(tx: Reader, approval_id: str) -> list[Row]:
    """Its votes, oldest first: a handful."""
    found = tx.all(_SQL.votes, approval_id=approval_id)
    return sorted(found, key=lambda vote: (vote["at"], vote["principal_id"]))


def decided(row: Row) -> Decided:
    """What the run that asked is told of it."""
    by = _actor(row["decided_by"])
    edited = canonical(from_text(row["edited"])["subject"]) if row["edited"] is not None else None
    return Decided(
        row["id"],
        row["state"] == ApprovalState.APPROVED,
        row["reason"] or "",
        by.name if by is not None else "",
        row["key"],
        row["subject_hash"],
        edited,
        row["state"] == ApprovalState.CHANGES_REQUESTED,
    )


def subject(row: Row) -> dict[str, str]:
    """What the audit log calls an approval."""
    known = {"run_id": row["run_id"], "thread_id": row["thread_id"]}
    return {"approval_id": row["id"], **{name: value for name, value in known.items() if value is not None}}


def tell(
    tx: Transaction, act: Act, row: Row, kind: EventKind | None, action: str, detail: dict[str, Any]
) -> Approval:
    """Record what just happened to an approval: its event (what is not the beginning or the end of it has none), its
    audit entry, and that its cards are out of date."""
    if kind is not EventKind.APPROVAL_REQUESTED:
        tx.run(_SQL.touch, id=row["id"])
    approval = record(tx, again(tx, row))
    thread = tx.one(_THREADS.find, org_id=row["org_id"], id=row["thread_id"]) if row["thread_id"] else None
    if thread is not None and kind is not None:
        data = {"approval": approval.model_dump(mode="json", exclude_none=True)}
        append(tx, Tail.of(thread), act.at_ms, [Fact(kind, data, act.actor, row["run_id"])])
    audit_log.append(tx, act, action, subject(row), detail=detail)
    tx.emit(ApprovalChanged(row["id"]))
    return approval


def _vote(row: Row) -> ApprovalVote:
    return ApprovalVote(
        actor=Actor.model_validate(from_text(row["actor"])),
        vote=row["vote"],
        subject_hash=row["subject_hash"],
        reason=row["reason"],
        at=to_instant(row["at"]),
        via=row["via"],
    )


def _grant(row: Row) -> ApprovalGrant:
    return ApprovalGrant(
        id=row["id"],
        scope="thread" if row["thread_id"] is not None else "agent",
        agent_id=row["agent_id"],
        kind=row["kind"],
        name=row["name"],
        thread_id=row["thread_id"],
        uses_left=row["uses_left"],
        expires_at=to_instant(row["expires_at"]),
        granted_by=Actor.model_validate(from_text(row["granted_by"])),
        revoked_at=_instant(row["revoked_at"]),
    )


def _shown(text: str) -> Any:
    """The action as a value; by its digest when it is long or has a number beyond all bounds: `body` has all of it."""
    if len(text) <= SUBJECT_CHARS:
        try:
            return from_text(text)
        except ValueError:
            pass
    return {"sha256": text_digest(text)}


def _instant(at_ms: int | None) -> str | None:
    return to_instant(at_ms) if at_ms is not None else None


def _actor(text: str | None) -> Actor | None:
    return Actor.model_validate(from_text(text)) if text else None
