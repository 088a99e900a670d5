"""Retention: what is older than a cutoff, counted and deleted in bounded batches, one class of data at a time.

What a legal hold covers is passed over and counted. Which classes are bounded, and where, is decided in
`gateway/rules/retention.py`.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from protocol.frames import RawJson
from protocol.privacy import RetentionRunResult
from storage import audit_log, idempotency, legal_holds
from storage.engine import Engine, Reader, Row, Transaction
from storage.privacy_values import Batch, Key, RetentionClass
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

    async def delete(self, act: Act, what: RetentionClass, before_ms: int, keys: Sequence[Key]) -> int:
        return await self._engine.write(_delete, act, what, before_ms, keys)

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


# --- finding, on a reader: it may look at many rows --------------------------------------------------


def _look(tx: Reader, org_id: str, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
    place: dict[str, Any] = {"org_id": org_id, "before": before_ms, "after": after, "limit": limit}
    found = tx.all(_FINDERS[what], **place)
    key = "id" if what in ("messages", "files", "journal") else "place"
    due = tuple(row[key] for row in found if not _is_held(tx, org_id, what, row))
    end = found[-1]["place"] if len(found) == limit else None
    return Batch(due, len(found) - len(due), end)


def _is_held(tx: Reader, org_id: str, what: RetentionClass, row: Row) -> bool:
    if what == "audit_content":
        return bool(row["is_held"])
    thread_id = row["id"] if what == "messages" else row["thread_id"]
    return thread_id is not None and legal_holds.of_thread(tx, org_id, thread_id) is not None


# --- deleting: looked at once more, in the transaction ---------------------------------------------


def _delete(tx: Transaction, act: Act, what: RetentionClass, before_ms: int, keys: Sequence[Key]) -> int:
    count = 0
    for key in keys:
        rows = tx.all(_CHECKS[what], org_id=act.org_id, key=key, before=before_ms)
        if rows and not any(_is_held(tx, act.org_id, what, row) for row in rows):
            _DELETERS[what](tx, act, key, rows[0])
            count += 1
    if what == "audit_content":
        tx.run(_SQL.forget_addresses, org_id=act.org_id, before=before_ms)
    if count:
        audit_log.append(tx, act, "retention.delete", {"class": what}, detail={"count": count})
    return count


class _Deleter(Protocol):
    def __call__(self, tx: Transaction, act: Act, key: Key, row: Row) -> None:
        """Delete it."""
        ...


def _delete_thread(tx: Transaction, act: Act, key: Key, row: Row) -> None:
    erase_thread(tx, act, row)
    tx.run(_SQL.forget_runs, thread_id=key)


def _delete_file(tx: Transaction, act: Act, key: Key, row: Row) -> None:
    tx.run(_SQL.drop_file, id=key, error=FILE_GONE)
    tx.emit(FilesDropped((row["sha256"],)))


def _delete_journal(tx: Transaction, act: Act, key: Key, row: Row) -> None:
    tx.run(_SQL.forget_journal, run_id=key)


def _delete_usage(tx: Transaction, act: Act, key: Key, row: Row) -> None:
    tx.run(_SQL.forget_usage, org_id=act.org_id, place=key)


def _delete_content(tx: Transaction, act: Act, key: Key, row: Row) -> None:
    tx.run(_SQL.forget_content, org_id=act.org_id, seq=key)


_FINDERS: Final[dict[RetentionClass, str]] = {
    "messages": _SQL.old_threads,
    "files": _SQL.old_files,
    "journal": _SQL.old_journals,
    "usage": _SQL.old_usage,
    "audit_content": _SQL.old_content,
}
_CHECKS: Final[dict[RetentionClass, str]] = {
    "messages": _SQL.old_thread,
    "files": _SQL.old_file,
    "journal": _SQL.old_journal,
    "usage": _SQL.old_usage_line,
    "audit_content": _SQL.old_piece,
}
_DELETERS: Final[dict[RetentionClass, _Deleter]] = {
    "messages": _delete_thread,
    "files": _delete_file,
    "journal": _delete_journal,
    "usage": _delete_usage,
    "audit_content": _delete_content,
}
