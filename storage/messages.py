"""Accepting a message: the one transaction in which it becomes durable together with its run.

Message, events, run, title, audit entry and the stored answer of the idempotency key commit together or not
at all. Both ways in use it: `message.send` (through `threads.py`) and the channels' inbox (`inbox.py`).
"""

from dataclasses import replace

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from protocol.records import RunState, ThreadStatus
from protocol.requests import MessageSendResult
from storage import audit_log, blobs, run_ends
from storage.engine import Reader, Row, Transaction
from storage.event_log import Fact, Tail, append, message_fact
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import to_text
from storage.values import Act, NewMessage, NewThread

_SQL = Queries("threads")
_RUNS = Queries("runs")


def accept(tx: Transaction, act: Act, new: NewMessage) -> RawJson:
    """Store `new` and queue its run; returns a MessageSendResult. Raises Fault; see the port."""

    def effect() -> MessageSendResult:
        thread, facts, changed = _thread_for(tx, act, new)
        ahead: int = tx.value(_RUNS.count_unfinished, thread_id=thread["id"])
        if ahead and _make_room(tx, act, new, thread["id"], ahead):
            thread, ahead = find_thread(tx, act.org_id, thread["id"]), 0
        tail = Tail.of(thread)
        message_seq = tail.head_seq + len(facts) + 1
        agent_id = new.agent_id or thread["agent_id"]
        content = blobs.attach(tx, act, new, thread["id"])
        queued = {"agent_id": agent_id, "message_id": new.message_id}
        facts = [
            *facts,
            message_fact(new.message_id, "user", content, new.text, act.actor),
            Fact(EventKind.RUN_QUEUED, queued, act.actor, new.run_id),
        ]
        append(tx, tail, act.at_ms, facts)
        if changed:
            tx.run(_SQL.change, id=thread["id"], **changed)
        place = queue_place(message_seq + 1)
        insert_run(tx, act, thread["id"], new.run_id, agent_id, new.message_id, message_seq, queue_key=place)
        subject = {"thread_id": thread["id"], "message_id": new.message_id, "run_id": new.run_id}
        audit_log.append(tx, act, "message.send", subject)
        return MessageSendResult(
            thread_id=thread["id"],
            message_id=new.message_id,
            seq=message_seq,
            run_id=new.run_id,
            run_state=RunState.QUEUED,
            queue_position=ahead,
        )

    return once(tx, act, effect)


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


def find_thread(tx: Reader, org_id: str, thread_id: str) -> Row:
    """The row of a thread that exists and is not deleted. Raises Fault not_found."""
    row = tx.one(_SQL.find, org_id=org_id, id=thread_id)
    if row is None or row["status"] == ThreadStatus.DELETED:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such thread", hint="thread.list shows what there is")
    return row


def change_status(tx: Transaction, act: Act, row: Row, status: ThreadStatus) -> None:
    """Archive or restore a thread."""
    archived = status is ThreadStatus.ARCHIVED
    kind = EventKind.THREAD_ARCHIVED if archived else EventKind.THREAD_RESTORED
    tx.run(_SQL.change, id=row["id"], title=row["title"], agent_id=row["agent_id"], status=status.value)
    append(tx, Tail.of(row), act.at_ms, [Fact(kind, {}, act.actor)])
    audit_log.append(tx, act, "thread.archive" if archived else "thread.restore", {"thread_id": row["id"]})


def insert_run(
    tx: Transaction,
    act: Act,
    thread_id: str,
    run_id: str,
    agent_id: str,
    message_id: str,
    message_seq: int,
    *,
    queue_key: str,
    retry_of: str | None = None,
) -> None:
    """Queue a run at a place of the thread's queue; a repetition may keep that of the run it repeats."""
    tx.run(
        _RUNS.insert,
        id=run_id,
        org_id=act.org_id,
        thread_id=thread_id,
        agent_id=agent_id,
        queue_key=queue_key,
        message_id=message_id,
        message_seq=message_seq,
        retry_of=retry_of,
        requested_by=act.actor.id,
        queued_at=act.at_ms,
    )


def queue_place(seq: int) -> str:
    """The place in a thread's queue of a run whose `run.queued` is event `seq`.

    Ids do not say what came first: two made in one millisecond have no order.
    """
    return f"seq_{seq:016d}"


def refuse_full_queue(waiting: int, queue_max: int) -> None:
    """Raise Fault busy when a thread has as many queued runs as it may."""
    if waiting >= queue_max:
        raise Fault(
            ErrorKind.BUSY,
            f"{queue_max} runs are waiting in this thread already",
            hint="Wait for an answer, or cancel runs",
            retry_after_ms=1000,
        )


def _thread_for(tx: Transaction, act: Act, new: NewMessage) -> tuple[Row, list[Fact], dict[str, str | None]]:
    """The thread to write to, the facts that come before the message, and what changes in its row."""
    if new.thread_id is None:
        assert new.new_thread is not None, "a message has a thread or begins one"
        insert_thread(tx, act, new.new_thread)
        return find_thread(tx, act.org_id, new.new_thread.id), [], {}
    row = find_thread(tx, act.org_id, new.thread_id)
    if row["status"] == ThreadStatus.ARCHIVED:
        if not new.restore_archived:
            raise Fault(ErrorKind.INVALID_STATE, "The thread is archived", hint="Call thread.restore first")
        change_status(tx, act, row, ThreadStatus.ACTIVE)
        row = find_thread(tx, act.org_id, new.thread_id)
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
    refuse_full_queue(ahead, new.queue_max)
    return False
