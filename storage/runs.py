"""Runs: reading, claiming by lease, journalling, ending, retrying.

How a run ends is in `run_ends.py`; how one begins in `messages.py`.
"""

from collections.abc import Sequence
from typing import Any, Final

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Origin, Run, RunError, RunState, Usage
from protocol.requests import RunResult
from storage import audit_log, blobs, messages, run_ends, run_rows
from storage.engine import Engine, Reader, Row, Transaction
from storage.errors import StaleFence
from storage.event_log import Fact, Tail, append, message_fact
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import Act, ClaimedRun, Decided, Ending, Move, Outbound

_SQL = Queries("runs")
_THREADS = Queries("threads")
_CHANNELS = Queries("channels")
_APPROVALS = Queries("approvals")
_LAST_ID: Final = "~"
"""Sorts after every id."""


class Runs:
    """`storage.ports.RunStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, org_id: str, run_id: str) -> Run:
        return await self._engine.read(_get, org_id, run_id)

    async def page(
        self, org_id: str, thread_id: str | None, state: RunState | None, limit: int, cursor: str | None
    ) -> tuple[list[Run], str | None]:
        return await self._engine.read(_list, org_id, thread_id, state, limit, cursor or _LAST_ID)

    async def waiting_threads(self, limit: int) -> list[str]:
        return await self._engine.read(_waiting_threads, limit)

    async def claim(
        self, thread_id: str, owner: str, now_ms: int, lease_until_ms: int, reply_id: str
    ) -> ClaimedRun | None:
        return await self._engine.write(_claim, thread_id, owner, now_ms, lease_until_ms, reply_id)

    async def abandoned(self, owner: str, now_ms: int) -> list[Run]:
        return await self._engine.read(_abandoned, owner, now_ms)

    async def running(self, owner: str, limit: int) -> list[Run]:
        return await self._engine.read(_running, owner, limit)

    async def take_over(
        self, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
    ) -> ClaimedRun | None:
        return await self._engine.write(_take_over, run_id, owner, now_ms, lease_until_ms, reason)

    async def resumable(self, limit: int) -> list[Run]:
        return await self._engine.read(_resumable, limit)

    async def resume(
        self, run_id: str, move: Move, owner: str, now_ms: int, lease_until_ms: int
    ) -> ClaimedRun | None:
        return await self._engine.write(_resume, run_id, move, owner, now_ms, lease_until_ms)

    async def renew_leases(self, owner: str, lease_until_ms: int) -> None:
        await self._engine.write(_renew, owner, lease_until_ms)

    async def checkpoint(self, run_id: str, fence: int, text: str) -> None:
        await self._engine.write(_checkpoint, run_id, fence, text)

    async def complete(
        self, run: ClaimedRun, move: Move, now_ms: int, text: str, usage: Usage, parts: Sequence[Outbound]
    ) -> None:
        await self._engine.write(_complete, run, move, now_ms, text, usage, parts)

    async def end(self, run: ClaimedRun, ending: Ending, now_ms: int, retry_id: str | None = None) -> None:
        await self._engine.write(_end, run, ending, now_ms, retry_id)

    async def cancel(self, act: Act, run_id: str, ending: Ending) -> RawJson:
        return await self._engine.write(_cancel, act, run_id, ending)

    async def retry(self, act: Act, run_id: str, new_run_id: str, queue_max: int) -> RawJson:
        return await self._engine.write(_retry, act, run_id, new_run_id, queue_max)

    async def count_by_state(self) -> dict[str, int]:
        return await self._engine.read(_count_by_state)


# --- reading ---------------------------------------------------------------------------------------


def _find(tx: Reader, org_id: str, run_id: str) -> Row:
    row = tx.one(_SQL.find, org_id=org_id, id=run_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such run", hint="run.list shows what there is")
    return row


def _get(tx: Reader, org_id: str, run_id: str) -> Run:
    return _run(_find(tx, org_id, run_id))


def _list(
    tx: Reader, org_id: str, thread_id: str | None, state: RunState | None, limit: int, before: str
) -> tuple[list[Run], str | None]:
    values: dict[str, Any] = {"org_id": org_id, "state": state, "limit": limit + 1, "before": before}
    if thread_id is None:
        rows = tx.all(_SQL.page, **values)
    else:
        rows = tx.all(_SQL.page_of_thread, thread_id=thread_id, **values)
    return [_run(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


def _waiting_threads(tx: Reader, limit: int) -> list[str]:
    return [row["thread_id"] for row in tx.all(_SQL.threads_with_queued, limit=limit)]


def _abandoned(tx: Reader, owner: str, now_ms: int) -> list[Run]:
    return [_run(row) for row in tx.all(_SQL.abandoned, owner=owner, now=now_ms)]


def _running(tx: Reader, owner: str, limit: int) -> list[Run]:
    return [_run(row) for row in tx.all(_SQL.running, owner=owner, limit=limit)]


def _count_by_state(tx: Reader) -> dict[str, int]:
    return {row["state"]: row["runs"] for row in tx.all(_SQL.count_by_state)}


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        thread_id=row["thread_id"],
        agent_id=row["agent_id"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        queued_at=to_instant(row["queued_at"]),
        started_at=to_instant(row["started_at"]) if row["started_at"] is not None else None,
        ended_at=to_instant(row["ended_at"]) if row["ended_at"] is not None else None,
        error=RunError.model_validate(from_text(row["error"])) if row["error"] else None,
        usage=Usage.model_validate(from_text(row["usage"])),
    )


# --- owning ----------------------------------------------------------------------------------------


def _claim(
    tx: Transaction, thread_id: str, owner: str, now_ms: int, lease_until_ms: int, reply_id: str
) -> ClaimedRun | None:
    if tx.one(_SQL.active, thread_id=thread_id) is not None:
        return None
    row = tx.one(_SQL.next_queued, thread_id=thread_id)
    if row is None:
        return None
    if blobs.is_awaited(tx, row["message_id"]):
        return None  # those behind it wait too: a conversation keeps its order
    tx.run(_SQL.start, id=row["id"], now=now_ms, owner=owner, lease_until=lease_until_ms)
    tx.run(
        _SQL.open_step,
        org_id=row["org_id"],
        run_id=row["id"],
        step=run_rows.REPLY_STEP,
        kind="reply",
        request=to_text({"message_id": reply_id}),
        now=now_ms,
    )
    row = _find(tx, row["org_id"], row["id"])
    _tell(tx, row, now_ms, EventKind.RUN_STARTED, {"attempt": row["attempt"]})
    return _claimed(tx, row, recovered=False)


def _take_over(
    tx: Transaction, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
) -> ClaimedRun | None:
    row = tx.one("SELECT * FROM runs WHERE id = :id AND state = 'running'", id=run_id)
    if row is None:
        return None
    tx.run(_SQL.take_over, id=run_id, owner=owner, lease_until=lease_until_ms)
    row = _find(tx, row["org_id"], run_id)
    _tell(tx, row, now_ms, EventKind.RUN_RESUMED, {"attempt": row["attempt"], "reason": reason})
    return _claimed(tx, row, recovered=True)


def _resumable(tx: Reader, limit: int) -> list[Run]:
    return [_run(row) for row in tx.all(_APPROVALS.resumable, limit=limit)]


def _resume(
    tx: Transaction, run_id: str, move: Move, owner: str, now_ms: int, lease_until_ms: int
) -> ClaimedRun | None:
    row = tx.one("SELECT * FROM runs WHERE id = :id", id=run_id)
    if row is None or RunState(row["state"]) not in move.sources:
        return None
    if tx.one(_APPROVALS.pending_of_run, run_id=run_id) is not None:
        return None
    tx.run(_APPROVALS.resume_run, id=run_id, state=move.target.value, owner=owner, lease_until=lease_until_ms)
    row = _find(tx, row["org_id"], run_id)
    _tell(tx, row, now_ms, EventKind.RUN_RESUMED, {"attempt": row["attempt"], "reason": "decided"})
    return _claimed(tx, row, recovered=False)


def _tell(tx: Transaction, run: Row, now_ms: int, kind: EventKind, data: dict[str, object]) -> None:
    thread = messages.find_thread(tx, run["org_id"], run["thread_id"])
    append(tx, Tail.of(thread), now_ms, [Fact(kind, data, run_id=run["id"])])


def _claimed(tx: Reader, row: Row, *, recovered: bool) -> ClaimedRun:
    thread = messages.find_thread(tx, row["org_id"], row["thread_id"])
    message = tx.one(_THREADS.find_message, thread_id=row["thread_id"], seq=row["message_seq"])
    step = tx.one(_SQL.find_step, run_id=row["id"], step=run_rows.REPLY_STEP)
    assert message is not None, "a run answers a message"
    origin = Origin.model_validate(from_text(thread["origin"]))
    assert step is not None, "a started run has a journal"
    return ClaimedRun(
        id=row["id"],
        org_id=row["org_id"],
        thread_id=row["thread_id"],
        agent_id=row["agent_id"],
        attempt=row["attempt"],
        fence=row["fence"],
        message_text=message["text"],
        message_seq=row["message_seq"],
        reply_id=from_text(step["request"])["message_id"],
        partial=step["partial"] or "",
        thread_title=thread["title"],
        origin=origin,
        recovered=recovered,
        requested_by=row["requested_by"],
        decisions=tuple(_decided(approval) for approval in tx.all(_APPROVALS.of_run, run_id=row["id"])),
        is_taken_back=message["deleted_at"] is not None,
        message_ref=_message_ref(tx, row["message_id"], origin),
        files=blobs.of_message(tx, row["message_id"]),
        answer_files=blobs.of_message(tx, from_text(step["request"])["message_id"]),
    )


def _decided(approval: Row) -> Decided:
    by = from_text(approval["decided_by"])["name"] if approval["decided_by"] else ""
    return Decided(approval["id"], approval["state"] == "approved", approval["reason"] or "", by)


def _message_ref(tx: Reader, message_id: str, origin: Origin) -> str | None:
    """What the thread's room calls the message; None when it did not come from there."""
    if origin.room is None:
        return None
    place = {"channel": origin.channel, "account": origin.account, "room": origin.room}
    ref: str | None = tx.value(_THREADS.ref_of_message, message_id=message_id, **place)
    return ref


