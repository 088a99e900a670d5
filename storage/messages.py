"""Accepting a message: the one transaction in which it becomes durable together with its run.

Message, events, run, title, audit entry and the stored answer of the idempotency key commit together or not
at all. Both ways in use it: `message.send` (through `threads.py`) and the channels' inbox (`inbox.py`). A message may
also be what the thread's active run waits for, or is told while it runs; then it makes no run.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from protocol.records import RunState, ThreadStatus
from protocol.requests import MessageSendResult
from storage import (
    audit_log,
    blobs,
    budgets,
    questions,
    run_ends,
    run_queue,
    run_rows,
    steers,
    switches,
    thread_rows,
)
from storage.budget_values import Consumer, OverBudget
from storage.engine import Reader, Row, Transaction
from storage.event_log import Fact, Tail, append, message_fact
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import to_text
from storage.values import Act, NewMessage, NewThread

_SQL = Queries("threads")
_RUNS = Queries("runs")


def accept(tx: Transaction, act: Act, new: NewMessage) -> RawJson:
    """Store `new` and queue its run, or give it to the run that wants it; returns a MessageSendResult.

    Raises Fault; see the port.
    """

    def effect() -> MessageSendResult:
        thread, facts, changed = _thread_for(tx, act, new)
        if is_too_long(thread, new):
            raise Fault(
                ErrorKind.TOO_LARGE,
                f"The thread has {thread['messages']} messages, which is all it may have",
                hint="Begin another thread",
            )
        consumer = _consumer(act, new, thread)
        if (over := budgets.count(tx, act, "messages", consumer, thread["id"])) is not None:
            raise budgets.BudgetExceeded(over)
        taker = _taker(tx, thread, new)
        if taker is None:
            _refuse(_run_obstacle(tx, act, consumer))
        return (taker or _queue)(_Arrival(tx, act, new, thread, facts, changed))

    return once(tx, act, effect)


def is_too_long(thread: Row, new: NewMessage) -> bool:
    """Whether a thread has as many messages as it may."""
    return bool(thread["messages"] >= new.messages_max)


def obstacle(tx: Transaction, act: Act, new: NewMessage, thread: Row | None) -> OverBudget | Row | None:
    """What keeps a message from being taken: a budget that is used up, or the switch that its agent is off by.

    A message that makes no run of its own is only counted as a message. `thread` None: it begins one.
    """
    consumer = _consumer(act, new, thread)
    over = budgets.refusal(tx, ("messages",), consumer, act.at_ms)
    if over is not None or (thread is not None and _taker(tx, thread, new) is not None):
        return over
    return _run_obstacle(tx, act, consumer)


def _run_obstacle(tx: Transaction, act: Act, consumer: Consumer) -> OverBudget | Row | None:
    """What keeps a message from having a run of its own."""
    off = switches.find(tx, act.org_id, consumer.agent_id)
    return off or budgets.refusal(tx, ("runs", *budgets.SPENT), consumer, act.at_ms)


def is_full(tx: Reader, thread: Row, new: NewMessage) -> bool:
    """Whether a message would have to wait in a queue that is as long as it may be."""
    if _taker(tx, thread, new) is not None:
        return False
    return bool(tx.value(_RUNS.count_unfinished, thread_id=thread["id"]) >= new.queue_max)


def _refuse(found: OverBudget | Row | None) -> None:
    """Raise Fault when something keeps a message from being taken."""
    if isinstance(found, OverBudget):
        raise budgets.BudgetExceeded(found)
    if found is not None:
        raise Fault(
            ErrorKind.INVALID_STATE,
            switches.sentence(found),
            hint="threadgate agents start switches it on again",
        )


def _consumer(act: Act, new: NewMessage, thread: Row | None) -> Consumer:
    """On whose account a message and its run are."""
    if thread is None:
        assert new.new_thread is not None, "a message has a thread or begins one"
        origin = new.new_thread.origin
        room = f"{origin.channel}:{origin.room}" if origin.room is not None else ""
        return Consumer(
            act.org_id, new.agent_id or new.new_thread.agent_id, act.actor.id, room, act.token_id or ""
        )
    agent_id = new.agent_id or thread["agent_id"]
    return Consumer(act.org_id, agent_id, act.actor.id, budgets.room_of(thread), act.token_id or "")


# --- what becomes of it -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message on its way into its thread: what is told before it, and what changes in the thread's row."""

    tx: Transaction
    act: Act
    new: NewMessage
    thread: Row
    facts: list[Fact]
    changed: dict[str, str | None]

    def insert(self, run_id: str | None = None, *after: Fact) -> int:
        """Append the message and what comes with it; returns its place in the log."""
        tx, act, new = self.tx, self.act, self.new
        thread = thread_rows.find(tx, act.org_id, self.thread["id"])  # runs may have ended since
        tail = Tail.of(thread)
        content = blobs.attach(tx, act, new, thread["id"])
        said = message_fact(new.message_id, "user", content, new.text, act.actor, run_id)
        append(tx, tail, act.at_ms, [*self.facts, said, *after])
        if self.changed:
            tx.run(_SQL.change, id=thread["id"], **self.changed)
        seq = tail.head_seq + len(self.facts) + 1
        if new.from_outside:
            tx.run(_SQL.mark_from_outside, thread_id=thread["id"], seq=seq)
        return seq

    def result(
        self, seq: int, run_id: str, state: RunState, ahead: int = 0, *, steered: bool = False
    ) -> MessageSendResult:
        """What the sender is told; the audit entry is written with it."""
        subject = {"thread_id": self.thread["id"], "message_id": self.new.message_id, "run_id": run_id}
        audit_log.append(self.tx, self.act, "message.send", subject)
        return MessageSendResult(
            thread_id=self.thread["id"],
            message_id=self.new.message_id,
            seq=seq,
            run_id=run_id,
            run_state=state,
            queue_position=ahead,
            steered=steered,
        )


