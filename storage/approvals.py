"""Approvals: what agents ask people to decide, and how it was decided.

Asking parks the run as data (`waits.py`); deciding is one conditional update, so the first decision wins whoever else
decides at the same moment. The card in the room is an outbox row; what it shows afterwards is another one that
edits it. Who may decide is judged by the caller and carried in `Decide.may_decide`.
"""

from typing import Final

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Actor, Approval, ApprovalState
from protocol.requests import ApprovalResult
from storage import audit_log, run_rows
from storage.engine import Engine, Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import GATEWAY, Act, ClaimedRun, Decide, NewApproval, OutboxChanged

_SQL = Queries("approvals")
_THREADS = Queries("threads")
_CHANNELS = Queries("channels")
_LAST_ID: Final = "~"
"""Sorts after every id."""
_EXPIRED_REASON: Final = "nobody decided in time"
_CANCELLED_REASON: Final = "its run ended"
NO_LONGER_OPEN: Final = "This is no longer open."
"""What somebody is told who presses a button that belongs to nothing."""


class Approvals:
    """`storage.ports.ApprovalStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, org_id: str, approval_id: str) -> Approval:
        return await self._engine.read(_get, org_id, approval_id)

    async def page(
        self, org_id: str, state: ApprovalState | None, thread_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[Approval], str | None]:
        return await self._engine.read(_page, org_id, state, thread_id, limit, cursor or _LAST_ID)

    async def decide(self, act: Act, decide: Decide) -> RawJson:
        return await self._engine.write(_decide, act, decide)

    async def expire(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(_expire, now_ms, limit)


# --- asking ----------------------------------------------------------------------------------------


def request(tx: Transaction, act: Act, run: ClaimedRun, row: Row, new: NewApproval) -> None:
    """Ask for one thing: its event, its card in the room and its audit entry. The run is parked by `waits.py`."""
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=run.org_id,
        run_id=run.id,
        thread_id=run.thread_id,
        subject_hash=new.subject_hash,
        request=to_text(
            {"title": new.title, "body": new.body, "expired": new.expired, "cancelled": new.cancelled}
        ),
        created_at=act.at_ms,
        expires_at=new.expires_at_ms,
        requested_by=row["requested_by"],
        settle_id=new.settle_id,
        key=new.key,
    )
    approval = _get(tx, run.org_id, new.id)
    _tell(tx, act, approval, EventKind.APPROVAL_REQUESTED)
    if new.card is not None:
        _post(tx, run, row, new, act.at_ms)
    audit_log.append(tx, act, "approval.request", _subject(approval))


def _post(tx: Transaction, run: ClaimedRun, row: Row, new: NewApproval, now_ms: int) -> None:
    assert new.card is not None and run.origin.channel is not None
    tx.run(
        _CHANNELS.insert_outbound,
        id=new.card.id,
        org_id=run.org_id,
        channel=run.origin.channel,
        account=run.origin.account,
        room=run.origin.room,
        topic=run.origin.topic,
        thread_id=run.thread_id,
        run_id=run.id,
        part=new.card.part,
        phase="idle",
        content=new.card.content,
        attempt=0,
        recipient=run_rows.recipient_of(row, run.origin.channel),
        approval_id=new.id,
        sending_since=None,
        now=now_ms,
    )
    assert run.origin.account is not None and run.origin.room is not None
    tx.emit(OutboxChanged(run.origin.channel, run.origin.account, run.origin.room))


# --- reading ---------------------------------------------------------------------------------------


def _find(tx: Reader, org_id: str, approval_id: str) -> Row:
    row = tx.one(_SQL.find, org_id=org_id, id=approval_id)
    if row is None:
        raise Fault(
            ErrorKind.NOT_FOUND, "There is no such approval", hint="approval.list shows what there is"
        )
    return row


def _get(tx: Reader, org_id: str, approval_id: str) -> Approval:
    return _approval(_find(tx, org_id, approval_id))


def _page(
    tx: Reader, org_id: str, state: ApprovalState | None, thread_id: str | None, limit: int, before: str
) -> tuple[list[Approval], str | None]:
    rows = tx.all(_SQL.page, org_id=org_id, state=state, thread_id=thread_id, limit=limit + 1, before=before)
    return [_approval(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


def _approval(row: Row) -> Approval:
    request = from_text(row["request"])
    return Approval(
        id=row["id"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        title=request["title"],
        body=request["body"],
        state=ApprovalState(row["state"]),
        requested_by=row["requested_by"],
        created_at=to_instant(row["created_at"]),
        expires_at=to_instant(row["expires_at"]),
        decided_by=Actor.model_validate(from_text(row["decided_by"])) if row["decided_by"] else None,
        decided_at=to_instant(row["decided_at"]) if row["decided_at"] is not None else None,
        reason=row["reason"],
    )


# --- deciding --------------------------------------------------------------------------------------


def _decide(tx: Transaction, act: Act, decide: Decide) -> RawJson:
    def effect() -> ApprovalResult:
        row = _find(tx, act.org_id, decide.approval_id)
        wanted = ApprovalState.APPROVED if decide.approves else ApprovalState.DENIED
        if row["state"] not in (ApprovalState.PENDING, wanted):
            raise Fault(ErrorKind.INVALID_STATE, _already(_approval(row)), state=row["state"])
        if row["state"] == ApprovalState.PENDING:
            _settle(tx, act, row, wanted, decide.reason, decide.settled)
        return ApprovalResult(approval=_get(tx, act.org_id, decide.approval_id))

    return once(tx, act, effect)


def press(tx: Transaction, act: Act, decide: Decide) -> str:
    """Decide by a button, in the transaction of its delivery; returns what whoever pressed it is told."""
    row = tx.one(_SQL.find, org_id=act.org_id, id=decide.approval_id)
    if row is None:
        return NO_LONGER_OPEN
    if decide.may_decide is not None and act.actor.id not in (decide.may_decide or {row["requested_by"]}):
        audit_log.append(tx, act, "approval.decide", _subject(_approval(row)), outcome="failure")
        return "You may not decide this."
    if row["state"] != ApprovalState.PENDING:
        return _already(_approval(row))
    state = ApprovalState.APPROVED if decide.approves else ApprovalState.DENIED
    _settle(tx, act, row, state, decide.reason, decide.settled)
    return "Approved." if decide.approves else "Denied."


def cancel_of_run(tx: Transaction, act: Act, run_id: str) -> None:
    """A run that ended waits for nothing: what it asked for can no longer be decided."""
    for row in tx.all(_SQL.pending_of_run, run_id=run_id):
        settled = from_text(row["request"])["cancelled"]
        _settle(tx, act, row, ApprovalState.CANCELLED, _CANCELLED_REASON, settled)


def _expire(tx: Transaction, now_ms: int, limit: int) -> int:
    rows = tx.all(_SQL.overdue, now=now_ms, limit=limit)
    for row in rows:
        act = Act(row["org_id"], GATEWAY, "expiry", now_ms)
        _settle(tx, act, row, ApprovalState.EXPIRED, _EXPIRED_REASON, from_text(row["request"])["expired"])
    return len(rows)


_KINDS: Final = {
    ApprovalState.APPROVED: EventKind.APPROVAL_DECIDED,
    ApprovalState.DENIED: EventKind.APPROVAL_DECIDED,
    ApprovalState.EXPIRED: EventKind.APPROVAL_EXPIRED,
    ApprovalState.CANCELLED: EventKind.APPROVAL_CANCELLED,
}
_ACTIONS: Final = {
    EventKind.APPROVAL_DECIDED: "approval.decide",
    EventKind.APPROVAL_EXPIRED: "approval.expire",
    EventKind.APPROVAL_CANCELLED: "approval.cancel",
}


def _settle(
    tx: Transaction, act: Act, row: Row, state: ApprovalState, reason: str, settled: str | None
) -> None:
    changed = tx.run(
        _SQL.settle,
        id=row["id"],
        state=state.value,
        decided_by=to_text(act.actor.model_dump(mode="json")),
        reason=reason or None,
        settled=settled,
        now=act.at_ms,
    )
    assert changed, "the caller saw it pending in this transaction"
    approval = _get(tx, row["org_id"], row["id"])
    kind = _KINDS[state]
    _tell(tx, act, approval, kind)
    audit_log.append(tx, act, _ACTIONS[kind], _subject(approval), detail={"state": state.value})
    card = tx.one(_SQL.card, approval_id=row["id"], settle_id=row["settle_id"])
    if card is not None and settled is not None:
        show_settled(tx, card, act.at_ms)
    if state is not ApprovalState.CANCELLED:
        run_rows.tell_ready(tx, row["thread_id"], row["run_id"])


def show_settled(tx: Transaction, card: Row, now_ms: int) -> None:
    """Owe the room what a decided card shows, once the card itself stands there; nothing while it is open.

    Called when an approval is decided and when a card was delivered: whichever comes last.
    """
    approval = tx.one(_SQL.find, org_id=card["org_id"], id=card["approval_id"])
    if approval is None or approval["settled"] is None or card["phase"] != "sent":
        return
    if card["id"] == approval["settle_id"]:
        return
    place = {
        key: card[key] for key in ("org_id", "channel", "account", "room", "topic", "thread_id", "run_id")
    }
    tx.run(
        _CHANNELS.insert_outbound,
        **place,
        id=approval["settle_id"],
        part=card["part"],
        phase="idle",
        content=approval["settled"],
        attempt=0,
        recipient=card["recipient"],
        approval_id=card["approval_id"],
        sending_since=None,
        now=now_ms,
    )
    tx.run(_CHANNELS.point_outbound, id=approval["settle_id"], ref=card["ref"])
    tx.emit(OutboxChanged(card["channel"], card["account"], card["room"]))


def _tell(tx: Transaction, act: Act, approval: Approval, kind: EventKind) -> None:
    thread = tx.one(_THREADS.find, org_id=act.org_id, id=approval.thread_id)
    assert thread is not None, "an approval belongs to a thread"
    data = {"approval": approval.model_dump(mode="json", exclude_none=True)}
    append(tx, Tail.of(thread), act.at_ms, [Fact(kind, data, act.actor, approval.run_id)])


def _already(approval: Approval) -> str:
    by = f" by {approval.decided_by.name}" if approval.decided_by is not None else ""
    if approval.state in (ApprovalState.APPROVED, ApprovalState.DENIED):
        return f"This was {approval.state.value} already{by}."
    return NO_LONGER_OPEN


def _subject(approval: Approval) -> dict[str, str]:
    return {"approval_id": approval.id, "run_id": approval.run_id, "thread_id": approval.thread_id}
