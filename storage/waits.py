"""Waiting: a run is parked as data with everything it asks for at once, and nobody owns it until all is settled.

How approvals are asked is in `approvals.py`, how questions are answered in `questions.py`.
"""

from collections.abc import Sequence
from typing import Any

from protocol.events import EventKind
from storage import approvals, budgets, questions, run_rows
from storage.engine import Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.run_values import NewQuestion
from storage.values import ClaimedRun, Move, NewApproval

_RUNS = Queries("runs")
_JOURNAL = Queries("journal")
_THREADS = Queries("threads")


def wait(
    tx: Transaction,
    run: ClaimedRun,
    move: Move,
    asked: Sequence[NewApproval],
    wanted: Sequence[NewQuestion],
    text: str,
    now_ms: int,
) -> None:
    """Park a run; see the port."""
    assert asked or wanted, "a run that waits for nothing would wait for ever"
    row = run_rows.owned(tx, run.org_id, run.id, run.fence)
    act = run_rows.agent_act(run, now_ms)
    tx.run(_JOURNAL.checkpoint, run_id=run.id, step=run_rows.REPLY_STEP, partial=text)
    for new in asked:
        approvals.request(tx, act, run, row, new)
    for question in wanted:
        questions.ask(tx, act, row, question)
    reason = "approval" if asked else "input"
    budgets.release_step(tx, run.id, budgets.PLACE)
    tx.run(_RUNS.park, id=run.id, state=move.target.value, waiting_for=reason)
    data: dict[str, Any] = {"reason": reason}
    if wanted:
        data["prompt"] = wanted[0].prompt
    thread = tx.one(_THREADS.find, org_id=run.org_id, id=run.thread_id)
    assert thread is not None, "a run belongs to a thread"
    append(tx, Tail.of(thread), now_ms, [Fact(EventKind.RUN_WAITING, data, act.actor, run.id)])
    if not wanted:
        run_rows.tell_ready(tx, run.thread_id, run.id)  # grants may have decided all of it
