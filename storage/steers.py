"""Steering: what people say to a run while it is running.

A message is kept beside the run until one of its steps takes it (`journal.py`); when the run ends before, the message
gets a run of its own, in the order of the messages. Nothing that was accepted is lost.
"""

from protocol.events import EventKind
from protocol.records import Actor
from storage import run_queue, thread_rows
from storage.engine import Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.run_values import RunSteered
from storage.texts import from_text, to_text
from storage.values import Act, NewMessage

_SQL = Queries("journal")


def say(tx: Transaction, act: Act, run: Row, new: NewMessage, message_seq: int) -> None:
    """Keep a message for a running run."""
    tx.run(
        _SQL.insert_steer,
        message_id=new.message_id,
        org_id=run["org_id"],
        run_id=run["id"],
        thread_id=run["thread_id"],
        message_seq=message_seq,
        own_run_id=new.run_id,
        said_by=to_text(act.actor.model_dump(mode="json")),
        token_id=act.token_id or "",
        now=act.at_ms,
    )
    tx.emit(RunSteered(run["id"]))


def waiting(tx: Reader, run_id: str) -> list[Row]:
    """What was said and not taken, oldest first, each with its `text` as it is now."""
    return tx.all(_SQL.waiting_steers, run_id=run_id)


def take(tx: Transaction, run_id: str, key: str) -> None:
    """What waits is taken by the step `key`."""
    tx.run(_SQL.take_steers, run_id=run_id, step=key)


def forget(tx: Transaction, message_id: str) -> None:
    """Its author took a message back that no run has taken yet."""
    tx.run(_SQL.forget_steer, message_id=message_id)


def queue_untaken(tx: Transaction, act: Act, run: Row) -> None:
    """A run ends: each message that it did not take gets a run of its own."""
    rows = waiting(tx, run["id"])
    if not rows:
        return
    thread = thread_rows.find(tx, run["org_id"], run["thread_id"])
    facts = []
    for row in rows:
        said_by = Actor.model_validate(from_text(row["said_by"]))
        run_queue.insert(
            tx,
            act,
            run["thread_id"],
            row["own_run_id"],
            run["agent_id"],
            row["message_id"],
            row["message_seq"],
            queue_key=run_queue.place(
                row["message_seq"]
            ),  # no run.queued has this number: it is the message's
            requested_by=said_by.id,
            room=run["room"],
            token_id=row["token_id"],
        )
        data = {"agent_id": run["agent_id"], "message_id": row["message_id"], "was_steered": True}
        facts.append(Fact(EventKind.RUN_QUEUED, data, said_by, row["own_run_id"]))
    take(tx, run["id"], "")
    append(tx, Tail.of(thread), act.at_ms, facts)
