"""Counting against budgets, inside the transaction of what is counted: reserved before, settled after, released once.

Which counters something falls under and whether it fits is said by the rules that the engine carries
(`Transaction.budgets`); without budgets nothing is read or written here. A reservation belongs to a step of a run
(0: its place among those at the same time), and what a counter has reserved is always the sum of its reservations.
Who takes: messages (`messages.py`), claims (`run_owning.py`), steps (`journal.py`); who gives back: the end of a step
and of a run.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.instants import to_instant
from protocol.records import ThreadStatus, Usage
from storage import audit_log, audit_people, notices, thread_rows
from storage.budget_values import (
    BudgetCrossed,
    BudgetOf,
    Consumer,
    Counter,
    CounterState,
    OverBudget,
    PlaceFreed,
    RoomNotice,
)
from storage.engine import Engine, Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.texts import from_text
from storage.values import GATEWAY, Act, Notice

_SQL = Queries("budgets")
_THREADS = Queries("threads")
PLACE: Final = 0
"""The step that stands for a run's place among those at the same time."""
SPENT: Final[tuple[BudgetOf, ...]] = ("tokens", "microusd")
"""What steps of runs use."""


class BudgetExceeded(Fault):
    """Fault budget_exceeded, with the counter that refused."""

    def __init__(self, over: OverBudget) -> None:
        counter = over.counter
        super().__init__(
            ErrorKind.BUDGET_EXCEEDED,
            counter.refusal,
            hint="Wait until then, or ask whoever runs this gateway to raise the budget",
            budget=counter.budget,
            limit=counter.limit,
            used=over.used,
        )
        if counter.resets_at_ms is not None:
            self.data["resets_at"] = to_instant(counter.resets_at_ms)
        self.over = over


def of_run(run: Row) -> Consumer:
    """On whose account a run is."""
    return Consumer(run["org_id"], run["agent_id"], run["requested_by"], run["room"], run["token_id"])


def room_of(thread: Row) -> str:
    """`NETWORK:ID` of the room of a thread; empty for one of a client."""
    origin = from_text(thread["origin"])
    return f"{origin['channel']}:{origin['room']}" if "room" in origin else ""


# --- judging and taking -----------------------------------------------------------------------------


def refusal(
    tx: Transaction, wanted: Iterable[BudgetOf], consumer: Consumer, now_ms: int
) -> OverBudget | None:
    """The counter that has no room for one more of any of `wanted`; nothing is taken."""
    if tx.budgets is None:
        return None
    for of in wanted:
        if (over := _over(tx, consumer.org_id, tx.budgets.counters(of, consumer, now_ms), 1)) is not None:
            return over
    return None


def count(tx: Transaction, act: Act, of: BudgetOf, consumer: Consumer, thread_id: str) -> OverBudget | None:
    """Count one of `of` for good, or say which counter has no room for it."""
    if tx.budgets is None:
        return None
    counters = tx.budgets.counters(of, consumer, act.at_ms)
    if (over := _over(tx, consumer.org_id, counters, 1)) is not None:
        return over
    for counter in counters:
        _use(tx, act.at_ms, consumer.org_id, counter, 1, thread_id)
    return None


def reserve_place(tx: Transaction, run: Row, now_ms: int, *, is_asked: bool = True) -> str | None:
    """A place for a run among those at the same time; or the full counter whose place it has to wait for.

    Who goes on after a wait does not ask (`is_asked` False): it cannot be sent back.
    """
    if tx.budgets is None:
        return None
    counters = tx.budgets.counters("concurrent", of_run(run), now_ms)
    over = _over(tx, run["org_id"], counters, 1) if is_asked else None
    if over is not None:
        return _place(run["org_id"], over.counter.budget, over.counter.counted)
    for counter in counters:
        _reserve(tx, run, PLACE, counter, 1)
    return None


def reserve_step(
    tx: Transaction, run: Row, step: int, amounts: Mapping[BudgetOf, int], now_ms: int
) -> OverBudget | None:
    """Reserve what a step may take, of every counter or of none. A step that holds reservations keeps them."""
    if tx.budgets is None or not amounts or tx.one(_SQL.reserved_by_step, run_id=run["id"], step=step):
        return None
    consumer = of_run(run)
    wanted = [
        (counter, amount)
        for of, amount in amounts.items()
        for counter in tx.budgets.counters(of, consumer, now_ms)
    ]
    for counter, amount in wanted:
        if (over := _over(tx, run["org_id"], (counter,), amount)) is not None:
            exceed(tx, now_ms, run["org_id"], over, run["thread_id"])
            return over
    for counter, amount in wanted:
        _reserve(tx, run, step, counter, amount)
    return None


