"""What has to be done about approvals in time: reminded of once, escalated once, and denied when nobody decided. By the
stored times; whoever runs a timer for it only says when to look."""

from collections.abc import Sequence

from storage import approval_cards, approval_ends, approval_rows, notices
from storage.approval_ports import CardsOf
from storage.approval_values import CardEdit
from storage.engine import Reader, Transaction
from storage.queries import Queries
from storage.values import GATEWAY, Act, Notice

_SQL = Queries("approvals")


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


def to_remind(tx: Reader, now_ms: int, limit: int) -> list[CardsOf]:
    """What people have to be reminded of."""
    return [approval_cards.cards_of(tx, row) for row in tx.all(_SQL.to_remind, now=now_ms, limit=limit)]


def remind(
    tx: Transaction, org_id: str, approval_id: str, reminders: Sequence[CardEdit], now_ms: int
) -> None:
    """Remind people, once, in the rooms of these cards."""
    row = approval_rows.find(tx, org_id, approval_id)
    if not tx.run(_SQL.remind, id=approval_id, now=now_ms):
        return
    act = Act(org_id, GATEWAY, "reminder", now_ms)
    approval_rows.tell(tx, act, row, None, "approval.remind", {})
    cards = {card["id"]: card for card in tx.all(_SQL.cards, approval_id=approval_id)}
    for reminder in reminders:
        card = cards.get(reminder.card_id)
        if card is not None:
            place = (card["channel"], card["account"], card["room"], card["topic"])
            notice = Notice(reminder.delivery_id, reminder.content)
            notices.owe(tx, org_id, *place, notice, None, now_ms)
