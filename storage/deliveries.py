"""Deliveries as operators see them: listed, tried again, or declared to have arrived.

What operators do is a step of the same table as what the dispatcher does, with an audit entry and, through its
idempotency key, done once.
"""

from typing import Any, Final

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Delivery, DeliveryState
from protocol.requests import DeliveryResult
from storage import audit_log
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.outbox import record
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act, DeliveryFilter, DeliveryStep

_SQL = Queries("channels")
_LAST_ID: Final = "~"
"""Sorts after every id."""
PREVIEW_CHARS: Final = 120
"""As in the inbox: one line, enough to recognise what was said."""
_DEAD: Final = frozenset({DeliveryState.FAILED, DeliveryState.HELD})


class DeliveryRecords:
    """`storage.ports.DeliveryStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, org_id: str, wanted: DeliveryFilter, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        return await self._engine.read(_page, org_id, wanted, limit, cursor or _LAST_ID)

    async def decide(self, act: Act, delivery_id: str, step: DeliveryStep, action: str) -> RawJson:
        return await self._engine.write(_decide, act, delivery_id, step, action)


def _page(
    tx: Reader, org_id: str, wanted: DeliveryFilter, limit: int, before: str
) -> tuple[list[Delivery], str | None]:
    values: dict[str, Any] = {
        "org_id": org_id,
        "before": before,
        "phase": wanted.phase,
        "channel": wanted.channel,
        "account": wanted.account,
        "limit": limit + 1,
    }
    if wanted.thread_id is not None:
        rows = tx.all(_SQL.page_of_thread, thread_id=wanted.thread_id, **values)
    elif wanted.phase in _DEAD:
        rows = tx.all(_SQL.page_of_dead, **values)
    elif wanted.phase is not None and wanted.phase != DeliveryState.SENT:
        rows = tx.all(_SQL.page_of_owed, **values)
    else:
        rows = tx.all(_SQL.page, **values)
    return [_delivery(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


def _decide(tx: Transaction, act: Act, delivery_id: str, step: DeliveryStep, action: str) -> RawJson:
    def effect() -> DeliveryResult:
        row = _find(tx, act.org_id, delivery_id)
        if row["phase"] not in step.sources:
            raise Fault(
                ErrorKind.INVALID_STATE,
                f"The delivery is {row['phase']}",
                hint=f"This is for deliveries that are {' or '.join(sorted(step.sources))}",
                state=row["phase"],
            )
        if row["content"] is None:
            raise Fault(ErrorKind.INVALID_STATE, "The delivery has nothing to say (any more)")
        record(tx, row, step, act.at_ms, act.actor)
        subject = {"delivery_id": delivery_id, "channel": f"{row['channel']}:{row['account']}"}
        audit_log.append(tx, act, action, subject, detail={"state": row["phase"]})
        return DeliveryResult(delivery=_delivery(_find(tx, act.org_id, delivery_id)))

    return once(tx, act, effect)


def _find(tx: Reader, org_id: str, delivery_id: str) -> Row:
    row = tx.one(_SQL.find_outbound, id=delivery_id)
    if row is None or row["org_id"] != org_id:
        raise Fault(
            ErrorKind.NOT_FOUND, "There is no such delivery", hint="delivery.list shows what there is"
        )
    return row


def _delivery(row: Row) -> Delivery:
    waits_until = row["next_attempt_at"] if row["phase"] == DeliveryState.IDLE else 0
    return Delivery(
        id=row["id"],
        channel_id=f"{row['channel']}:{row['account']}",
        room=row["room"],
        topic=row["topic"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        part=row["part"],
        state=DeliveryState(row["phase"]),
        preview=_preview(row["content"]),
        ref=row["ref"],
        attempts=row["attempt"],
        uncertain=row["uncertain"],
        error=row["last_error"],
        next_attempt_at=to_instant(waits_until) if waits_until else None,
        created_at=to_instant(row["created_at"]),
        updated_at=to_instant(row["updated_at"]),
    )


def _preview(content: str | None) -> str:
    text = " ".join(from_text(content)["text"].split()) if content is not None else ""
    return text if len(text) <= PREVIEW_CHARS else text[: PREVIEW_CHARS - 1] + "…"
