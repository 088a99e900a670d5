"""The journal of runs: what an agent does, step by step, recorded before its effect and closed after.

Each step has a key that is the same in every attempt, so an attempt that begins again finds what was done. The first
step is the reply, the text as far as it was written. How steps are cut off when their run ends is in `run_ends.py`.
"""

import hashlib
from typing import Any, Final

from protocol.canonical import canonical, digest
from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.instants import to_instant
from protocol.records import Actor, RunStep, Usage
from storage import approval_ends, audit_log, budgets, run_rows, steers
from storage.budget_values import OverBudget
from storage.engine import Engine, Reader, Row, Transaction
from storage.errors import StaleFence
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.run_values import NewStep, Steered, StepEnd, StepRow
from storage.texts import from_text
from storage.values import ClaimedRun

_SQL = Queries("journal")
_THREADS = Queries("threads")
ONCE_MORE: Final = 2
"""In the column `repeatable`: a person allowed it, and it was not begun again since."""
TOLD_ARGUMENTS_BYTES: Final = 4096
"""Longer arguments are told by their digest: an event goes to every client that watches, the journal has the rest."""


class Journal:
    """`storage.run_ports.JournalStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def checkpoint(self, run_id: str, fence: int, text: str) -> None:
        await self._engine.write(_checkpoint, run_id, fence, text)

    async def open(self, run: ClaimedRun, step: NewStep, now_ms: int) -> StepRow | OverBudget:
        return await self._engine.write(_open, run, step, now_ms)

    async def close(self, run: ClaimedRun, end: StepEnd, now_ms: int) -> None:
        await self._engine.write(_close, run, end, now_ms)

    async def allow_repeat(self, run: ClaimedRun, key: str) -> None:
        await self._engine.write(_allow_repeat, run, key)

    async def steps(self, run_id: str) -> list[StepRow]:
        return await self._engine.read(_steps, run_id)

    async def read(self, org_id: str, run_id: str, limit_bytes: int) -> list[RunStep]:
        return await self._engine.read(_read, org_id, run_id, limit_bytes)

    async def take_steers(self, run: ClaimedRun, key: str, now_ms: int) -> tuple[Steered, ...]:
        return await self._engine.write(_take_steers, run, key, now_ms)


# --- writing ---------------------------------------------------------------------------------------


def _checkpoint(tx: Transaction, run_id: str, fence: int, text: str) -> None:
    row = tx.one("SELECT fence FROM runs WHERE id = :id", id=run_id)
    if row is None or row["fence"] != fence:
        raise StaleFence(f"run {run_id} is owned by somebody else now")
    tx.run(_SQL.checkpoint, run_id=run_id, step=run_rows.REPLY_STEP, partial=text)


def _open(tx: Transaction, run: ClaimedRun, new: NewStep, now_ms: int) -> StepRow | OverBudget:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    known = tx.one(_SQL.by_key, run_id=run.id, key=new.key)
    if known is None or known["outcome"] is None:
        step = known["step"] if known is not None else tx.value(_SQL.last_number, run_id=run.id) + 1
        if (over := budgets.reserve_step(tx, row, step, new.takes, now_ms)) is not None:
            return over
    if known is not None:
        is_new = known["attempt"] != row["attempt"] or known["repeatable"] == ONCE_MORE
        if known["outcome"] is None and known["repeatable"] and is_new:
            tx.run(_SQL.begin_again, run_id=run.id, key=new.key, attempt=row["attempt"])
            _note(tx, run, row, new, now_ms)
        return _step(_by_key(tx, run.id, new.key))
    if new.approval_id is not None:
        is_used = approval_ends.consume(tx, run, new.approval_id, now_ms, new.key, new.request_hash)
        if not is_used:
            raise Fault(
                ErrorKind.APPROVAL_REQUIRED, f"The approval {new.approval_id} was used already, or is none"
            )
    number = _insert(tx, row, new, now_ms)
    _note(tx, run, row, new, now_ms)
    if new.kind == "tool":
        arguments = _arguments(new.request)
        _tell(
            tx,
            run,
            now_ms,
            EventKind.TOOL_STARTED,
            {"step": number, "name": new.name, "arguments": arguments},
        )
    return _step(_by_key(tx, run.id, new.key))


def _note(tx: Transaction, run: ClaimedRun, row: Row, new: NewStep, now_ms: int) -> None:
    """What the policies said of a step, before its effect and in the transaction that records it."""
    policy = new.policy
    if policy is None:
        return
    act, subject = run_rows.agent_act(run, now_ms), run_rows.subject(row) | {"step": new.key}
    detail: dict[str, Any] = {"name": new.name, "policy": policy.version}
    if policy.warned_by:
        audit_log.append(tx, act, "policy.warn", subject, detail=detail | {"rules": list(policy.warned_by)})
    if policy.rule or policy.effect == "deny":
        audit_log.append(
            tx,
            act,
            f"policy.{policy.effect}",
            subject,
            outcome="failure" if policy.effect == "deny" else "success",
            detail=detail | {"rule": policy.rule},
        )


def _insert(
    tx: Transaction,
    run: Row,
    new: NewStep,
    now_ms: int,
    *,
    outcome: str | None = None,
    result: str | None = None,
) -> int:
    number: int = tx.value(_SQL.last_number, run_id=run["id"]) + 1
    tx.run(
        _SQL.insert,
        org_id=run["org_id"],
        run_id=run["id"],
        step=number,
        key=new.key,
        kind=new.kind,
        name=new.name,
        request=new.request,
        request_hash=new.request_hash,
        repeatable=int(new.is_repeatable),
        attempt=run["attempt"],
        outcome=outcome,
        result=result,
        now=now_ms,
        closed_at=now_ms if outcome is not None else None,
    )
    return number


def _close(tx: Transaction, run: ClaimedRun, end: StepEnd, now_ms: int) -> None:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    step = _by_key(tx, run.id, end.key)
    if step["outcome"] is not None:
        if (step["outcome"], step["result"]) == (end.outcome, end.result):
            return
        raise Fault(ErrorKind.INVALID_STATE, f"The step {end.key} ended before, as {step['outcome']}")
    tx.run(_SQL.close, run_id=run.id, key=end.key, outcome=end.outcome, result=end.result, now=now_ms)
    budgets.release_step(tx, run.id, step["step"])
    if end.usage is not None:
        model = step["name"] if step["kind"] == "model" else ""
        run_rows.spend(tx, row, step["step"], model, end.usage, now_ms)
    if step["kind"] == "tool":
        data = {"step": step["step"], "name": step["name"], "outcome": end.outcome}
        if end.shown is not None:
            data["preview"] = end.shown
        _tell(tx, run, now_ms, EventKind.TOOL_FINISHED, data)


def _allow_repeat(tx: Transaction, run: ClaimedRun, key: str) -> None:
    run_rows.owned(tx, run.org_id, run.id, run.fence)
    if not tx.run(_SQL.allow_repeat, run_id=run.id, key=key):
        raise Fault(ErrorKind.INVALID_STATE, f"The run has no open step {key}")


def _take_steers(tx: Transaction, run: ClaimedRun, key: str, now_ms: int) -> tuple[Steered, ...]:
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    known = tx.one(_SQL.by_key, run_id=run.id, key=key)
    if known is not None:
        return tuple(Steered(**said) for said in from_text(known["result"] or "[]"))
    said = [
        {"message_id": one["message_id"], "text": one["text"], "by": from_text(one["said_by"])["name"]}
        for one in steers.waiting(tx, run.id)
    ]
    if not said:
        return ()
    request: dict[str, Any] = {}
    new = NewStep(key, "steer", "", canonical(request), digest(request), is_repeatable=False)
    _insert(tx, row, new, now_ms, outcome="ok", result=canonical(said))
    steers.take(tx, run.id, key)
    return tuple(Steered(**one) for one in said)


def _tell(tx: Transaction, run: ClaimedRun, now_ms: int, kind: EventKind, data: dict[str, Any]) -> None:
    thread = tx.one(_THREADS.find, org_id=run.org_id, id=run.thread_id)
    assert thread is not None, "a run belongs to a thread"
    actor: Actor = run_rows.agent_act(run, now_ms).actor
    append(tx, Tail.of(thread), now_ms, [Fact(kind, data, actor, run.id)])


def _arguments(request: str) -> Any:
    """What a tool is called with, as its event says it."""
    try:
        value = from_text(request)
    except ValueError:
        return _digest(request.encode())
    arguments = value["arguments"] if isinstance(value, dict) and "arguments" in value else value
    return _cut(canonical(arguments), TOLD_ARGUMENTS_BYTES)


# --- reading ---------------------------------------------------------------------------------------


def _steps(tx: Reader, run_id: str) -> list[StepRow]:
    return [_step(row) for row in tx.all(_SQL.of_run, run_id=run_id) if row["step"] != run_rows.REPLY_STEP]


def _read(tx: Reader, org_id: str, run_id: str, limit_bytes: int) -> list[RunStep]:
    run_rows.find(tx, org_id, run_id)
    return [
        RunStep(
            step=row["step"],
            key=row["key"],
            kind=row["kind"],
            name=row["name"],
            attempt=row["attempt"],
            repeatable=bool(row["repeatable"]),
            request=_cut(row["request"], limit_bytes),
            outcome=row["outcome"],
            result=_cut(row["result"], limit_bytes) if row["result"] is not None else None,
            usage=_usage(row),
            opened_at=to_instant(row["opened_at"]),
            closed_at=to_instant(row["closed_at"]) if row["closed_at"] is not None else None,
        )
        for row in tx.all(_SQL.of_run, run_id=run_id)
    ]


def _cut(text: str, limit_bytes: int) -> Any:
    """The value of a JSON text, or its digest when it is longer than that or has a number beyond all bounds."""
    data = text.encode()
    if len(data) > limit_bytes:
        return _digest(data)
    try:
        return from_text(text)
    except ValueError:
        return _digest(data)


def _digest(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _by_key(tx: Reader, run_id: str, key: str) -> Row:
    row = tx.one(_SQL.by_key, run_id=run_id, key=key)
    if row is None:
        raise Fault(ErrorKind.INVALID_STATE, f"The run has no step {key}")
    return row


def _step(row: Row) -> StepRow:
    return StepRow(
        step=row["step"],
        key=row["key"],
        kind=row["kind"],
        name=row["name"],
        request=row["request"],
        request_hash=row["request_hash"],
        is_repeatable=bool(row["repeatable"]),
        repeats=row["repeats"],
        attempt=row["attempt"],
        outcome=row["outcome"],
        result=row["result"],
        opened_at_ms=row["opened_at"],
        closed_at_ms=row["closed_at"],
        usage=_usage(row),
    )


def _usage(row: Row) -> Usage:
    if row["input_tokens"] is None:
        return Usage()
    counts = ("input_tokens", "output_tokens", "cost_microusd")
    return Usage(**{name: row[name] for name in counts})
