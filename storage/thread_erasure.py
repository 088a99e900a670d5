"""A thread's content goes for good: what deletion by a person, retention and the erasure of a person have in common.

The row of the thread stays as its tombstone: followers and clients that come back are told that it is gone.
"""

from protocol.records import RunState
from storage import approval_ends, audit_content, blobs, run_ends
from storage.engine import Row, Transaction
from storage.queries import Queries
from storage.values import Act, ThreadDeleted

_SQL = Queries("threads")
_RUNS = Queries("runs")
_JOURNAL = Queries("journal")
_QUESTIONS = Queries("questions")
_CHANNELS = Queries("channels")
_ERASURES = Queries("erasures")


def erase_thread(tx: Transaction, act: Act, row: Row) -> None:
    """End what is unfinished in the thread, without events, and delete its content. No audit entry."""
    thread_id = row["id"]
    for run in tx.all(_RUNS.unfinished, thread_id=thread_id):
        run_ends.close(tx, run, RunState.CANCELLED, act.at_ms)
        approval_ends.cancel_of_run(tx, act, run["id"])
    tx.run(_SQL.unindex_messages, thread_id=thread_id)
    tx.run(_SQL.delete_messages, thread_id=thread_id)
    tx.run(_SQL.delete_events, thread_id=thread_id)
    tx.run(_SQL.unlink, thread_id=thread_id)
    tx.run(_SQL.forget_platform_messages, thread_id=thread_id)
    tx.run(_JOURNAL.delete_of_thread, thread_id=thread_id)
    tx.run(_JOURNAL.delete_steers, thread_id=thread_id)
    tx.run(_QUESTIONS.delete_of_thread, thread_id=thread_id)
    tx.run(_CHANNELS.abandon_thread, thread_id=thread_id, now=act.at_ms)
    tx.run(_CHANNELS.erase_thread, thread_id=thread_id)
    tx.run(_CHANNELS.erase_cards, thread_id=thread_id)
    tx.run(_ERASURES.empty_approvals_of_thread, thread_id=thread_id)
    tx.run(_ERASURES.empty_votes_of_thread, thread_id=thread_id)
    blobs.forget_thread(tx, thread_id)
    audit_content.shred(tx, act.org_id, thread_id)
    offset = tx.next_offset()
    tx.run(_SQL.bury, id=thread_id, head_offset=offset, at=act.at_ms)
    tx.emit(ThreadDeleted(act.org_id, thread_id, row["head_seq"], offset, act.at_ms))