def _renew(tx: Transaction, owner: str, lease_until_ms: int) -> None:
    tx.run(_SQL.renew_leases, owner=owner, lease_until=lease_until_ms)


def _checkpoint(tx: Transaction, run_id: str, fence: int, text: str) -> None:
    row = tx.one("SELECT fence FROM runs WHERE id = :id", id=run_id)
    if row is None or row["fence"] != fence:
        raise StaleFence(f"run {run_id} is owned by somebody else now")
    tx.run(_SQL.checkpoint_step, run_id=run_id, step=run_rows.REPLY_STEP, partial=text)


# --- ending ----------------------------------------------------------------------------------------


def _complete(
    tx: Transaction,
    run: ClaimedRun,
    move: Move,
    now_ms: int,
    text: str,
    usage: Usage,
    parts: Sequence[Outbound],
) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    act = run_rows.agent_act(run, now_ms)
    answer = None
    content = [{"type": "text", "text": text}] if text else []
    content += [blobs.part_of(blob) for blob in blobs.of_message(tx, run.reply_id)]
    if content:
        answer = message_fact(run.reply_id, "assistant", content, text, act.actor, run.id)
    run_ends.complete(tx, act, row, move, answer, usage, parts)


def _end(tx: Transaction, run: ClaimedRun, ending: Ending, now_ms: int, retry_id: str | None) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    act = run_rows.agent_act(run, now_ms)
    run_ends.end(tx, act, row, ending)
    if retry_id is not None:
        _queue_again(tx, act, row, retry_id, queue_key=row["queue_key"])
        tx.run(_CHANNELS.pass_live_on, run_id=row["id"], next_run_id=retry_id, now=now_ms)


