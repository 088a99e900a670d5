"""What is known of the progress of unfinished runs, for the invariant check. Reads only."""

from storage import blobs, questions, run_rows
from storage.engine import Reader, Row
from storage.queries import Queries
from storage.run_values import RunProgress
from storage.texts import from_text

_SQL = Queries("runs")
_JOURNAL = Queries("journal")
_APPROVALS = Queries("approvals")


def progress(tx: Reader, org_id: str, run_id: str | None, limit: int) -> list[RunProgress]:
    """Unfinished runs, oldest first; see the port."""
    if run_id is None:
        rows = tx.all(_SQL.oldest_unfinished, org_id=org_id, limit=limit)
    else:
        row = run_rows.find(tx, org_id, run_id)
        rows = [row] if row["ended_at"] is None else []
    return [_of(tx, row) for row in rows]


def _of(tx: Reader, row: Row) -> RunProgress:
    is_queued = row["state"] == "queued"
    ahead = 0
    if is_queued:
        ahead = tx.value(_SQL.ahead_of, thread_id=row["thread_id"], queue_key=row["queue_key"])
    pending = [] if is_queued else tx.all(_APPROVALS.pending_of_run, run_id=row["id"])
    unanswered = [] if is_queued else questions.open_of_run(tx, row["id"])
    waits_for = [f"approval {one['id']} ({from_text(one['request'])['title']})" for one in pending]
    waits_for += [f"an answer to: {one['prompt']}" for one in unanswered]
    steps = [] if is_queued else tx.all(_JOURNAL.open_of_run, run_id=row["id"])
    return RunProgress(
        run_id=row["id"],
        thread_id=row["thread_id"],
        agent_id=row["agent_id"],
        state=row["state"],
        attempt=row["attempt"],
        queued_at_ms=row["queued_at"],
        started_at_ms=row["started_at"],
        lease_owner=row["lease_owner"],
        lease_until_ms=row["lease_until"],
        ahead=ahead,
        files_awaited=is_queued and blobs.is_awaited(tx, row["message_id"]),
        waits_for=tuple(waits_for),
        next_expiry_ms=min((one["expires_at"] for one in [*pending, *unanswered]), default=None),
        open_steps=tuple((step["key"], step["name"], step["opened_at"]) for step in steps),
    )
