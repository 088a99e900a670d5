"""The queue of a thread: runs that will be started one after the other.

For what they are queued is decided elsewhere: for a message (`messages.py`), in the place of a run that ended or
again (`runs.py`), for what nobody took (`steers.py`).
"""

from typing import Any

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from storage import thread_rows
from storage.engine import Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.values import Act

_SQL = Queries("runs")


def insert(
    tx: Transaction,
    act: Act,
    thread_id: str,
    run_id: str,
    agent_id: str,
    message_id: str,
    message_seq: int,
    *,
    queue_key: str,
    requested_by: str,
    room: str,
    token_id: str,
    retry_of: str | None = None,
) -> None:
    """Queue a run at a place of the thread's queue; a repetition may keep that of the run it repeats.

    `room` is the thread's, `NETWORK:ID` or empty; `token_id` is what it was asked for with, or empty.
    """
    tx.run(
        _SQL.insert,
        id=run_id,
        org_id=act.org_id,
        thread_id=thread_id,
        agent_id=agent_id,
        queue_key=queue_key,
        message_id=message_id,
        message_seq=message_seq,
        retry_of=retry_of,
        requested_by=requested_by,
        room=room,
        token_id=token_id,
        queued_at=act.at_ms,
    )


def place(seq: int) -> str:
    """The place in a thread's queue of a run whose `run.queued` is event `seq`.

    Ids do not say what came first: two made in one millisecond have no order.
    """
    return f"seq_{seq:016d}"


def refuse_full(waiting: int, queue_max: int) -> None:
    """Raise Fault busy when a thread has as many queued runs as it may."""
    if waiting >= queue_max:
        raise Fault(
            ErrorKind.BUSY,
            f"{queue_max} runs are waiting in this thread already",
            hint="Wait for an answer, or cancel runs",
            retry_after_ms=1000,
        )


def repeat(
    tx: Transaction,
    act: Act,
    run: Row,
    new_run_id: str,
    *,
    requested_by: str,
    agent_id: str | None = None,
    queue_key: str | None = None,
) -> None:
    """Queue a run with the input of `run`, for its agent unless another one is named."""
    thread = thread_rows.find(tx, run["org_id"], run["thread_id"])
    agent_id = agent_id or run["agent_id"]
    insert(
        tx,
        act,
        run["thread_id"],
        new_run_id,
        agent_id,
        run["message_id"],
        run["message_seq"],
        queue_key=queue_key or place(thread["head_seq"] + 1),
        requested_by=requested_by,
        room=run["room"],
        token_id=act.token_id or "" if requested_by == act.actor.id else run["token_id"],
        retry_of=run["id"],
    )
    data: dict[str, Any] = {"agent_id": agent_id, "message_id": run["message_id"], "retry_of": run["id"]}
    append(tx, Tail.of(thread), act.at_ms, [Fact(EventKind.RUN_QUEUED, data, act.actor, new_run_id)])
