"""The outbox: what we owe chat networks, one row per platform message.

A row's content is written where runs end (`run_ends.py`), its phase only here, by the one service that
delivers or (in `deliveries.py`) by an operator. Which steps exist is decided by
`gateway/rules/delivery_states.py` and comes in as a `DeliveryStep`.
"""

from collections import Counter
from typing import Any, Final

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.records import Actor, ThreadStatus
from storage import run_rows
from storage.approval_values import ApprovalChanged
from storage.channel_values import Gap
from storage.engine import Engine, Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.texts import from_text
from storage.values import GATEWAY, ClaimedRun, DeliveryCounts, DeliveryStep, OutboxChanged, OutboxRow

_SQL = Queries("channels")
_THREADS = Queries("threads")
_COUNTED_AS: Final = {"idle": "waiting", "sending": "waiting", "unknown": "waiting"}


class Outbox:
    """`storage.ports.OutboxStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open_live(self, run: ClaimedRun, delivery_id: str, now_ms: int) -> OutboxRow:
        return await self._engine.write(_open_live, run, delivery_id, now_ms)

    async def doubt_interrupted_sends(self, now_ms: int) -> int:
        return await self._engine.write(_doubt, now_ms)

    async def pending_rooms(self) -> list[OutboxChanged]:
        return await self._engine.read(_pending_rooms)

    async def next_in_room(self, room: OutboxChanged) -> OutboxRow | None:
        return await self._engine.read(_next_in_room, room)

    async def step(self, delivery_id: str, step: DeliveryStep, now_ms: int) -> OutboxRow:
        return await self._engine.write(_step, delivery_id, step, now_ms)

    async def counts(self) -> dict[tuple[str, str], DeliveryCounts]:
        return await self._engine.read(_counts)

    async def gaps(self, org_id: str) -> dict[tuple[str, str], Gap]:
        return await self._engine.read(_gaps, org_id)


def _open_live(tx: Transaction, run: ClaimedRun, delivery_id: str, now_ms: int) -> OutboxRow:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    live = tx.one(_SQL.live_outbound, run_id=row["id"])
    if live is not None:
        return row_of(live)
    thread = tx.one(_THREADS.find, org_id=run.org_id, id=run.thread_id)
    origin = from_text(thread["origin"]) if thread is not None else {}
    tx.run(
        _SQL.insert_outbound,
        id=delivery_id,
        org_id=run.org_id,
        channel=origin["channel"],
        account=origin["account"],
        room=origin["room"],
        topic=origin.get("topic"),
        thread_id=run.thread_id,
        run_id=run.id,
        part=1,
        phase="sending",
        content=None,
        attempt=1,
        recipient=run_rows.recipient_of(row, origin["channel"]),
        approval_id=None,
        sending_since=now_ms,
        now=now_ms,
    )
    return _find(tx, delivery_id)


def _doubt(tx: Transaction, now_ms: int) -> int:
    return tx.run(_SQL.doubt_interrupted_sends, now=now_ms)


def _pending_rooms(tx: Reader) -> list[OutboxChanged]:
    return [OutboxChanged(row["channel"], row["account"], row["room"]) for row in tx.all(_SQL.pending_rooms)]


def _next_in_room(tx: Reader, room: OutboxChanged) -> OutboxRow | None:
    row = tx.one(_SQL.next_in_room, channel=room.channel, account=room.account, room=room.room)
    return row_of(row) if row is not None else None


def _step(tx: Transaction, delivery_id: str, step: DeliveryStep, now_ms: int) -> OutboxRow:
    row = tx.one(_SQL.find_outbound, id=delivery_id)
    if row is None or row["phase"] not in step.sources:
        phase = row["phase"] if row is not None else "gone"
        raise Fault(ErrorKind.INVALID_STATE, f"The delivery is {phase} and cannot become {step.target}")
    record(tx, row, step, now_ms)
    return _find(tx, delivery_id)


def record(tx: Transaction, row: Row, step: DeliveryStep, now_ms: int, actor: Actor | None = None) -> None:
    """Write a step that is possible, and tell who has to know. `actor` None: the gateway did it."""
    ref = None if step.drop_ref else step.ref or row["ref"]
    begins = step.target == "sending"
    tx.run(
        _SQL.update_outbound,
        id=row["id"],
        phase=step.target,
        ref=ref,
        attempt=0 if step.starts_over else row["attempt"] + begins,
        uncertain=row["uncertain"] + step.uncertain,
        next_attempt_at=step.next_attempt_at_ms,
        last_error=step.error,
        # When the first of its sends began: an earlier one that was not found may still turn up.
        sending_since=row["sending_since"] or now_ms if begins else row["sending_since"],
        now=now_ms,
    )
    if ref is not None and row["thread_id"] is not None:
        tx.run(
            _THREADS.remember_platform_message,
            org_id=row["org_id"],
            channel=row["channel"],
            account=row["account"],
            room=row["room"],
            ref=ref,
            thread_id=row["thread_id"],
            message_id=None,
        )
    if row["content"] is not None and step.target in ("idle", "unknown"):
        tx.emit(OutboxChanged(row["channel"], row["account"], row["room"]))
    if row["approval_id"] is not None:
        tx.emit(ApprovalChanged(row["approval_id"]))  # a card that stands now may show something older
    kind = _event_kind(step)
    if kind is not None:
        fact = Fact(kind, _told(row, ref, step), actor or GATEWAY, run_id=row["run_id"])
        _tell(tx, row, fact, now_ms)


def _event_kind(step: DeliveryStep) -> EventKind | None:
    if step.uncertain:
        return EventKind.DELIVERY_UNCERTAIN
    return {"sent": EventKind.DELIVERY_SENT, "failed": EventKind.DELIVERY_FAILED}.get(step.target)


def _tell(tx: Transaction, row: Row, fact: Fact, now_ms: int) -> None:
    if row["thread_id"] is None:
        return  # a hint to a stranger belongs to no thread
    thread = tx.one(_THREADS.find, org_id=row["org_id"], id=row["thread_id"])
    if thread is None or thread["status"] == ThreadStatus.DELETED:
        return
    append(tx, Tail.of(thread), now_ms, [fact])


def _told(row: Row, ref: str | None, step: DeliveryStep) -> dict[str, Any]:
    data = {
        "delivery_id": row["id"],
        "channel": row["channel"],
        "account": row["account"],
        "room": row["room"],
        "part": row["part"],
    }
    if ref is not None:
        data["ref"] = ref
    if step.error is not None:
        data["reason"] = step.error
    return data


def _counts(tx: Reader) -> dict[tuple[str, str], DeliveryCounts]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in tx.all(_SQL.counts):
        mine = found.setdefault((row["channel"], row["account"]), Counter())
        mine[_COUNTED_AS.get(row["phase"], row["phase"])] += row["rows_found"]
    return {account: DeliveryCounts(**mine) for account, mine in found.items()}


def _gaps(tx: Reader, org_id: str) -> dict[tuple[str, str], Gap]:
    return {
        (row["channel"], row["account"]): Gap(row["since"], row["until"], row["reason"])
        for row in tx.all(_SQL.latest_gaps, org_id=org_id)
    }


def _find(tx: Reader, delivery_id: str) -> OutboxRow:
    row = tx.one(_SQL.find_outbound, id=delivery_id)
    assert row is not None, "the row was written in this transaction"
    return row_of(row)


def row_of(row: Row) -> OutboxRow:
    """A delivery as the gateway sees it."""
    return OutboxRow(
        id=row["id"],
        org_id=row["org_id"],
        channel=row["channel"],
        account=row["account"],
        room=row["room"],
        topic=row["topic"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        part=row["part"],
        phase=row["phase"],
        content=row["content"],
        ref=row["ref"],
        attempt=row["attempt"],
        next_attempt_at_ms=row["next_attempt_at"],
        recipient=row["recipient"],
        approval_id=row["approval_id"],
        sending_since_ms=row["sending_since"] or 0,
    )