def _queue(arrival: _Arrival) -> MessageSendResult:
    """A run of its own, behind those that are there."""
    tx, act, new, thread_id = arrival.tx, arrival.act, arrival.new, arrival.thread["id"]
    ahead: int = tx.value(_RUNS.count_unfinished, thread_id=thread_id)
    if ahead and _make_room(tx, act, new, thread_id, ahead):
        ahead = tx.value(_RUNS.count_unfinished, thread_id=thread_id)  # what they had not taken is queued
    seq = _insert_with_run(arrival)
    return arrival.result(seq, new.run_id, RunState.QUEUED, ahead)


def _hold(arrival: _Arrival) -> MessageSendResult:
    """A person has taken the thread over: its agent does not answer."""
    tx, act, new = arrival.tx, arrival.act, arrival.new
    held_by = thread_rows.assignee(arrival.thread)
    assert new.held is not None and held_by is not None
    seq = _insert_with_run(arrival)
    held = replace(new.held, reason=f"{held_by.name} {new.held.reason}")
    run_ends.end(tx, act, run_rows.find(tx, act.org_id, new.run_id), held)
    return arrival.result(seq, new.run_id, RunState.CANCELLED)


def _insert_with_run(arrival: _Arrival) -> int:
    tx, act, new, thread = arrival.tx, arrival.act, arrival.new, arrival.thread
    agent_id = new.agent_id or thread["agent_id"]
    queued = {"agent_id": agent_id, "message_id": new.message_id}
    seq = arrival.insert(None, Fact(EventKind.RUN_QUEUED, queued, act.actor, new.run_id))
    run_queue.insert(
        tx,
        act,
        thread["id"],
        new.run_id,
        agent_id,
        new.message_id,
        seq,
        queue_key=run_queue.place(seq + 1),
        requested_by=act.actor.id,
        room=budgets.room_of(thread),
        token_id=act.token_id or "",
    )
    return seq


def _answer(arrival: _Arrival, question: Row) -> MessageSendResult:
    """What the waiting run wants to know."""
    seq = arrival.insert(question["run_id"])
    questions.answer(arrival.tx, arrival.act, question, arrival.new.text)
    return arrival.result(seq, question["run_id"], RunState.WAITING)


def _steer(arrival: _Arrival, run: Row) -> MessageSendResult:
    """The running run takes it at its next step."""
    seq = arrival.insert()
    steers.say(arrival.tx, arrival.act, run, arrival.new, seq)
    return arrival.result(seq, run["id"], RunState.RUNNING, steered=True)


