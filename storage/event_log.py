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
from protocol.frames import RawJson, event_json, to_json
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Message
from storage.engine import Row, Transaction
from storage.ports import CommittedEvent
from storage.queries import Queries

_SQL = Queries("threads")

GATEWAY: Final = Actor(id="gateway", kind=ActorKind.SYSTEM, name="Threadgate")
"""The actor of what the gateway does on its own."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to append. `message` is given for message events and feeds the search index."""

    kind: EventKind
    data: dict[str, Any]
    actor: Actor = GATEWAY
    run_id: str | None = None
    message: Message | None = None


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
    for fact in facts:
        head_seq += 1
        offset = tx.next_offset()
        preview = preview if fact.message is None else preview_of(fact.message)
        actor, data = to_json(fact.actor), RawJson(orjson.dumps(fact.data))
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
        if fact.message is not None:
            _index(tx, org_id, thread_id, head_seq, offset, at_ms, fact.message)
        params = event_json(
            thread_id=thread_id,
            seq=head_seq,
            kind=fact.kind.value,
            at=to_instant(at_ms),
            actor=actor,
            run_id=fact.run_id,
            data=data,
        )
        tx.emit(
            CommittedEvent(thread_id, head_seq, offset, fact.kind.value, at_ms, fact.run_id, preview, params)
        )
    tx.run(
        _SQL.advance,
        id=thread_id,
        head_seq=head_seq,
        head_offset=offset,
        head_kind=facts[-1].kind.value,
        head_at=at_ms,
        head_preview=preview,
    )
    return Tail(org_id, thread_id, head_seq, preview)


def text_of(message: Message) -> str:
    """What can be searched of a message."""
    return "\n".join(part.text for part in message.content if part.type == "text")


def _index(
    tx: Transaction, org_id: str, thread_id: str, seq: int, offset: int, at_ms: int, message: Message
) -> None:
    text = text_of(message)
    tx.run(
        _SQL.insert_message,
        log_offset=offset,
        org_id=org_id,
        id=message.id,
        thread_id=thread_id,
        seq=seq,
        role=message.role,
        text=text,
        run_id=message.run_id,
        created_at=at_ms,
    )
    tx.run(_SQL.index_message, log_offset=offset, text=text)


def preview_of(message: Message) -> str:
    """One line of a message, for lists."""
    return " ".join(text_of(message)[: 4 * limits.PREVIEW_CHARS].split())[: limits.PREVIEW_CHARS]


def message_fact(message: Message) -> Fact:
    """The fact that a message was said, by its author."""
    data = {"message": message.model_dump(mode="json", exclude_none=True)}
    return Fact(EventKind.MESSAGE_CREATED, data, message.author, message.run_id, message)