def settle(tx: Transaction, run: Row, usage: Usage, at_ms: int) -> None:
    """Count what was used, in the span in which that became known."""
    if tx.budgets is None:
        return
    used = {"tokens": usage.input_tokens + usage.output_tokens, "microusd": usage.cost_microusd}
    for of in SPENT:
        for counter in tx.budgets.counters(of, of_run(run), at_ms):
            _use(tx, at_ms, run["org_id"], counter, used[of], run["thread_id"])


def release_step(tx: Transaction, run_id: str, step: int) -> None:
    """A step ended, or a run gives up its place: what it reserved is free again."""
    if tx.budgets is not None:
        _release(tx, tx.all(_SQL.reserved_by_step, run_id=run_id, step=step))


def release_run(tx: Transaction, run_id: str) -> None:
    """A run ended."""
    if tx.budgets is not None:
        _release(tx, tx.all(_SQL.reserved_by_run, run_id=run_id))


def exceed(tx: Transaction, now_ms: int, org_id: str, over: OverBudget, thread_id: str | None) -> None:
    """Something was refused: say so once per span, in the thread where there is one, and in the audit log.

    The room is told by whoever refuses.
    """
    if tx.run(_SQL.note_exceeded, **_key(org_id, over.counter), now=now_ms):
        _tell(tx, now_ms, org_id, over.counter, over.used, thread_id, EventKind.BUDGET_EXCEEDED)


def record(tx: Transaction, act: Act, over: OverBudget, thread_id: str | None) -> None:
    """`exceed`, for a refusal that was raised and so left nothing behind."""
    thread = tx.one(_THREADS.find, org_id=act.org_id, id=thread_id) if thread_id is not None else None
    is_there = thread is not None and thread["status"] != ThreadStatus.DELETED
    _count(tx, act.org_id, over.counter)
    exceed(tx, act.at_ms, act.org_id, over, thread_id if is_there else None)


# --- parts ------------------------------------------------------------------------------------------


def _key(org_id: str, counter: Counter) -> dict[str, Any]:
    return {
        "org_id": org_id,
        "budget": counter.budget,
        "counted": counter.counted,
        "span": counter.span,
    }


def _place(org_id: str, budget: str, counted: str) -> str:
    return "\0".join(("budget", org_id, budget, counted))


def _over(tx: Transaction, org_id: str, counters: Iterable[Counter], asked: int) -> OverBudget | None:
    assert tx.budgets is not None
    for counter in counters:
        row = tx.one(_SQL.counter, **_key(org_id, counter))
        settled, reserved = (row["settled"], row["reserved"]) if row is not None else (0, 0)
        if tx.budgets.judge(counter, settled, reserved, asked).verdict == "refuse":
            if row is None:  # a budget of nothing: that it was exceeded is noted, too
                _count(tx, org_id, counter)
            return OverBudget(counter, settled + reserved, asked)
    return None


def _count(tx: Transaction, org_id: str, counter: Counter, *, settled: int = 0, reserved: int = 0) -> None:
    key, resets_at = _key(org_id, counter), counter.resets_at_ms
    tx.run(_SQL.count, **key, settled=settled, reserved=reserved, resets_at=resets_at)


def _reserve(tx: Transaction, run: Row, step: int, counter: Counter, amount: int) -> None:
    _count(tx, run["org_id"], counter, reserved=amount)
    tx.run(_SQL.reserve, run_id=run["id"], step=step, amount=amount, **_key(run["org_id"], counter))


def _release(tx: Transaction, rows: Iterable[Row]) -> None:
    for row in rows:
        key = {"org_id": row["org_id"], "budget": row["budget"], "counted": row["counted"]}
        tx.run(
            _SQL.release,
            run_id=row["run_id"],
            step=row["step"],
            budget=row["budget"],
            counted=row["counted"],
        )
        tx.run(_SQL.count, **key, span=row["span"], settled=0, reserved=-row["amount"], resets_at=None)
        if row["step"] == PLACE:
            tx.emit(PlaceFreed(_place(row["org_id"], row["budget"], row["counted"])))


