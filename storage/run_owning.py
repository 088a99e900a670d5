"""Who drives a run: claiming the next of a thread, taking over what nobody holds, going on after a wait, leases.

Every change of ownership raises the fence; who writes with an older one is refused (`run_rows.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

from protocol.canonical import digest
from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.records import Origin, Run, RunState
from storage import approval_rows, blobs, budgets, questions, run_rows, switches, thread_rows
from storage.budget_values import HeldUp
from storage.engine import Reader, Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.run_values import AgentFull
from storage.texts import from_text, to_text
from storage.values import GATEWAY, Act, ClaimedRun, Move, Refusal

_SQL = Queries("runs")
_JOURNAL = Queries("journal")
_THREADS = Queries("threads")
_APPROVALS = Queries("approvals")


def claim(
    tx: Transaction,
    thread_id: str,
    owner: str,
    now_ms: int,
    lease_until_ms: int,
    reply_id: str,
    full: frozenset[str],
    versions: Mapping[str, str],
) -> ClaimedRun | AgentFull | HeldUp | None:
    """Start the thread's next queued run; see the port."""
    if tx.one(_SQL.active, thread_id=thread_id) is not None:
        return None
    row = tx.one(_SQL.next_queued, thread_id=thread_id)
    if row is None:
        return None
    if blobs.is_awaited(tx, row["message_id"]):
        return None  # those behind it wait too: a conversation keeps its order
    if row["agent_id"] in full:
        return AgentFull(row["agent_id"])
    if (place := budgets.reserve_place(tx, row, now_ms)) is not None:
        return HeldUp(place)
    refusal = _refusal(tx, row, now_ms)
    tx.run(
        _SQL.start,
        id=row["id"],
        now=now_ms,
        owner=owner,
        lease_until=lease_until_ms,
        agent_version=versions.get(row["agent_id"]),
        refusal=to_text(asdict(refusal)) if refusal is not None else None,
    )
    row = run_rows.find(tx, row["org_id"], row["id"])
    _open_reply(tx, row, reply_id, now_ms)
    _tell(tx, row, now_ms, EventKind.RUN_STARTED, {"attempt": row["attempt"]})
    return _claimed(tx, row, recovered=False)


def _refusal(tx: Transaction, run: Row, now_ms: int) -> Refusal | None:
    """Why a run may not be answered although it is its turn; a run that may is counted."""
    off = switches.find(tx, run["org_id"], run["agent_id"])
    if off is not None:
        return Refusal("agent_suspended", switches.sentence(off))
    consumer, act = budgets.of_run(run), Act(run["org_id"], GATEWAY, "run", now_ms)
    over = budgets.refusal(tx, budgets.SPENT, consumer, now_ms)
    over = over or budgets.count(tx, act, "runs", consumer, run["thread_id"])
    if over is None:
        return None
    budgets.exceed(tx, now_ms, run["org_id"], over, run["thread_id"])
    return Refusal("budget_exceeded", over.counter.refusal)


def _open_reply(tx: Transaction, run: Row, reply_id: str, now_ms: int) -> None:
    request = {"message_id": reply_id}
    tx.run(
        _JOURNAL.insert,
        org_id=run["org_id"],
        run_id=run["id"],
        step=run_rows.REPLY_STEP,
        key="reply",
        kind="reply",
        name="",
        request=to_text(request),
        request_hash=digest(request),
        repeatable=1,
        attempt=run["attempt"],
        outcome=None,
        result=None,
        now=now_ms,
        closed_at=None,
    )


def take_over(
    tx: Transaction, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
) -> ClaimedRun | None:
    """Continue an abandoned run; see the port."""
    row = tx.one("SELECT * FROM runs WHERE id = :id AND state = 'running'", id=run_id)
    if row is None:
        return None
    tx.run(_SQL.take_over, id=run_id, owner=owner, lease_until=lease_until_ms)
    row = run_rows.find(tx, row["org_id"], run_id)
    _tell(tx, row, now_ms, EventKind.RUN_RESUMED, {"attempt": row["attempt"], "reason": reason})
    return _claimed(tx, row, recovered=True)


def resumable(tx: Reader, limit: int) -> list[Run]:
    """Waiting runs that wait for nothing any more."""
    return [run_rows.record(row) for row in tx.all(_SQL.resumable, limit=limit)]