def _cancel(tx: Transaction, act: Act, run_id: str, ending: Ending) -> RawJson:
    def effect() -> RunResult:
        run_ends.end(tx, act, _find(tx, act.org_id, run_id), ending)
        return RunResult(run=_get(tx, act.org_id, run_id))

    return once(tx, act, effect)


def _retry(tx: Transaction, act: Act, run_id: str, new_run_id: str, queue_max: int) -> RawJson:
    def effect() -> RunResult:
        row = _find(tx, act.org_id, run_id)
        if row["ended_at"] is None:
            raise Fault(
                ErrorKind.INVALID_STATE, f"The run is {row['state']}: only an ended run can be retried"
            )
        messages.find_thread(tx, act.org_id, row["thread_id"])
        message = tx.one(_THREADS.find_message, thread_id=row["thread_id"], seq=row["message_seq"])
        if message is None or message["deleted_at"] is not None:
            raise Fault(ErrorKind.INVALID_STATE, "The message it answered was deleted")
        messages.refuse_full_queue(tx.value(_SQL.count_unfinished, thread_id=row["thread_id"]), queue_max)
        _queue_again(tx, act, row, new_run_id, queue_key=None)
        audit_log.append(tx, act, "run.retry", {"run_id": new_run_id, "retry_of": run_id})
        return RunResult(run=_get(tx, act.org_id, new_run_id))

    return once(tx, act, effect)


def _queue_again(tx: Transaction, act: Act, row: Row, new_run_id: str, queue_key: str | None = None) -> None:
    thread = messages.find_thread(tx, row["org_id"], row["thread_id"])
    messages.insert_run(
        tx,
        act,
        row["thread_id"],
        new_run_id,
        row["agent_id"],
        row["message_id"],
        row["message_seq"],
        queue_key=queue_key or messages.queue_place(thread["head_seq"] + 1),
        retry_of=row["id"],
    )
    data = {"agent_id": row["agent_id"], "message_id": row["message_id"], "retry_of": row["id"]}
    append(tx, Tail.of(thread), act.at_ms, [Fact(EventKind.RUN_QUEUED, data, act.actor, new_run_id)])
