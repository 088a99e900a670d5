"""Amendments: a person edits or deletes, on their network, a message that became one of ours.

An edit is a new fact with the whole new message; what was said before stays in the log, as it does for those
who read it. A deletion is a new fact too, and takes the words back: the events that held them become
`redacted`, with their number, time and actor, and neither history nor search nor the agent sees them again.
"""

from typing import Any

from protocol.events import EventKind
from storage import audit_log, blobs, legal_holds, run_ends, steers
from storage.channel_values import Amendment
from storage.engine import Row, Transaction
from storage.event_log import Fact, Tail, append, preview_of
from storage.queries import Queries
from storage.texts import from_text
from storage.thread_rows import find as find_thread
from storage.values import Act, Ending

_SQL = Queries("threads")
_RUNS = Queries("runs")


def amend(tx: Transaction, act: Act, place: dict[str, str], ref: str, change: Amendment) -> Row | str:
    """Apply a change to the message that stands as `ref` in a room (`place`: its four columns).

    Returns the row of the message, or why nothing was changed.
    """
    known = tx.one(_SQL.said_on_platform, **place, ref=ref)
    if known is None:
        return "no message of ours"
    message = tx.one(_SQL.find_message, thread_id=known["thread_id"], seq=known["message_seq"])
    assert message is not None, "a platform message is forgotten with its thread"
    if message["deleted_at"] is not None:
        return "deleted before"
    if change.text is None:
        assert change.cancel is not None, "a deletion says how queued runs end"
        if legal_holds.of_thread(tx, act.org_id, message["thread_id"]) is not None:
            return "a legal hold keeps it"
        take_back(tx, act, message, change.cancel)
        audit_log.append(tx, act, "message.delete", _subject(message))
        return message
    return _edit(tx, act, message, change, change.text) or message


def _edit(tx: Transaction, act: Act, message: Row, change: Amendment, text: str) -> str | None:
    original = tx.one(_SQL.event_at, thread_id=message["thread_id"], seq=message["seq"])
    assert original is not None, "a message has its event"
    said: dict[str, Any] = from_text(original["data"])["message"]
    if said["author"]["id"] != change.author_id:
        return "not its author"
    if message["text"] == text:
        return "nothing changed"
    if (message["edited_at"] or 0) > change.occurred_at_ms:
        return "older than the last edit"
    said["content"] = [{"type": "text", "text": text}, *(p for p in said["content"] if p["type"] != "text")]
    _rewrite(tx, message, text, edited_at=change.occurred_at_ms)
    _tell(tx, act, message, Fact(EventKind.MESSAGE_UPDATED, {"message": said}, act.actor))
    audit_log.append(tx, act, "message.edit", _subject(message))
    return None


def take_back(tx: Transaction, act: Act, message: Row, cancel: Ending) -> None:
    """Take the words back, with all that came of them but answers. No audit entry."""
    thread_id, seq = message["thread_id"], message["seq"]
    for run in tx.all(_RUNS.queued_for_message, thread_id=thread_id, message_id=message["id"]):
        run_ends.end(tx, act, run, cancel)
    steers.forget(tx, message["id"])
    tx.run(_SQL.redact_event, thread_id=thread_id, seq=seq)
    if message["edited_at"] is not None:
        for edit in tx.all(_SQL.edits_of_message, thread_id=thread_id, seq=seq, message_id=message["id"]):
            tx.run(_SQL.redact_event, thread_id=thread_id, seq=edit["seq"])
    blobs.forget_message(tx, message["id"])
    _rewrite(tx, message, "", edited_at=message["edited_at"], deleted_at=act.at_ms)
    _untitle(tx, act, message)
    _tell(tx, act, message, Fact(EventKind.MESSAGE_DELETED, {"message_id": message["id"]}, act.actor))


def _rewrite(
    tx: Transaction, message: Row, text: str, *, edited_at: int | None, deleted_at: int | None = None
) -> None:
    """The projection: what agents read and search finds."""
    offset = message["log_offset"]
    tx.run(_SQL.unindex_message, log_offset=offset, text=message["text"])
    tx.run(_SQL.rewrite_message, log_offset=offset, text=text, edited_at=edited_at, deleted_at=deleted_at)
    tx.run(_SQL.index_message, log_offset=offset, text=text)


def _tell(tx: Transaction, act: Act, message: Row, fact: Fact) -> None:
    """Append the fact; lists show the newest message as it is now."""
    last = tx.one(_SQL.last_message, thread_id=message["thread_id"])
    preview = preview_of(last["text"]) if last is not None else ""
    thread = find_thread(tx, act.org_id, message["thread_id"])
    append(
        tx, Tail.of(thread), act.at_ms, [Fact(fact.kind, fact.data, fact.actor, fact.run_id, preview=preview)]
    )


def _untitle(tx: Transaction, act: Act, message: Row) -> None:
    """A title that was taken from the message goes with it; the next message names the thread."""
    thread_id, seq = message["thread_id"], message["seq"] - 1
    named = tx.one(_SQL.event_at, thread_id=thread_id, seq=seq)
    if named is None or named["kind"] not in (EventKind.THREAD_CREATED, EventKind.THREAD_UPDATED):
        return
    title = from_text(named["data"]).get("title", "")
    words = title.rstrip("…")
    if not words or words not in " ".join(message["text"].split()):
        return
    tx.run(_SQL.untitle_event, thread_id=thread_id, seq=seq)
    thread = find_thread(tx, act.org_id, thread_id)
    if thread["title"] == title:
        tx.run(_SQL.change, id=thread_id, title="", agent_id=thread["agent_id"], status=thread["status"])
        append(tx, Tail.of(thread), act.at_ms, [Fact(EventKind.THREAD_UPDATED, {"title": ""}, act.actor)])


def _subject(message: Row) -> dict[str, str]:
    return {"thread_id": message["thread_id"], "message_id": message["id"]}
