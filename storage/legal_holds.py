"""Legal holds: what must be kept although somebody, or time, wants it gone.

A hold on a thread keeps the thread; a hold on a person keeps what they wrote and the threads they wrote in. Whoever
deletes asks here, in the same transaction.
"""

import orjson

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix, has_prefix
from protocol.instants import to_instant
from protocol.privacy import DataEraseResult, LegalHold
from protocol.records import Actor
from storage import audit_log, audit_people, thread_rows
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.privacy_values import HoldKind
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import Act

_SQL = Queries("holds")


class LegalHolds:
    """`storage.privacy_ports.HoldStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def open(self, org_id: str) -> list[LegalHold]:
        return await self._engine.read(_open, org_id)

    async def place(self, act: Act, hold_id: str, kind: HoldKind, subject: str, reason: str) -> RawJson:
        return await self._engine.write(_place, act, hold_id, kind, subject, reason)

    async def release(self, act: Act, kind: HoldKind, subject: str, reason: str) -> RawJson:
        return await self._engine.write(_release, act, kind, subject, reason)


# --- in the transactions of others -----------------------------------------------------------------


def of_thread(tx: Reader, org_id: str, thread_id: str) -> str | None:
    """The hold that covers a thread."""
    if tx.one(_SQL.is_any, org_id=org_id) is None:
        return None
    hold_id: str | None = tx.value(_SQL.of_thread, org_id=org_id, thread_id=thread_id)
    return hold_id


def of_person(tx: Reader, org_id: str, ids: tuple[str, ...]) -> str | None:
    """The hold that covers a person who acts under these ids."""
    hold_id: str | None = tx.value(_SQL.of_person, org_id=org_id, ids=orjson.dumps(ids).decode())
    return hold_id


def held_fault(hold_id: str) -> Fault:
    """What somebody is told who wants gone what must be kept."""
    return Fault(
        ErrorKind.INVALID_STATE,
        f"The legal hold {hold_id} keeps it",
        hint="threadgate holds list shows why; release it first",
        hold_id=hold_id,
    )


def refused(tx: Transaction, act: Act, action: str, subject: dict[str, str], hold_id: str) -> None:
    """Record that somebody was kept from deleting, in a transaction of its own: theirs was undone."""
    audit_log.append(
        tx, act, action, subject, outcome="failure", reason="legal_hold", detail={"hold_id": hold_id}
    )


# --- holds themselves ------------------------------------------------------------------------------


def _open(tx: Reader, org_id: str) -> list[LegalHold]:
    return [_record(row) for row in tx.all(_SQL.open, org_id=org_id)]


def _place(tx: Transaction, act: Act, hold_id: str, kind: HoldKind, subject: str, reason: str) -> RawJson:
    def effect() -> DataEraseResult:
        if kind == "thread":
            thread_rows.find(tx, act.org_id, subject)
        row = tx.one(_SQL.find_open, org_id=act.org_id, kind=kind, subject=subject)
        if row is None:
            tx.run(
                _SQL.insert,
                id=hold_id,
                org_id=act.org_id,
                kind=kind,
                subject=subject,
                reason=reason,
                placed_by=to_text(act.actor.model_dump(mode="json")),
                now=act.at_ms,
            )
            _tell(tx, act, "hold.place", hold_id, kind, subject, reason)
            row = tx.one(_SQL.find_open, org_id=act.org_id, kind=kind, subject=subject)
        assert row is not None, "it is there now"
        return DataEraseResult(holds=[_record(row)])

    return once(tx, act, effect)


def _release(tx: Transaction, act: Act, kind: HoldKind, subject: str, reason: str) -> RawJson:
    def effect() -> DataEraseResult:
        row = tx.one(_SQL.find_open, org_id=act.org_id, kind=kind, subject=subject)
        if row is None:
            raise Fault(
                ErrorKind.NOT_FOUND,
                "No legal hold covers this by itself",
                hint="threadgate holds list shows all",
            )
        by = to_text(act.actor.model_dump(mode="json"))
        tx.run(_SQL.release, id=row["id"], released_by=by, now=act.at_ms)
        _tell(tx, act, "hold.release", row["id"], kind, subject, reason)
        return DataEraseResult(holds=[_record(row).model_copy(update={"released_at": to_instant(act.at_ms)})])

    return once(tx, act, effect)


def _tell(
    tx: Transaction, act: Act, action: str, hold_id: str, kind: HoldKind, subject: str, reason: str
) -> None:
    of = subject if kind == "thread" else opaque(tx, act, subject)
    audit_log.append(
        tx, act, action, {"hold_id": hold_id, kind: of}, content={"reason": reason}, about=hold_id
    )


def opaque(tx: Transaction, act: Act, person: str) -> str:
    """How entries of the audit log name somebody: users have ids that say nothing."""
    if has_prefix(person, IdPrefix.PRINCIPAL):
        return person
    return audit_people.of_person(tx, act.org_id, person, "", act.at_ms)


def _record(row: Row) -> LegalHold:
    return LegalHold(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        reason=row["reason"],
        placed_by=Actor.model_validate(from_text(row["placed_by"])),
        placed_at=to_instant(row["placed_at"]),
        released_at=to_instant(row["released_at"]) if row["released_at"] is not None else None,
    )
