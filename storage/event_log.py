"""Appending to a thread's log: numbers, rows, the thread's head and the signals, in one place.

Every durable fact of a thread goes through `append`; nothing else writes the events table. What reads the log
is in `threads.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from protocol import limits
from protocol.events import EventKind
from protocol.frames import event_json, to_json
from protocol.instants import to_instant
from protocol.records import Actor
from storage.engine import Row, Transaction
from storage.queries import Queries
from storage.values import GATEWAY, CommittedEvent

_SQL = Queries("threads")

_GATEWAY_JSON: Final = to_json(GATEWAY)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to append. `said` is given for what is said anew and feeds the search index.

    `preview` is what lists show from here on, where an earlier message changed and is still the newest.
    """

    kind: EventKind
    data: dict[str, Any]
    actor: Actor = GATEWAY
    run_id: str | None = None
    said: "Saying | None" = None
    preview: str | None = None


@dataclass(frozen=True, slots=True)
class Saying:
    """What can be searched of a message."""

    message_id: str
    role: str
    text: str
    files: str = ""
    """What lists show of a message without words."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a thread's log: where the next fact goes, and the preview lists show until a new message."""

    org_id: str
    thread_id: str
    head_seq: int
    preview: str

    @classmethod
    def of(cls, thread: Row) -> "Tail":
        """The end of the log of a row of `threads`."""
        return cls(thread["org_id"], thread["id"], thread["head_seq"], thread["head_preview"])


def append(tx: Transaction, tail: Tail, at_ms: int, facts: Sequence[Fact]) -> Tail:
    """Append `facts` (at least one) behind `tail`; return the new end."""
    org_id, thread_id = tail.org_id, tail.thread_id
    head_seq, preview, offset = tail.head_seq, tail.preview, 0
    told, actor = GATEWAY, _GATEWAY_JSON  # most facts of one transaction have the same actor: encoded once
    at = to_instant(at_ms)
    for fact in facts:
        head_seq += 1
        offset = tx.next_offset()
        preview = _preview_after(fact, preview)
        if fact.actor is not told:
            told, actor = fact.actor, to_json(fact.actor)
        data = orjson.dumps(fact.data)
        tx.run(
            _SQL.insert_event,
            log_offset=offset,
            org_id=org_id,
            thread_id=thread_id,
            seq=head_seq,
            kind=fact.kind.value,
            at=at_ms,
            actor=actor.decode(),
            run_id=fact.run_id,
            data=data.decode(),
        )
        if fact.said is not None:
            _index(tx, tail, head_seq, offset, at_ms, fact)
        params = event_json(
            thread_id=thread_id,
            seq=head_seq,
            kind=fact.kind.value,
            at=at,
            actor=actor,
            run_id=fact.run_id,
            data=data,
        )
        tx.emit(
            CommittedEvent(
                org_id, thread_id, head_seq, offset, fact.kind.value, at_ms, fact.run_id, preview, params
            )
        )
    tx.run(
        _SQL.advance,
        id=thread_id,
        head_seq=head_seq,
        head_offset=offset,
        head_kind=facts[-1].kind.value,
        head_at=at_ms,
        head_preview=preview,
        said=sum(fact.said is not None for fact in facts),
    )
    return Tail(org_id, thread_id, head_seq, preview)


def preview_of(text: str) -> str:
    """One line of a message, for lists."""
    return " ".join(text[: 4 * limits.PREVIEW_CHARS].split())[: limits.PREVIEW_CHARS]


def _preview_after(fact: Fact, preview: str) -> str:
    if fact.said is not None:
        return preview_of(fact.said.text or fact.said.files)
    return preview if fact.preview is None else fact.preview


def message_fact(
    message_id: str,
    role: str,
    content: list[dict[str, Any]],
    text: str,
    author: Actor,
    run_id: str | None = None,
) -> Fact:
    """The fact that a message was said; its data is a `protocol.events.MessageData`."""
    message: dict[str, Any] = {
        "id": message_id,
        "role": role,
        "content": content,
        "author": {"id": author.id, "kind": author.kind.value, "name": author.name},
    }
    if run_id is not None:
        message["run_id"] = run_id
    files = " ".join(f"[{part['name']}]" for part in content if part["type"] == "blob")
    said = Saying(message_id, role, text, files)
    return Fact(EventKind.MESSAGE_CREATED, {"message": message}, author, run_id, said)


def _index(tx: Transaction, tail: Tail, seq: int, offset: int, at_ms: int, fact: Fact) -> None:
    assert fact.said is not None
    tx.run(
        _SQL.insert_message,
        log_offset=offset,
        org_id=tail.org_id,
        id=fact.said.message_id,
        thread_id=tail.thread_id,
        seq=seq,
        role=fact.said.role,
        text=fact.said.text,
        run_id=fact.run_id,
        created_at=at_ms,
    )
    tx.run(_SQL.index_message, log_offset=offset, text=fact.said.text)
