"""How approvals end: decided, too late, or because what asked for them is over. Each is one conditional update, so
there is one end, whoever comes at the same moment; what follows from it happens in the same transaction.
"""

from collections.abc import Callable, Mapping
from typing import Final

from protocol.approvals import ApprovalKind, ApprovalState
from protocol.events import EventKind
from protocol.records import Actor, PairingState
from protocol.scopes import Scope
from storage import approval_rows, audit_log, pairings, run_rows
from storage.channel_values import PairingKey
from storage.device_values import DeviceGrant
from storage.engine import Row, Transaction
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import GATEWAY, Act, ClaimedRun, Notice

_SQL = Queries("approvals")
_EXPIRED: Final = "nobody decided in time"
_CANCELLED: Final = "its run ended"


def decide(tx: Transaction, act: Act, row: Row, state: ApprovalState, reason: str) -> bool:
    """End it by a decision; False when it is over, or its time is."""
    if not _settle(tx, act, row, state, act.actor, reason, None):
        return False
    _end(tx, act, row, EventKind.APPROVAL_DECIDED, "approval.decide", state)
    return True


def grant(tx: Transaction, act: Act, row: Row, given: Row) -> bool:
    """End it by a grant that was given before, in the name of who gave it."""
    by = Actor.model_validate(from_text(given["granted_by"]))
    if not _settle(tx, act, row, ApprovalState.APPROVED, by, "by an earlier grant", given["id"]):
        return False
    _end(tx, act, row, EventKind.APPROVAL_DECIDED, "approval.grant_use", ApprovalState.APPROVED)
    return True


def expire(tx: Transaction, now_ms: int, row: Row) -> bool:
    """End it as denied because its time is over; False when it is not, or somebody decided."""
    by = to_text(GATEWAY.model_dump(mode="json"))
    if not tx.run(_SQL.expire, id=row["id"], decided_by=by, reason=_EXPIRED, now=now_ms):
        return False
    act = Act(row["org_id"], GATEWAY, "expiry", now_ms)
    _end(tx, act, row, EventKind.APPROVAL_EXPIRED, "approval.expire", ApprovalState.EXPIRED)
    return True


def consume(
    tx: Transaction, run: ClaimedRun, approval_id: str, now_ms: int, step: str, request_hash: str = ""
) -> bool:
    """Use leave: once, by the run that asked for it; `step` is what uses it. False when there is none, or no more."""
    if not tx.run(_SQL.consume, org_id=run.org_id, id=approval_id, run_id=run.id, now=now_ms):
        return False
    subject = {"approval_id": approval_id, "run_id": run.id}
    detail = {"step": step} | ({"request_hash": request_hash} if request_hash else {})
    audit_log.append(tx, run_rows.agent_act(run, now_ms), "approval.consume", subject, detail=detail)
    return True


def consume_answer(tx: Transaction, act: Act, run: Row) -> None:
    """An answer that people let out is out: their leave is used."""
    for row in tx.all(_SQL.of_run, run_id=run["id"]):
        if row["kind"] == ApprovalKind.MESSAGE and tx.run(
            _SQL.consume, org_id=row["org_id"], id=row["id"], run_id=run["id"], now=act.at_ms
        ):
            audit_log.append(
                tx, act, "approval.consume", approval_rows.subject(row), detail={"step": "answer"}
            )


def cancel_of_run(tx: Transaction, act: Act, run_id: str) -> None:
    """A run that ended waits for nothing: what it asked for can no longer be decided."""
    by = to_text(act.actor.model_dump(mode="json"))
    for row in tx.all(_SQL.pending_of_run, run_id=run_id):
        if tx.run(_SQL.cancel, id=row["id"], decided_by=by, reason=_CANCELLED, now=act.at_ms):
            state = ApprovalState.CANCELLED
            approval_rows.tell(
                tx, act, row, EventKind.APPROVAL_CANCELLED, "approval.cancel", {"state": state.value}
            )


def _settle(
    tx: Transaction, act: Act, row: Row, state: ApprovalState, by: Actor, reason: str, grant_id: str | None
) -> bool:
    return bool(
        tx.run(
            _SQL.settle,
            id=row["id"],
            state=state.value,
            decided_by=to_text(by.model_dump(mode="json")),
            reason=reason or None,
            grant_id=grant_id,
            now=act.at_ms,
        )
    )


def _end(tx: Transaction, act: Act, row: Row, kind: EventKind, action: str, state: ApprovalState) -> None:
    now = approval_rows.again(tx, row)
    effect = _EFFECTS.get(ApprovalKind(row["kind"]))
    if effect is not None:
        effect(tx, act, now, state is ApprovalState.APPROVED)
    detail = {"state": state.value, "subject_hash": approval_rows.hash_of(now)}
    if now["grant_id"] is not None:
        detail["grant_id"] = now["grant_id"]
    approval_rows.tell(tx, act, row, kind, action, detail)
    if row["run_id"] is not None:
        run_rows.tell_ready(tx, row["thread_id"], row["run_id"])


# --- what follows, for what no run waits for --------------------------------------------------------


def _let_in(tx: Transaction, act: Act, row: Row, is_approved: bool) -> None:
    """A pairing is what was decided about it. One that ran out meanwhile stays so."""
    wanted = PairingState.APPROVED if is_approved else PairingState.REJECTED
    told = from_text(row["request"]).get("told")
    notice = Notice(**told) if told is not None else None
    subject = from_text(row["subject"])
    scopes = subject.get("scopes")
    grant = DeviceGrant(
        tuple(Scope(scope) for scope in scopes) if scopes is not None else None, subject.get("name")
    )
    pairings.settle(tx, act, PairingKey(id=subject["pairing_id"]), wanted, notice, grant)


def _release(tx: Transaction, act: Act, row: Row, is_approved: bool) -> None:
    """A version of an agent that was approved is released; any other one is not."""
    if not is_approved:
        return
    released = from_text(row["subject"])
    tx.run(
        _SQL.release,
        org_id=row["org_id"],
        agent_id=released["agent_id"],
        version=released["version"],
        approval_id=row["id"],
        approved_by=row["decided_by"],
        now=act.at_ms,
    )


Effect = Callable[[Transaction, Act, Row, bool], None]
_EFFECTS: Final[Mapping[ApprovalKind, Effect]] = {
    ApprovalKind.PAIRING: _let_in,
    ApprovalKind.RELEASE: _release,
}
"""What a decision does at once, in its own transaction. Everything else is done by the run that waits for it."""
