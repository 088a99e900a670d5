"""How runs end: the one place where a run's last row, events, journal, deliveries and audit entry are written.

Used by the runs' repository (complete, fail, interrupt, cancel), by messages that interrupt, and by the
deletion of a thread. Which transitions exist is decided by `gateway/rules/run_states.py` and comes in as a
`Move`; that nobody writes for a run he has lost is checked here, by the fence (`run_rows.py`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from protocol.errors import ErrorKind, Fault
from protocol.events import EventKind
from protocol.records import RunState, Usage
from storage import approval_ends, audit_log, blobs, budgets, questions, run_rows, steers, usage_days
from storage.engine import Row, Transaction
from storage.event_log import Fact, Tail, append
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import Act, Ending, Move, Outbound, OutboxChanged

_SQL = Queries("runs")
_JOURNAL = Queries("journal")
_THREADS = Queries("threads")
_CHANNELS = Queries("channels")


def complete(
    tx: Transaction,
    act: Act,
    run: Row,
    move: Move,
    answer: Fact | None,
    usage: Usage,
    parts: Sequence[Outbound],
    journal_hash: str,
) -> None:
    """End with an answer: message, events, deliveries, usage, seal and audit entry."""
    _check(run, move)
    facts = [answer] if answer is not None else []
    total = run_rows.spend(tx, run, run_rows.REPLY_STEP, "", usage, act.at_ms)
    data: dict[str, Any] = {"usage": total.model_dump()}
    if answer is not None and answer.said is not None:
        data["message_id"] = answer.said.message_id
    _append(tx, act, run, [*facts, Fact(EventKind.RUN_COMPLETED, data, act.actor, run["id"])])
    close(tx, run, move.target, act.at_ms, journal_hash=journal_hash)
    approval_ends.consume_answer(tx, act, run)
    deliver(tx, run, parts, act.at_ms)
    steers.queue_untaken(tx, act, run)
    audit_log.append(tx, act, "run.complete", run_rows.subject(run), detail={"journal": journal_hash})


def end(tx: Transaction, act: Act, run: Row, ending: Ending, *, goes_on: bool = False) -> None:
    """End without an answer: failed, cancelled or interrupted. `goes_on`: another run takes its place."""
    _check(run, ending.move)
    kind, data = _ending_fact(ending)
    _append(tx, act, run, [Fact(kind, data, act.actor, run["id"])])
    error = None
    if ending.error_kind is not None:
        error = {"kind": ending.error_kind, "message": ending.reason}
    close(tx, run, ending.move.target, act.at_ms, error=error)
    approval_ends.cancel_of_run(tx, act, run["id"])
    _release_files(tx, run)
    if ending.notice is not None:
        deliver(tx, run, [Outbound(ending.notice.delivery_id, 1, ending.notice.content)], act.at_ms)
    elif not (ending.will_retry or goes_on):
        _drop_live(tx, run, act.at_ms)
    steers.queue_untaken(tx, act, run)
    audit_log.append(
        tx,
        act,
        kind.value,
        run_rows.subject(run),
        reason=ending.error_kind,
        content={"reason": ending.reason},
        about=run["thread_id"],
    )


def end_all(tx: Transaction, act: Act, thread_id: str, ending: Ending) -> int:
    """End every unfinished run of a thread; the notice is shown once. Returns how many there were."""
    count = 0
    while runs := tx.all(
        _SQL.unfinished, thread_id=thread_id
    ):  # what was steered is queued as a run of its own
        for run in runs:
            end(tx, act, run, ending if count == 0 else replace(ending, notice=None))
            count += 1
    return count


def close(
    tx: Transaction,
    run: Row,
    state: RunState,
    at_ms: int,
    *,
    error: dict[str, str] | None = None,
    journal_hash: str | None = None,
) -> None:
    """The run's own rows: its last state, a raised fence, a closed journal, no question. No event, no audit entry."""
    tx.run(
        _SQL.finish,
        id=run["id"],
        state=state.value,
        now=at_ms,
        error=to_text(error) if error else None,
        journal_hash=journal_hash,
    )
    tx.run(
        _JOURNAL.close_reply,
        run_id=run["id"],
        step=run_rows.REPLY_STEP,
        result=to_text({"state": state.value}),
        now=at_ms,
    )
    tx.run(_JOURNAL.cut_off, run_id=run["id"], now=at_ms)
    questions.cancel_of_run(tx, run["id"], at_ms)
    usage_days.count_run(tx, run, at_ms)
    budgets.release_run(tx, run["id"])


