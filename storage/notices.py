"""Notices: one platform message that a room is owed beside answers and cards.

To a stranger, to who writes too much (`owe`), or into the room of a thread (`owe_thread`).
"""

from storage.engine import Row, Transaction
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Notice, OutboxChanged

_SQL = Queries("channels")


def owe(
    tx: Transaction,
    org_id: str,
    channel: str,
    account: str,
    room: str,
    topic: str | None,
    notice: Notice,
    recipient: str | None,
    now_ms: int,
) -> None:
    """Put a notice into the outbox. It belongs to no thread, so no log tells of it."""
    _insert(tx, org_id, channel, account, room, topic, notice, recipient, now_ms)


def owe_thread(
    tx: Transaction,
    thread: Row,
    notice: Notice,
    now_ms: int,
    run_id: str | None,
    recipient: str | None = None,
) -> None:
    """Put a notice into the outbox for the room of a thread; nothing for a thread that has none."""
    origin = from_text(thread["origin"])
    if "room" not in origin:
        return
    place = (origin["channel"], origin["account"], origin["room"], origin.get("topic"))
    _insert(tx, thread["org_id"], *place, notice, recipient, now_ms, thread_id=thread["id"], run_id=run_id)


def _insert(
    tx: Transaction,
    org_id: str,
    channel: str,
    account: str,
    room: str,
    topic: str | None,
    notice: Notice,
    recipient: str | None,
    now_ms: int,
    thread_id: str | None = None,
    run_id: str | None = None,
) -> None:
    tx.run(
        _SQL.insert_outbound,
        id=notice.delivery_id,
        org_id=org_id,
        channel=channel,
        account=account,
        room=room,
        topic=topic,
        thread_id=thread_id,
        run_id=run_id,
        part=1,
        phase="idle",
        content=notice.content,
        attempt=0,
        recipient=recipient,
        approval_id=None,
        sending_since=None,
        now=now_ms,
    )
    tx.emit(OutboxChanged(channel, account, room))
