"""Questions of runs to people: asked when the run is parked (`waits.py`), answered by the next message in the thread.

The oldest open one is answered first. One that nobody answers in time is settled without an answer, and the agent is
told so.
"""

from typing import Final

from storage import audit_log, notices, run_rows
from storage.engine import Reader, Row, Transaction
from storage.queries import Queries
from storage.run_values import Answered, NewQuestion
from storage.texts import from_text, to_text
from storage.values import GATEWAY, Act, Notice

_SQL = Queries("questions")
_THREADS = Queries("threads")
_SETTLED: Final = ("answered", "expired")


def ask(tx: Transaction, act: Act, run: Row, new: NewQuestion) -> None:
    """Open a question, with its audit entry; its room, where there is one, is owed what shows it."""
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=run["org_id"],
        run_id=run["id"],
        thread_id=run["thread_id"],
        number=tx.value(_SQL.last_number, run_id=run["id"]) + 1,
        key=new.key,
        prompt=new.prompt,
        now=act.at_ms,
        expires_at=new.expires_at_ms,
    )
    if new.shown is not None and new.delivery_id is not None:
        thread = tx.one(_THREADS.find, org_id=run["org_id"], id=run["thread_id"])
        assert thread is not None, "a run belongs to a thread"
        channel = from_text(thread["origin"]).get("channel", "")
        notice, recipient = Notice(new.delivery_id, new.shown), run_rows.recipient_of(run, channel)
        notices.owe_thread(tx, thread, notice, act.at_ms, run["id"], recipient)
    audit_log.append(tx, act, "question.ask", {"question_id": new.id, **run_rows.subject(run)})


def oldest_open(tx: Reader, run_id: str) -> Row | None:
    """The question that the next message answers."""
    return tx.one(_SQL.oldest_open, run_id=run_id)


def answer(tx: Transaction, act: Act, question: Row, text: str) -> None:
    """Settle an open question by what somebody said."""
    by = to_text(act.actor.model_dump(mode="json"))
    tx.run(_SQL.settle, id=question["id"], state="answered", answer=text, answered_by=by, now=act.at_ms)
    run_rows.tell_ready(tx, question["thread_id"], question["run_id"])


def expire(tx: Transaction, now_ms: int, limit: int) -> int:
    """Settle what nobody answered in time; returns how many."""
    rows = tx.all(_SQL.overdue, now=now_ms, limit=limit)
    for row in rows:
        tx.run(_SQL.settle, id=row["id"], state="expired", answer=None, answered_by=None, now=now_ms)
        subject = {"question_id": row["id"], "run_id": row["run_id"], "thread_id": row["thread_id"]}
        audit_log.append(tx, Act(row["org_id"], GATEWAY, "expiry", now_ms), "question.expire", subject)
        run_rows.tell_ready(tx, row["thread_id"], row["run_id"])
    return len(rows)


def cancel_of_run(tx: Transaction, run_id: str, now_ms: int) -> None:
    """A run that ended waits for nothing."""
    tx.run(_SQL.cancel_of_run, run_id=run_id, now=now_ms)


def settled_of_run(tx: Reader, run_id: str) -> tuple[Answered, ...]:
    """What came of a run's questions, in the order they were asked."""
    return tuple(
        Answered(
            row["key"], row["answer"], from_text(row["answered_by"])["name"] if row["answered_by"] else ""
        )
        for row in tx.all(_SQL.of_run, run_id=run_id)
        if row["state"] in _SETTLED
    )


def open_of_run(tx: Reader, run_id: str) -> list[Row]:
    """The questions of a run that wait for an answer."""
    return [row for row in tx.all(_SQL.of_run, run_id=run_id) if row["state"] == "open"]