def _taker(tx: Reader, thread: Row, new: NewMessage) -> "Callable[[_Arrival], MessageSendResult] | None":
    """Who takes a message so that it needs no run: a person who holds the thread, or the run that is active.

    A run that waits takes what answers its question, one that is running what is said to it meanwhile.
    """
    if thread["assignee"] is not None and new.held is not None:
        return _hold
    if new.on_busy not in ("queue", "steer"):
        return None
    run = tx.one(_RUNS.active, thread_id=thread["id"])
    if run is None:
        return None
    if run["state"] == RunState.WAITING:
        question = questions.oldest_open(tx, run["id"])
        return partial(_answer, question=question) if question is not None else None
    is_steered = new.on_busy == "steer" and run["agent_id"] in new.steerable
    return partial(_steer, run=run) if is_steered and run["state"] == RunState.RUNNING else None


# --- threads ----------------------------------------------------------------------------------------


def insert_thread(tx: Transaction, act: Act, new: NewThread) -> None:
    """Make a thread with its first event and its audit entry."""
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=act.org_id,
        title=new.title,
        agent_id=new.agent_id,
        origin=to_text(new.origin.model_dump(mode="json", exclude_none=True)),
        created_at=act.at_ms,
    )
    origin = new.origin.model_dump(mode="json", exclude_none=True)
    data = {"title": new.title, "agent_id": new.agent_id, "origin": origin}
    fact = Fact(EventKind.THREAD_CREATED, data, act.actor)
    append(tx, Tail(act.org_id, new.id, 0, ""), act.at_ms, [fact])
    audit_log.append(tx, act, "thread.create", {"thread_id": new.id})


def change_status(tx: Transaction, act: Act, row: Row, status: ThreadStatus) -> None:
    """Archive or restore a thread."""
    archived = status is ThreadStatus.ARCHIVED
    kind = EventKind.THREAD_ARCHIVED if archived else EventKind.THREAD_RESTORED
    tx.run(_SQL.change, id=row["id"], title=row["title"], agent_id=row["agent_id"], status=status.value)
    append(tx, Tail.of(row), act.at_ms, [Fact(kind, {}, act.actor)])
    audit_log.append(tx, act, "thread.archive" if archived else "thread.restore", {"thread_id": row["id"]})


def _thread_for(tx: Transaction, act: Act, new: NewMessage) -> tuple[Row, list[Fact], dict[str, str | None]]:
    """The thread to write to, the facts that come before the message, and what changes in its row."""
    if new.thread_id is None:
        assert new.new_thread is not None, "a message has a thread or begins one"
        insert_thread(tx, act, new.new_thread)
        return thread_rows.find(tx, act.org_id, new.new_thread.id), [], {}
    row = thread_rows.find(tx, act.org_id, new.thread_id)
    if row["status"] == ThreadStatus.ARCHIVED:
        if not new.restore_archived:
            raise Fault(ErrorKind.INVALID_STATE, "The thread is archived", hint="Call thread.restore first")
        change_status(tx, act, row, ThreadStatus.ACTIVE)
        row = thread_rows.find(tx, act.org_id, new.thread_id)
    if not row["title"] and new.title:
        fact = Fact(EventKind.THREAD_UPDATED, {"title": new.title}, act.actor)
        changed = {"title": new.title, "agent_id": row["agent_id"], "status": row["status"]}
        return row, [fact], changed
    return row, [], {}


def _make_room(tx: Transaction, act: Act, new: NewMessage, thread_id: str, ahead: int) -> bool:
    """Apply on_busy to the unfinished runs of the thread; True when they were ended for the new message."""
    if new.on_busy == "reject":
        raise Fault(ErrorKind.BUSY, "The thread is busy with another run", retry_after_ms=1000)
    if new.on_busy == "interrupt":
        assert new.interrupt is not None, "who interrupts says how"
        for number, run in enumerate(tx.all(_RUNS.unfinished, thread_id=thread_id)):
            notice = new.interrupt.notice if number == 0 else None
            run_ends.end(tx, act, run, replace(new.interrupt, notice=notice))
        return True
    # "steer" reaches agents that can be steered; for the others it is "queue" (docs/PROTOCOL.md).
    run_queue.refuse_full(ahead, new.queue_max)
    return False
