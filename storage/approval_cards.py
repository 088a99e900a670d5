"""Cards: messages that show an approval in a room. They are brought up to date from the approval itself, by a delivery
that edits them; a process that dies in between finds at its next start which ones show something older.
"""

from collections.abc import Sequence

from storage import approval_rows
from storage.approval_ports import CardsOf
from storage.approval_values import CardEdit
from storage.engine import Reader, Row, Transaction
from storage.outbox import row_of
from storage.queries import Queries
from storage.values import OutboxChanged

_SQL = Queries("approvals")
_CHANNELS = Queries("channels")


def stale(tx: Reader, limit: int) -> list[CardsOf]:
    """Approvals whose cards show something older."""
    return [cards_of(tx, row) for row in tx.all(_SQL.stale, limit=limit)]


def cards_of(tx: Reader, row: Row) -> CardsOf:
    """An approval with its cards."""
    cards = tuple(row_of(card) for card in tx.all(_SQL.cards, approval_id=row["id"]))
    return CardsOf(row["org_id"], approval_rows.record(tx, row), row["revision"], cards)


def show(
    tx: Transaction, org_id: str, approval_id: str, revision: int, edits: Sequence[CardEdit], now_ms: int
) -> None:
    """Owe the rooms what their cards should show, unless the approval has changed since."""
    if not tx.run(_SQL.show, id=approval_id, revision=revision):
        return
    cards = {card["id"]: card for card in tx.all(_SQL.cards, approval_id=approval_id)}
    for edit in edits:
        card = cards.get(edit.card_id)
        if card is None or card["org_id"] != org_id:
            continue
        place = {
            key: card[key] for key in ("org_id", "channel", "account", "room", "topic", "thread_id", "run_id")
        }
        tx.run(
            _CHANNELS.insert_outbound,
            **place,
            id=edit.delivery_id,
            part=card["part"],
            phase="idle",
            content=edit.content,
            attempt=0,
            recipient=card["recipient"],
            approval_id=None,
            sending_since=None,
            now=now_ms,
        )
        tx.run(_CHANNELS.point_outbound, id=edit.delivery_id, ref=card["ref"])
        tx.emit(OutboxChanged(card["channel"], card["account"], card["room"]))