def _check(run: Row, move: Move) -> None:
    if RunState(run["state"]) not in move.sources:
        raise Fault(
            ErrorKind.INVALID_STATE,
            f"The run is {run['state']} and cannot become {move.target.value}",
            state=run["state"],
        )


def _ending_fact(ending: Ending) -> tuple[EventKind, dict[str, Any]]:
    match ending.move.target:
        case RunState.FAILED:
            error = {"kind": ending.error_kind or "agent_error", "message": ending.reason}
            return EventKind.RUN_FAILED, {"error": error}
        case RunState.CANCELLED:
            return EventKind.RUN_CANCELLED, {"reason": ending.reason}
        case RunState.INTERRUPTED:
            return EventKind.RUN_INTERRUPTED, {"reason": ending.reason, "will_retry": ending.will_retry}
        case other:
            raise ValueError(f"{other} is not an ending without an answer")


def _append(tx: Transaction, act: Act, run: Row, facts: list[Fact]) -> None:
    thread = tx.one(_THREADS.find, org_id=run["org_id"], id=run["thread_id"])
    assert thread is not None, "a run belongs to a thread"
    append(tx, Tail.of(thread), act.at_ms, facts)


def deliver(tx: Transaction, run: Row, parts: Sequence[Outbound], at_ms: int) -> None:
    """Owe the thread's room these messages; the first one goes into the live message if there is one."""
    if not parts:
        return _drop_live(tx, run, at_ms)
    thread = tx.one(_THREADS.find, org_id=run["org_id"], id=run["thread_id"])
    origin = from_text(thread["origin"]) if thread is not None else {}
    live = tx.one(_CHANNELS.live_outbound, run_id=run["id"])
    begun_ms = live["created_at"] if live is not None else at_ms  # one instant keeps the parts together
    for part in parts:
        if live is not None and part.part == 1:
            tx.run(_CHANNELS.write_outbound, id=live["id"], content=part.content, now=at_ms)
            continue
        tx.run(
            _CHANNELS.insert_outbound,
            id=part.id,
            org_id=run["org_id"],
            channel=origin["channel"],
            account=origin["account"],
            room=origin["room"],
            topic=origin.get("topic"),
            thread_id=run["thread_id"],
            run_id=run["id"],
            part=part.part,
            phase="idle",
            content=part.content,
            attempt=0,
            recipient=run_rows.recipient_of(run, origin["channel"]),
            approval_id=None,
            sending_since=None,
            now=begun_ms,
        )
    tx.emit(OutboxChanged(origin["channel"], origin["account"], origin["room"]))
    return None


def _drop_live(tx: Transaction, run: Row, at_ms: int) -> None:
    """A live message that nothing will be written into any more: give it up, as failed."""
    live = tx.one(_CHANNELS.live_outbound, run_id=run["id"])
    if live is not None:
        tx.run(
            _CHANNELS.update_outbound,
            id=live["id"],
            phase="failed",
            ref=live["ref"],
            attempt=live["attempt"],
            uncertain=live["uncertain"],
            next_attempt_at=0,
            last_error="the run ended without an answer",
            sending_since=live["sending_since"],
            now=at_ms,
        )


def _release_files(tx: Transaction, run: Row) -> None:
    """An answer that will not be said has no use for the files that were made for it."""
    step = tx.one(_JOURNAL.find, run_id=run["id"], step=run_rows.REPLY_STEP)
    if step is not None:
        blobs.release(tx, from_text(step["request"])["message_id"])
