"""Retention: what is older than a cutoff, counted and deleted in bounded batches, one class of data at a time.

What a legal hold covers is passed over and counted. Which classes are bounded, and where, is decided in
`gateway/rules/retention.py`.
"""

from typing import Any, Final, NamedTuple, Protocol

from protocol.frames import RawJson
from protocol.privacy import RetentionRunResult
from storage import audit_log, idempotency, legal_holds
from storage.engine import Engine, Reader, Row, Transaction
from storage.privacy_values import Batch, RetentionClass
from storage.queries import Queries
from storage.thread_erasure import erase_thread
from storage.values import Act, FilesDropped

_SQL = Queries("retention")

FILE_GONE: Final = "it was deleted when its time was over"


class Retention:
    """`storage.privacy_ports.RetentionStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def organizations(self) -> list[str]:
        return await self._engine.read(_organizations)

    async def look(self, org_id: str, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
        return await self._engine.read(_look, org_id, what, before_ms, after, limit)

    async def delete(self, act: Act, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
        return await self._engine.write(_delete, act, what, before_ms, after, limit)

    async def answered(self, act: Act) -> RawJson | None:
        return await self._engine.read(idempotency.answered, act)

    async def finish(self, act: Act, result: RetentionRunResult) -> RawJson:
        return await self._engine.write(_finish, act, result)


def _finish(tx: Transaction, act: Act, result: RetentionRunResult) -> RawJson:
    def effect() -> RetentionRunResult:
        deleted = {one.name: one.deleted for one in result.classes}
        if not result.dry_run:
            audit_log.append(tx, act, "retention.run", {}, detail={"deleted": deleted})
        return result

    return idempotency.once(tx, act, effect)


def _organizations(tx: Reader) -> list[str]:
    return [row["id"] for row in tx.all(_SQL.organizations)]


class _Old(NamedTuple):
    """A row whose time is over: its place in the order, and the thread whose hold covers it."""

    place: int
    thread_id: str | None
    row: Row
    is_held: bool = False


class _Deleter(Protocol):
    def __call__(self, tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
        """Delete it."""
        ...


def _look(tx: Reader, org_id: str, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
    return _sorted_out(tx, org_id, _find(tx, org_id, what, before_ms, after, limit), limit)[1]


def _delete(tx: Transaction, act: Act, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
    found = _find(tx, act.org_id, what, before_ms, after, limit)
    free, batch = _sorted_out(tx, act.org_id, found, limit)
    for old in free:
        _DELETERS[what](tx, act, old, before_ms)
    if free:
        audit_log.append(tx, act, "retention.delete", {"class": what}, detail={"count": len(free)})
    return batch


def _find(
    tx: Reader, org_id: str, what: RetentionClass, before_ms: int, after: int, limit: int
) -> list[_Old]:
    place: dict[str, Any] = {"org_id": org_id, "before": before_ms, "after": after, "limit": limit}
    match what:
        case "messages":
            return [_Old(row["head_offset"], row["id"], row) for row in tx.all(_SQL.old_threads, **place)]
        case "files":
            rows = tx.all(_SQL.old_files, **place)
        case "journal":
            rows = tx.all(_SQL.old_journals, **place)
        case "usage":
            rows = tx.all(_SQL.old_usage, **place)
        case "audit_content":
            found = tx.all(_SQL.old_content, **place)
            return [_Old(row["place"], None, row, is_held=bool(row["is_held"])) for row in found]
    return [_Old(row["place"], row["thread_id"], row) for row in rows]


def _sorted_out(tx: Reader, org_id: str, found: list[_Old], limit: int) -> tuple[list[_Old], Batch]:
    """What may go, and what the batch came to."""
    holds: dict[str, str | None] = {}
    free = []
    for old in found:
        thread_id = old.thread_id
        if thread_id is not None and thread_id not in holds:
            holds[thread_id] = legal_holds.of_thread(tx, org_id, thread_id)
        if not old.is_held and (thread_id is None or holds[thread_id] is None):
            free.append(old)
    place = found[-1].place if len(found) == limit else None
    return free, Batch(due=len(free), held=len(found) - len(free), place=place)


def _delete_thread(tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
    row = tx.one(_SQL.is_old, org_id=act.org_id, id=old.row["id"], before=before_ms)
    assert row is not None, "it was found in this transaction"
    erase_thread(tx, act, row)
    tx.run(_SQL.forget_runs, thread_id=row["id"])


def _delete_file(tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
    tx.run(_SQL.drop_file, id=old.row["id"], error=FILE_GONE)
    tx.emit(FilesDropped((old.row["sha256"],)))


def _delete_journal(tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
    tx.run(_SQL.forget_journal, run_id=old.row["id"])


def _delete_usage(tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
    tx.run(_SQL.forget_usage, place=old.place)


def _delete_content(tx: Transaction, act: Act, old: _Old, before_ms: int) -> None:
    tx.run(_SQL.forget_content, seq=old.place)


_DELETERS: Final[dict[RetentionClass, _Deleter]] = {
    "messages": _delete_thread,
    "files": _delete_file,
    "journal": _delete_journal,
    "usage": _delete_usage,
    "audit_content": _delete_content,
}
