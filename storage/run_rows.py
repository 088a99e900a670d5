"""What every writer of a run needs of its row: whose it is, who acts in it, whom it answers, what it cost.

How runs begin is in `messages.py` and `run_queue.py`, how they are owned in `run_owning.py`, how they wait in
`waits.py`, how they end in `run_ends.py`.
"""

from typing import Final

from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Run, RunError, RunState, Usage
from storage import budgets, usage_days
from storage.engine import Reader, Row, Transaction
from storage.errors import StaleFence
from storage.queries import Queries
from storage.run_values import RunReady
from storage.texts import from_text, to_text
from storage.values import Act, ClaimedRun

_SQL = Queries("runs")
REPLY_STEP: Final = 1
"""The journal step that holds the answer of a run."""


def find(tx: Reader, org_id: str, run_id: str) -> Row:
    """The row of a run. Raises Fault not_found."""
    row = tx.one(_SQL.find, org_id=org_id, id=run_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such run", hint="run.list shows what there is")
    return row


def owned(tx: Transaction, org_id: str, run_id: str, fence: int) -> Row:
    """The row of a run whose fence is still `fence`. Raises StaleFence."""
    row = tx.one(_SQL.find, org_id=org_id, id=run_id)
    if row is None or row["fence"] != fence:
        raise StaleFence(f"run {run_id} is owned by somebody else now")
    return row


def record(row: Row) -> Run:
    """A run as it is shown."""
    return Run(
        id=row["id"],
        thread_id=row["thread_id"],
        agent_id=row["agent_id"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        queued_at=to_instant(row["queued_at"]),
        started_at=to_instant(row["started_at"]) if row["started_at"] is not None else None,
        ended_at=to_instant(row["ended_at"]) if row["ended_at"] is not None else None,
        error=RunError.model_validate(from_text(row["error"])) if row["error"] else None,
        usage=Usage.model_validate(from_text(row["usage"])),
        retry_of=row["retry_of"],
        agent_version=row["agent_version"],
        waiting_for=row["waiting_for"],
        facts=from_text(row["facts"]) if row["facts"] else None,
        journal_hash=row["journal_hash"],
    )


def agent_act(run: ClaimedRun, now_ms: int) -> Act:
    """What the agent of a run does."""
    actor = Actor(id=run.agent_id, kind=ActorKind.AGENT, name=run.agent_id)
    return Act(run.org_id, actor, via="run", at_ms=now_ms)


def recipient_of(run: Row, channel: str) -> str | None:
    """The channel's own id of the person a run answers; None when somebody else asked (a client)."""
    asked_by: str = run["requested_by"]
    kind, _, sender_id = asked_by.partition(":")
    return sender_id if kind == channel and sender_id else None


def subject(run: Row) -> dict[str, str]:
    """What the audit log calls a run."""
    return {"run_id": run["id"], "thread_id": run["thread_id"], "agent_id": run["agent_id"]}


def spend(tx: Transaction, run: Row, step: int, model: str, usage: Usage, at_ms: int) -> Usage:
    """Record what a step cost, once for each; returns what the run has cost by now."""
    spent = Usage.model_validate(from_text(run["usage"]))
    if usage == Usage():
        return spent
    costs = usage.model_dump()
    tx.run(
        _SQL.insert_usage,
        org_id=run["org_id"],
        run_id=run["id"],
        step=step,
        agent_id=run["agent_id"],
        model=model,
        at=at_ms,
        **costs,
    )
    usage_days.add(tx, run, at_ms, model, usage)
    budgets.settle(tx, run, usage, at_ms)
    total = Usage(**{name: count + costs[name] for name, count in spent.model_dump().items()})
    tx.run(_SQL.set_usage, id=run["id"], usage=to_text(total.model_dump()))
    return total


def still_waits(tx: Reader, run_id: str) -> bool:
    """Whether anything is open of what a run asked for."""
    return bool(tx.value(_SQL.still_waits, run_id=run_id))


def tell_ready(tx: Transaction, thread_id: str, run_id: str) -> None:
    """Signal that a waiting run may go on, once nothing is open any more."""
    if not still_waits(tx, run_id):
        tx.emit(RunReady(thread_id, run_id))
