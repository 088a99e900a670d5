"""What has to be done about approvals in time: reminded of once, escalated once, and denied when nobody decided. By the
stored times; whoever runs a timer for it only says when to look."""

from protocol.approvals import Approval
from storage import approval_ends, approval_rows, notices
from storage.engine import Reader, Transaction
from storage.queries import Queries
from storage.values import GATEWAY, Act, Notice

_SQL = Queries("approvals")
_THREADS = Queries("threads")


def next_due_ms(tx: Reader) -> int | None:
    """When the next of them is due."""
    times = [tx.value(sql) for sql in (_SQL.next_expiry, _SQL.next_reminder, _SQL.next_escalation)]
    return min((at for at in times if at is not None), default=None)


def expire(tx: Transaction, now_ms: int, limit: int) -> int:
    """Deny what nobody decided in time."""
    return sum(approval_ends.expire(tx, now_ms, row) for row in tx.all(_SQL.overdue, now=now_ms, limit=limit))


def escalate(tx: Transaction, now_ms: int, limit: int) -> int:
    """Tell that the second group may decide now."""
    rows = tx.all(_SQL.to_escalate, now=now_ms, limit=limit)
    for row in rows:
        if tx.run(_SQL.escalate, id=row["id"], now=now_ms):
            act = Act(row["org_id"], GATEWAY, "escalation", now_ms)
            approval_rows.tell(tx, act, row, None, "approval.escalate", {})
    return len(rows)


def to_remind(tx: Reader, now_ms: int, limit: int) -> list[tuple[str, Approval]]:
    """What people have to be reminded of, each with its organization."""
    rows = tx.all(_SQL.to_remind, now=now_ms, limit=limit)
    return [(row["org_id"], approval_rows.record(tx, row)) for row in rows]


def remind(tx: Transaction, org_id: str, approval_id: str, notice: Notice | None, now_ms: int) -> None:
    """Remind people, once."""
    row = approval_rows.find(tx, org_id, approval_id)
    if not tx.run(_SQL.remind, id=approval_id, now=now_ms):
        return
    act = Act(org_id, GATEWAY, "reminder", now_ms)
    approval_rows.tell(tx, act, row, None, "approval.remind", {})
    thread = tx.one(_THREADS.find, org_id=org_id, id=row["thread_id"]) if row["thread_id"] else None
    if thread is not None and notice is not None:
        notices.owe_thread(tx, thread, notice, now_ms, row["run_id"])
