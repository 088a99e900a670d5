"""Notices: one platform message that a room is owed outside of any run (to a stranger, to who writes too much)."""

from storage.engine import Transaction
from storage.queries import Queries
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
    tx.run(
        _SQL.insert_outbound,
        id=notice.delivery_id,
        org_id=org_id,
        channel=channel,
        account=account,
        room=room,
        topic=topic,
        thread_id=None,
        run_id=None,
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
