"""Threads: their life (create, rename, archive, restore, delete) and reading their logs.

Accepting messages is in `messages.py`, appending events in `event_log.py`.
"""

from typing import Any

from protocol import limits
from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson, event_json
from protocol.instants import to_instant
from protocol.records import Thread, ThreadStatus
from protocol.requests import SearchMatch, ThreadResult
from storage import audit_log, budgets, legal_holds, messages, thread_rows
from storage.engine import Engine, Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.idempotency import once
from storage.queries import Queries
from storage.thread_erasure import erase_thread
from storage.values import Act, LogPage, NewMessage, NewThread, Said, StoredEvent, ThreadHead

_SQL = Queries("threads")
PAGE_BYTES = limits.FRAME_BYTES // 2
"""A page of history fits a frame with room to spare: five hundred long answers would not."""
_LAST = 2**53
"""Beyond every offset and sequence number: where reading backwards begins."""


class Threads:
    """`storage.ports.ThreadStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, act: Act, thread: NewThread) -> RawJson:
        return await self._engine.write(_create, act, thread)

    async def get(self, org_id: str, thread_id: str) -> Thread:
        return await self._engine.read(_get, org_id, thread_id)

    async def page(
        self, org_id: str, status: str, limit: int, cursor: str | None
    ) -> tuple[list[Thread], str | None]:
        return await self._engine.read(_list, org_id, status, limit, number_cursor(cursor))

    async def update(self, act: Act, thread_id: str, title: str | None, agent_id: str | None) -> RawJson:
        return await self._engine.write(_update, act, thread_id, title, agent_id)

    async def archive(self, act: Act, thread_id: str) -> RawJson:
        return await self._engine.write(_set_status, act, thread_id, ThreadStatus.ARCHIVED)

    async def restore(self, act: Act, thread_id: str) -> RawJson:
        return await self._engine.write(_set_status, act, thread_id, ThreadStatus.ACTIVE)

    async def delete(self, act: Act, thread_id: str) -> RawJson:
        try:
            return await self._engine.write(_delete, act, thread_id)
        except Fault as fault:
            if (hold_id := fault.data.get("hold_id")) is not None:
                subject = {"thread_id": thread_id}
                await self._engine.write(legal_holds.refused, act, "thread.delete", subject, hold_id)
            raise

    async def history(
        self,
        org_id: str,
        thread_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int,
        kinds: frozenset[str] | None = None,
    ) -> LogPage:
        return await self._engine.read(_history, org_id, thread_id, after, before, limit, kinds)

    async def replay(self, org_id: str, thread_id: str, after: int, limit: int, limit_bytes: int) -> LogPage:
        return await self._engine.read(_replay, org_id, thread_id, after, limit, limit_bytes)

    async def search(
        self, org_id: str, query: str, thread_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[SearchMatch], str | None]:
        return await self._engine.read(_search, org_id, query, thread_id, limit, number_cursor(cursor))

    async def heads(self, org_id: str, after_offset: int, limit: int) -> list[ThreadHead]:
        return await self._engine.read(_heads, org_id, after_offset, limit)

    async def said(self, thread_id: str, upto_seq: int, limit: int) -> list[Said]:
        return await self._engine.read(_said, thread_id, upto_seq, limit)

    async def accept(self, act: Act, message: NewMessage) -> RawJson:
        try:
            return await self._engine.write(messages.accept, act, message)
        except budgets.BudgetExceeded as refused:
            # The refusal undid everything, so it is recorded on its own.
            await self._engine.write(budgets.record, act, refused.over, message.thread_id)
            raise


def number_cursor(cursor: str | None) -> int:
    """A list cursor that is a number to read below. Raises Fault -32602 style `conflict` for anything else."""
    if cursor is None:
        return _LAST
    if not cursor.isdecimal():
        raise Fault(ErrorKind.CONFLICT, "The cursor is not one of ours", hint="Use next_cursor as it came")
    return min(int(cursor), _LAST)


# --- the life of a thread --------------------------------------------------------------------------


def _create(tx: Transaction, act: Act, new: NewThread) -> RawJson:
    def effect() -> ThreadResult:
        messages.insert_thread(tx, act, new)
        return _result(tx, act.org_id, new.id)

    return once(tx, act, effect)


def _update(tx: Transaction, act: Act, thread_id: str, title: str | None, agent_id: str | None) -> RawJson:
    def effect() -> ThreadResult:
        row = thread_rows.find(tx, act.org_id, thread_id)
        wanted = {"title": title, "agent_id": agent_id}
        changed = {name: value for name, value in wanted.items() if value is not None and value != row[name]}
        if changed:
            values = {"title": row["title"], "agent_id": row["agent_id"], **changed}
            tx.run(_SQL.change, id=thread_id, status=row["status"], **values)
            append(tx, Tail.of(row), act.at_ms, [Fact(EventKind.THREAD_UPDATED, changed, act.actor)])
            audit_log.append(
                tx, act, "thread.update", {"thread_id": thread_id}, detail={"fields": sorted(changed)}
            )
        return _result(tx, act.org_id, thread_id)

    return once(tx, act, effect)


def _set_status(tx: Transaction, act: Act, thread_id: str, status: ThreadStatus) -> RawJson:
    def effect() -> ThreadResult:
        row = thread_rows.find(tx, act.org_id, thread_id)
        if row["status"] != status:
            messages.change_status(tx, act, row, status)
        return _result(tx, act.org_id, thread_id)

    return once(tx, act, effect)


def _delete(tx: Transaction, act: Act, thread_id: str) -> RawJson:
    def effect() -> ThreadResult:
        row = thread_rows.find(tx, act.org_id, thread_id)
        thread = thread_rows.record(row)
        if (hold_id := legal_holds.of_thread(tx, act.org_id, thread_id)) is not None:
            raise legal_holds.held_fault(hold_id)
        erase_thread(tx, act, row)
        audit_log.append(tx, act, "thread.delete", {"thread_id": thread_id})
        return ThreadResult(thread=thread.model_copy(update={"status": ThreadStatus.DELETED, "title": ""}))

    return once(tx, act, effect)


def _result(tx: Reader, org_id: str, thread_id: str) -> ThreadResult:
    return ThreadResult(thread=_get(tx, org_id, thread_id))


# --- reading ---------------------------------------------------------------------------------------


def _get(tx: Reader, org_id: str, thread_id: str) -> Thread:
    return thread_rows.record(thread_rows.find(tx, org_id, thread_id))


def _list(tx: Reader, org_id: str, status: str, limit: int, before: int) -> tuple[list[Thread], str | None]:
    rows = tx.all(_SQL.page, org_id=org_id, status=status, limit=limit + 1, before=before)
    cursor = str(rows[limit - 1]["head_offset"]) if len(rows) > limit else None
    return [thread_rows.record(row) for row in rows[:limit]], cursor


def _event(thread_id: str, row: Row) -> StoredEvent:
    params = event_json(
        thread_id=thread_id,
        seq=row["seq"],
        kind=row["kind"],
        at=to_instant(row["at"]),
        actor=row["actor"].encode(),
        run_id=row["run_id"],
        data=row["data"].encode(),
    )
    return StoredEvent(row["seq"], row["kind"], params)


def _history(
    tx: Reader,
    org_id: str,
    thread_id: str,
    after: int | None,
    before: int | None,
    limit: int,
    kinds: frozenset[str] | None,
) -> LogPage:
    thread = thread_rows.find(tx, org_id, thread_id)
    forward = after is not None
    place = after if after is not None else (before if before is not None else _LAST)
    found: list[StoredEvent] = []
    more = True
    # Kinds are filtered here: the log is read in pages until enough was found or it ends.
    while more and len(found) <= limit:
        rows = _rows(tx, thread_id, place, forward=forward, limit=max(limit + 1, 64))
        more = len(rows) == max(limit + 1, 64)
        found += [_event(thread_id, row) for row in rows if kinds is None or row["kind"] in kinds]
        place = rows[-1]["seq"] if rows else place
    events = _fitting(found[:limit], PAGE_BYTES)
    more = len(found) > len(events)
    return LogPage(events if forward else events[::-1], thread["first_seq"], thread["head_seq"], more)


def _fitting(events: list[StoredEvent], most_bytes: int) -> list[StoredEvent]:
    """The first events up to a size together; one at least, however large."""
    size = 0
    for number, event in enumerate(events):
        size += len(event.params)
        if number and size > most_bytes:
            return events[:number]
    return events


def _rows(tx: Reader, thread_id: str, place: int, *, forward: bool, limit: int) -> list[Row]:
    if forward:
        return tx.all(_SQL.events_after, thread_id=thread_id, after=place, limit=limit)
    return tx.all(_SQL.events_before, thread_id=thread_id, before=place, limit=limit)


def _replay(tx: Reader, org_id: str, thread_id: str, after: int, limit: int, limit_bytes: int) -> LogPage:
    thread = thread_rows.find(tx, org_id, thread_id)
    rows = tx.all(_SQL.events_after, thread_id=thread_id, after=after, limit=limit)
    events = _fitting([_event(thread_id, row) for row in rows], limit_bytes)
    last = events[-1].seq if events else after
    return LogPage(events, thread["first_seq"], thread["head_seq"], more=last < thread["head_seq"])


def _search(
    tx: Reader, org_id: str, query: str, thread_id: str | None, limit: int, before: int
) -> tuple[list[SearchMatch], str | None]:
    words = query.replace("\0", " ").split()  # FTS5 reads an expression only up to a NUL
    if not words:
        return [], None
    values: dict[str, Any] = {"org_id": org_id, "thread_id": thread_id, "limit": limit + 1, "before": before}
    rows = tx.all(_SQL.search, query=_match_expression(words), **values)
    matches = [
        SearchMatch(
            thread_id=row["thread_id"],
            title=row["title"],
            message_id=row["id"],
            seq=row["seq"],
            at=to_instant(row["created_at"]),
            snippet=row["snippet"],
        )
        for row in rows[:limit]
    ]
    return matches, str(rows[limit - 1]["log_offset"]) if len(rows) > limit else None


def _match_expression(words: list[str]) -> str:
    # Each word becomes an FTS5 string, so that nothing in it is an operator; the last may be a beginning.
    quoted = ['"' + word.replace('"', '""') + '"' for word in words]
    return " ".join(quoted) + "*"


def _heads(tx: Reader, org_id: str, after_offset: int, limit: int) -> list[ThreadHead]:
    return [
        ThreadHead(
            row["id"],
            row["head_seq"],
            row["head_offset"],
            row["head_kind"],
            row["head_at"],
            row["head_preview"],
        )
        for row in tx.all(_SQL.heads_after, org_id=org_id, after=after_offset, limit=limit)
    ]


def _said(tx: Reader, thread_id: str, upto_seq: int, limit: int) -> list[Said]:
    rows = tx.all(_SQL.recent_messages, thread_id=thread_id, upto=upto_seq, limit=limit)
    return [Said(row["seq"], row["role"], row["text"]) for row in reversed(rows)]
