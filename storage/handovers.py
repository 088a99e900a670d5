"""Threads that people take over: who holds one, and what they say in it instead of its agent."""

from collections.abc import Sequence
from typing import Any

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from protocol.records import Actor, RunState, ThreadStatus, Usage
from protocol.requests import MessageSendResult, ThreadResult
from storage import audit_log, audit_people, budgets, notices, run_ends, run_queue, run_rows, thread_rows
from storage.engine import Engine, Row, Transaction
from storage.event_log import Fact, Tail, append, message_fact
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import to_text
from storage.values import Act, Ending, Notice, Outbound

_SQL = Queries("threads")


class Handovers:
    """`storage.run_ports.HandoverStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def assign(
        self,
        act: Act,
        thread_id: str,
        assignee: Actor | None,
        agent_id: str | None,
        notice: Notice | None,
        ending: Ending | None = None,
        note: str = "",
    ) -> RawJson:
        return await self._engine.write(_assign, act, thread_id, assignee, agent_id, notice, ending, note)

    async def speak(
        self, act: Act, thread_id: str, message_id: str, run_id: str, text: str, parts: Sequence[Outbound]
    ) -> RawJson:
        return await self._engine.write(_speak, act, thread_id, message_id, run_id, text, parts)


def _assign(
    tx: Transaction,
    act: Act,
    thread_id: str,
    assignee: Actor | None,
    agent_id: str | None,
    notice: Notice | None,
    ending: Ending | None,
    note: str,
) -> RawJson:
    def effect() -> ThreadResult:
        row = thread_rows.find(tx, act.org_id, thread_id)
        told = _changes(act, row, assignee, agent_id)
        if told:
            holder = to_text(assignee.model_dump(mode="json")) if assignee is not None else None
            tx.run(_SQL.hand_over, id=thread_id, assignee=holder, agent_id=agent_id or row["agent_id"])
            append(tx, Tail.of(row), act.at_ms, [Fact(EventKind.THREAD_UPDATED, told, act.actor)])
            if ending is not None:
                run_ends.end_all(tx, act, thread_id, ending)
            if notice is not None:
                notices.owe_thread(tx, row, notice, act.at_ms, run_id=None)
            action = "thread.return" if assignee is None else "thread.assign"
            subject = {"thread_id": thread_id}
            if assignee is not None:
                subject["assignee"] = audit_people.opaque(tx, act.org_id, assignee, act.at_ms)
            audit_log.append(
                tx,
                act,
                action,
                subject,
                detail={"agent_id": told["agent_id"]} if "agent_id" in told else {},
                content={"note": note} if note else None,
                about=thread_id,
            )
        return ThreadResult(thread=thread_rows.record(thread_rows.find(tx, act.org_id, thread_id)))

    return once(tx, act, effect)


def _changes(act: Act, row: Row, assignee: Actor | None, agent_id: str | None) -> dict[str, Any]:
    """What the event says: only what is different afterwards; empty when it is so already."""
    told: dict[str, Any] = {}
    held_by = thread_rows.assignee(row)
    if assignee is not None and (held_by is None or held_by.id != assignee.id):
        told["assignee"] = assignee.model_dump(mode="json")
    if assignee is None and held_by is not None:
        told["returned_by"] = act.actor.model_dump(mode="json")
    if agent_id is not None and agent_id != row["agent_id"]:
        told["agent_id"] = agent_id
    return told


def _speak(
    tx: Transaction,
    act: Act,
    thread_id: str,
    message_id: str,
    run_id: str,
    text: str,
    parts: Sequence[Outbound],
) -> RawJson:
    def effect() -> MessageSendResult:
        row = thread_rows.find(tx, act.org_id, thread_id)
        _refuse_others(act, row)
        said = message_fact(
            message_id, "assistant", [{"type": "text", "text": text}], text, act.actor, run_id
        )
        data = {"message_id": message_id, "usage": Usage().model_dump()}
        completed = Fact(EventKind.RUN_COMPLETED, data, act.actor, run_id)
        seq = append(tx, Tail.of(row), act.at_ms, [said, completed]).head_seq - 1
        _insert_run(tx, act, row, run_id, message_id, seq)
        run = run_rows.find(tx, act.org_id, run_id)
        run_ends.close(tx, run, RunState.COMPLETED, act.at_ms)
        run_ends.deliver(tx, run, parts, act.at_ms)
        subject = {"thread_id": thread_id, "message_id": message_id, "run_id": run_id}
        audit_log.append(tx, act, "message.send", subject)
        return MessageSendResult(
            thread_id=thread_id,
            message_id=message_id,
            seq=seq,
            run_id=run_id,
            run_state=RunState.COMPLETED,
            queue_position=0,
        )

    return once(tx, act, effect)


def _refuse_others(act: Act, row: Row) -> None:
    if row["status"] == ThreadStatus.ARCHIVED:
        raise Fault(ErrorKind.INVALID_STATE, "The thread is archived", hint="Call thread.restore first")
    held_by = thread_rows.assignee(row)
    if held_by is None:
        raise Fault(ErrorKind.INVALID_STATE, "Nobody has taken the thread over", hint="Take it over first")
    if held_by.id != act.actor.id:
        raise Fault(
            ErrorKind.FORBIDDEN, f"{held_by.name} has taken the thread over", hint="Take it over first"
        )


def _insert_run(tx: Transaction, act: Act, row: Row, run_id: str, message_id: str, seq: int) -> None:
    """A run that answers what people said last; what is said of oneself answers itself."""
    heard = tx.one(_SQL.last_from_people, thread_id=row["id"])
    run_queue.insert(
        tx,
        act,
        row["id"],
        run_id,
        row["agent_id"],
        heard["id"] if heard is not None else message_id,
        heard["seq"] if heard is not None else seq,
        queue_key=run_queue.place(seq),
        requested_by=act.actor.id,
        room=budgets.room_of(row),
        token_id=act.token_id or "",
    )