def resume(
    tx: Transaction, run_id: str, move: Move, owner: str, now_ms: int, lease_until_ms: int
) -> ClaimedRun | None:
    """Continue a waiting run; see the port."""
    row = tx.one("SELECT * FROM runs WHERE id = :id", id=run_id)
    if row is None or RunState(row["state"]) not in move.sources or run_rows.still_waits(tx, run_id):
        return None
    reason = "answered" if row["waiting_for"] == "input" else "decided"
    budgets.reserve_place(tx, row, now_ms, is_asked=False)
    tx.run(_SQL.resume, id=run_id, state=move.target.value, owner=owner, lease_until=lease_until_ms)
    row = run_rows.find(tx, row["org_id"], run_id)
    _tell(tx, row, now_ms, EventKind.RUN_RESUMED, {"attempt": row["attempt"], "reason": reason})
    return _claimed(tx, row, recovered=False)


def recorded(tx: Reader, org_id: str, run_id: str) -> ClaimedRun:
    """A completed run as its last attempt saw it; see the port."""
    row = run_rows.find(tx, org_id, run_id)
    if row["state"] != RunState.COMPLETED or row["journal_hash"] is None:
        raise Fault(
            ErrorKind.INVALID_STATE,
            f"The run is {row['state']}: only a run that its agent completed can be executed again",
            state=row["state"],
        )
    run = _claimed(tx, row, recovered=False)
    answer = tx.one(_THREADS.answer_of_run, thread_id=run.thread_id, after=run.message_seq, run_id=run.id)
    return replace(run, partial=answer["text"] if answer is not None else "")


def abandoned(tx: Reader, owner: str, now_ms: int) -> list[Run]:
    """Running runs that no living owner holds."""
    return [run_rows.record(row) for row in tx.all(_SQL.abandoned, owner=owner, now=now_ms)]


def running(tx: Reader, owner: str, limit: int) -> list[Run]:
    """Running runs that `owner` holds."""
    return [run_rows.record(row) for row in tx.all(_SQL.running, owner=owner, limit=limit)]


def renew(tx: Transaction, owner: str, lease_until_ms: int) -> None:
    """Keep what `owner` holds."""
    tx.run(_SQL.renew_leases, owner=owner, lease_until=lease_until_ms)


def _tell(tx: Transaction, run: Row, now_ms: int, kind: EventKind, data: dict[str, object]) -> None:
    thread = thread_rows.find(tx, run["org_id"], run["thread_id"])
    append(tx, Tail.of(thread), now_ms, [Fact(kind, data, run_id=run["id"])])


def _claimed(tx: Reader, row: Row, *, recovered: bool) -> ClaimedRun:
    thread = thread_rows.find(tx, row["org_id"], row["thread_id"])
    message = tx.one(_THREADS.find_message, thread_id=row["thread_id"], seq=row["message_seq"])
    step = tx.one(_JOURNAL.find, run_id=row["id"], step=run_rows.REPLY_STEP)
    assert message is not None, "a run answers a message"
    origin = Origin.model_validate(from_text(thread["origin"]))
    assert step is not None, "a started run has a journal"
    reply_id = from_text(step["request"])["message_id"]
    return ClaimedRun(
        id=row["id"],
        org_id=row["org_id"],
        thread_id=row["thread_id"],
        agent_id=row["agent_id"],
        attempt=row["attempt"],
        fence=row["fence"],
        message_text=message["text"],
        message_seq=row["message_seq"],
        reply_id=reply_id,
        partial=step["partial"] or "",
        thread_title=thread["title"],
        origin=origin,
        recovered=recovered,
        requested_by=row["requested_by"],
        decisions=tuple(
            approval_rows.decided(approval) for approval in tx.all(_APPROVALS.of_run, run_id=row["id"])
        ),
        answers=questions.settled_of_run(tx, row["id"]),
        is_taken_back=message["deleted_at"] is not None,
        message_ref=_message_ref(tx, row["message_id"], origin),
        files=blobs.of_message(tx, row["message_id"]),
        answer_files=blobs.of_message(tx, reply_id),
        is_tainted=bool(tx.value(_THREADS.has_from_outside, thread_id=row["thread_id"])),
        refusal=Refusal(**from_text(row["refusal"])) if row["refusal"] else None,
    )


def _message_ref(tx: Reader, message_id: str, origin: Origin) -> str | None:
    """What the thread's room calls the message; None when it did not come from there."""
    if origin.room is None:
        return None
    place = {"channel": origin.channel, "account": origin.account, "room": origin.room}
    ref: str | None = tx.value(_THREADS.ref_of_message, message_id=message_id, **place)
    return ref
