"""Runs: reading them, and the port as a whole: each of its methods is one transaction of the module that knows how.

Driving is in `run_owning.py`, waiting in `waits.py`, ending in `run_ends.py`, the journal in `journal.py`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.records import Run, RunState, Usage
from protocol.requests import RunResult
from storage import (
    audit_log,
    blobs,
    questions,
    run_ends,
    run_owning,
    run_progress,
    run_queue,
    run_rows,
    thread_rows,
    waits,
)
from storage.budget_values import HeldUp
from storage.engine import Engine, Reader, Transaction
from storage.event_log import message_fact
from storage.idempotency import once
from storage.queries import Queries
from storage.run_values import AgentFull, Facts, NewQuestion, Repetition, RunProgress
from storage.texts import from_text, to_text
from storage.values import Act, ClaimedRun, Ending, Move, NewApproval, Outbound

_SQL = Queries("runs")
_THREADS = Queries("threads")
_CHANNELS = Queries("channels")
_LAST_ID: Final = "~"
"""Sorts after every id."""


class Runs:
    """`storage.run_ports.RunStore` on the engine."""

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
        self,
        thread_id: str,
        owner: str,
        now_ms: int,
        lease_until_ms: int,
        reply_id: str,
        full: frozenset[str] = frozenset(),
        versions: Mapping[str, str] = MappingProxyType({}),
    ) -> ClaimedRun | AgentFull | HeldUp | None:
        return await self._engine.write(
            run_owning.claim, thread_id, owner, now_ms, lease_until_ms, reply_id, full, versions
        )

    async def abandoned(self, owner: str, now_ms: int) -> list[Run]:
        return await self._engine.read(run_owning.abandoned, owner, now_ms)

    async def running(self, owner: str, limit: int) -> list[Run]:
        return await self._engine.read(run_owning.running, owner, limit)

    async def take_over(
        self, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
    ) -> ClaimedRun | None:
        return await self._engine.write(run_owning.take_over, run_id, owner, now_ms, lease_until_ms, reason)

    async def resumable(self, limit: int) -> list[Run]:
        return await self._engine.read(run_owning.resumable, limit)

    async def resume(
        self, run_id: str, move: Move, owner: str, now_ms: int, lease_until_ms: int
    ) -> ClaimedRun | None:
        return await self._engine.write(run_owning.resume, run_id, move, owner, now_ms, lease_until_ms)

    async def renew_leases(self, owner: str, lease_until_ms: int) -> None:
        await self._engine.write(run_owning.renew, owner, lease_until_ms)

    async def note(self, run: ClaimedRun, facts: Facts) -> None:
        await self._engine.write(_note, run, facts)

    async def wait(
        self,
        run: ClaimedRun,
        move: Move,
        approvals: Sequence[NewApproval],
        questions: Sequence[NewQuestion],
        text: str,
        now_ms: int,
    ) -> None:
        await self._engine.write(waits.wait, run, move, approvals, questions, text, now_ms)

    async def complete(
        self,
        run: ClaimedRun,
        move: Move,
        now_ms: int,
        text: str,
        usage: Usage,
        parts: Sequence[Outbound],
        journal_hash: str,
    ) -> None:
        await self._engine.write(_complete, run, move, now_ms, text, usage, parts, journal_hash)

    async def end(
        self,
        run: ClaimedRun,
        ending: Ending,
        now_ms: int,
        repetition: Repetition | None = None,
        usage: Usage | None = None,
    ) -> None:
        await self._engine.write(_end, run, ending, now_ms, repetition, usage)

    async def cancel(self, act: Act, run_id: str, ending: Ending) -> RawJson:
        return await self._engine.write(_cancel, act, run_id, ending)

    async def retry(self, act: Act, run_id: str, new_run_id: str, queue_max: int) -> RawJson:
        return await self._engine.write(_retry, act, run_id, new_run_id, queue_max)

    async def recorded(self, org_id: str, run_id: str) -> ClaimedRun:
        return await self._engine.read(run_owning.recorded, org_id, run_id)

    async def count_by_state(self) -> dict[str, int]:
        return await self._engine.read(_count_by_state)

    async def progress(self, org_id: str, run_id: str | None, limit: int) -> list[RunProgress]:
        return await self._engine.read(run_progress.progress, org_id, run_id, limit)

    async def expire_questions(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(questions.expire, now_ms, limit)


# --- reading ---------------------------------------------------------------------------------------


def _get(tx: Reader, org_id: str, run_id: str) -> Run:
    return run_rows.record(run_rows.find(tx, org_id, run_id))


def _list(
    tx: Reader, org_id: str, thread_id: str | None, state: RunState | None, limit: int, before: str
) -> tuple[list[Run], str | None]:
    values: dict[str, Any] = {"org_id": org_id, "state": state, "limit": limit + 1, "before": before}
    if thread_id is None:
        rows = tx.all(_SQL.page, **values)
    else:
        rows = tx.all(_SQL.page_of_thread, thread_id=thread_id, **values)
    return [run_rows.record(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(
        rows
    ) > limit else None


def _waiting_threads(tx: Reader, limit: int) -> list[str]:
    return [row["thread_id"] for row in tx.all(_SQL.threads_with_queued, limit=limit)]


def _count_by_state(tx: Reader) -> dict[str, int]:
    return {row["state"]: row["runs"] for row in tx.all(_SQL.count_by_state)}


# --- writing ---------------------------------------------------------------------------------------


def _note(tx: Transaction, run: ClaimedRun, facts: Facts) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    known = from_text(row["facts"]) if row["facts"] else {}
    together = {**known, **facts}
    tx.run(
        _SQL.note,
        id=run.id,
        facts=to_text(together) if together else None,
    )


def _complete(
    tx: Transaction,
    run: ClaimedRun,
    move: Move,
    now_ms: int,
    text: str,
    usage: Usage,
    parts: Sequence[Outbound],
    journal_hash: str,
) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    act = run_rows.agent_act(run, now_ms)
    answer = None
    content = [{"type": "text", "text": text}] if text else []
    content += [blobs.part_of(blob) for blob in blobs.of_message(tx, run.reply_id)]
    if content:
        answer = message_fact(run.reply_id, "assistant", content, text, act.actor, run.id)
    run_ends.complete(tx, act, row, move, answer, usage, parts, journal_hash)


def _end(
    tx: Transaction,
    run: ClaimedRun,
    ending: Ending,
    now_ms: int,
    repetition: Repetition | None,
    usage: Usage | None,
) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    act = run_rows.agent_act(run, now_ms)
    if usage is not None:
        run_rows.spend(tx, row, run_rows.REPLY_STEP, "", usage, now_ms)
    run_ends.end(tx, act, row, ending, goes_on=repetition is not None)
    if repetition is not None:
        run_queue.repeat(
            tx,
            act,
            row,
            repetition.run_id,
            requested_by=row["requested_by"],
            agent_id=repetition.agent_id,
            queue_key=row["queue_key"],
        )
        tx.run(_CHANNELS.pass_live_on, run_id=row["id"], next_run_id=repetition.run_id, now=now_ms)


def _cancel(tx: Transaction, act: Act, run_id: str, ending: Ending) -> RawJson:
    def effect() -> RunResult:
        run_ends.end(tx, act, run_rows.find(tx, act.org_id, run_id), ending)
        return RunResult(run=_get(tx, act.org_id, run_id))

    return once(tx, act, effect)


def _retry(tx: Transaction, act: Act, run_id: str, new_run_id: str, queue_max: int) -> RawJson:
    def effect() -> RunResult:
        row = run_rows.find(tx, act.org_id, run_id)
        if row["ended_at"] is None:
            raise Fault(
                ErrorKind.INVALID_STATE, f"The run is {row['state']}: only an ended run can be retried"
            )
        thread_rows.find(tx, act.org_id, row["thread_id"])
        message = tx.one(_THREADS.find_message, thread_id=row["thread_id"], seq=row["message_seq"])
        if message is None or message["deleted_at"] is not None:
            raise Fault(ErrorKind.INVALID_STATE, "The message it answered was deleted")
        run_queue.refuse_full(tx.value(_SQL.count_unfinished, thread_id=row["thread_id"]), queue_max)
        run_queue.repeat(tx, act, row, new_run_id, requested_by=act.actor.id)
        audit_log.append(tx, act, "run.retry", {"run_id": new_run_id, "retry_of": run_id})
        return RunResult(run=_get(tx, act.org_id, new_run_id))

    return once(tx, act, effect)
