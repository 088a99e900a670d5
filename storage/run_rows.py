"""What every writer of a run needs of its row: whose it is, who acts in it, whom it answers.

How runs begin is in `messages.py`, how they end in `run_ends.py`, how they wait in `approvals.py`.
"""

from typing import Final

from protocol.records import Actor, ActorKind
from storage.engine import Row, Transaction
from storage.errors import StaleFence
from storage.queries import Queries
from storage.values import Act, ClaimedRun

_SQL = Queries("runs")
REPLY_STEP: Final = 1
"""The journal step that holds the answer of a run."""


def owned(tx: Transaction, org_id: str, run_id: str, fence: int) -> Row:
    """The row of a run whose fence is still `fence`. Raises StaleFence."""
    row = tx.one(_SQL.find, org_id=org_id, id=run_id)
    if row is None or row["fence"] != fence:
        raise StaleFence(f"run {run_id} is owned by somebody else now")
    return row


def agent_act(run: ClaimedRun, now_ms: int) -> Act:
    """What the agent of a run does."""
    actor = Actor(id=run.agent_id, kind=ActorKind.AGENT, name=run.agent_id)
    return Act(run.org_id, actor, via="run", at_ms=now_ms)


def recipient_of(run: Row, channel: str) -> str | None:
    """The channel's own id of the person a run answers; None when somebody else asked (a client)."""
    asked_by: str = run["requested_by"]
    kind, _, sender_id = asked_by.partition(":")
    return sender_id if kind == channel and sender_id else None