def _use(tx: Transaction, now_ms: int, org_id: str, counter: Counter, amount: int, thread_id: str) -> None:
    """Count what is used for good; tell, once per span, when that is where people are warned, or the limit."""
    _count(tx, org_id, counter, settled=amount)
    row = tx.one(_SQL.counter, **_key(org_id, counter))
    assert row is not None, "it was counted just now"
    if row["settled"] >= counter.limit and row["exceeded_at"] is None:
        exceed(tx, now_ms, org_id, OverBudget(counter, row["settled"]), thread_id)
        _tell_room_later(tx, org_id, thread_id, counter.refusal)
    elif row["settled"] >= counter.warn_from and row["warned_at"] is None:
        tx.run(_SQL.note_warned, **_key(org_id, counter), now=now_ms)
        _tell(tx, now_ms, org_id, counter, row["settled"], thread_id, EventKind.BUDGET_WARNED)
        _tell_room_later(tx, org_id, thread_id, counter.warning)


def _tell(
    tx: Transaction,
    now_ms: int,
    org_id: str,
    counter: Counter,
    used: int,
    thread_id: str | None,
    kind: EventKind,
) -> None:
    """The event and the audit entry."""
    data: dict[str, Any] = {
        "budget": counter.budget,
        "of": counter.of,
        "used": used,
        "limit": counter.limit,
    }
    if counter.resets_at_ms is not None:
        data["resets_at"] = to_instant(counter.resets_at_ms)
    subject = {"budget": counter.budget}
    if thread_id is not None:
        subject["thread_id"] = thread_id
        thread = thread_rows.find(tx, org_id, thread_id)
        append(tx, Tail.of(thread), now_ms, [Fact(kind, data)])
    act = Act(org_id, GATEWAY, "budget", now_ms)
    detail = {"of": counter.of, "used": used, "limit": counter.limit, "each": counter.each}
    audit_log.append(tx, act, kind.value, subject | _counted(tx, org_id, counter, now_ms), detail=detail)


def _counted(tx: Transaction, org_id: str, counter: Counter, now_ms: int) -> dict[str, str]:
    """Whose counter it is, as entries may say it: people by their opaque ids, and rooms, which may be somebody's direct
    chat, by their thread alone."""
    if counter.each == "room":
        return {}
    if counter.each == "person" and ":" in counter.counted:
        return {"person": audit_people.of_person(tx, org_id, counter.counted, "", now_ms)}
    return {counter.each: counter.counted}


def _tell_room_later(tx: Transaction, org_id: str, thread_id: str, text: str) -> None:
    """How a network shows it, only the gateway knows: it is told after the commit, or at the next start."""
    if room_of(thread_rows.find(tx, org_id, thread_id)):
        tx.run(_SQL.insert_notice, org_id=org_id, thread_id=thread_id, text=text)
        tx.emit(BudgetCrossed())


# --- the repository ---------------------------------------------------------------------------------


class Budgets:
    """`storage.budget_ports.BudgetStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def recover(self) -> int:
        return await self._engine.write(_recover)

    async def states(self, org_id: str, now_ms: int, limit: int) -> list[CounterState]:
        return await self._engine.read(_states, org_id, now_ms, limit)

    async def notices(self, limit: int) -> list[RoomNotice]:
        return await self._engine.read(_notices, limit)

    async def tell(self, told: RoomNotice, notice: Notice | None, now_ms: int) -> None:
        await self._engine.write(_tell_room, told, notice, now_ms)

    async def forget(self, before_ms: int, limit: int) -> int:
        return await self._engine.write(_forget, before_ms, limit)


def _recover(tx: Transaction) -> int:
    leaked = tx.all(_SQL.leaked)
    _release(tx, leaked)
    tx.run(_SQL.sum_up)
    return len(leaked)


def _states(tx: Reader, org_id: str, now_ms: int, limit: int) -> list[CounterState]:
    return [
        CounterState(
            row["budget"], row["counted"], row["span"], row["settled"], row["reserved"], row["resets_at"]
        )
        for row in tx.all(_SQL.states, org_id=org_id, now=now_ms, limit=limit)
    ]


def _notices(tx: Reader, limit: int) -> list[RoomNotice]:
    return [
        RoomNotice(row["number"], row["org_id"], row["thread_id"], row["text"])
        for row in tx.all(_SQL.notices, limit=limit)
    ]


def _tell_room(tx: Transaction, told: RoomNotice, notice: Notice | None, now_ms: int) -> None:
    if not tx.run(_SQL.delete_notice, number=told.number) or notice is None:
        return
    thread = tx.one(_THREADS.find, org_id=told.org_id, id=told.thread_id)
    if thread is not None and thread["status"] != ThreadStatus.DELETED:
        notices.owe_thread(tx, thread, notice, now_ms, run_id=None)


def _forget(tx: Transaction, before_ms: int, limit: int) -> int:
    return tx.run(_SQL.forget, before=before_ms, limit=limit)
