"""The erasure of a person: what they wrote, who they are, and the traces of both; in steps that may be done again.

Threads in which nobody else wrote go as a whole. In the others their messages are taken back as if they had done it
themselves: events keep number, time and kind or become `redacted`, and their actor an opaque id. Lines of usage keep
their numbers, audit entries stay as they are (`audit_people.py`, `audit_content.py`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import orjson

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix, has_prefix
from protocol.privacy import DataEraseResult
from storage import amendments, audit_content, audit_log, audit_people, idempotency, legal_holds, run_ends
from storage.engine import Engine, Reader, Row, Transaction
from storage.privacy_values import Going, Subject, Traces
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.thread_erasure import erase_thread
from storage.values import Act, Ending, TokenRevoked

_SQL = Queries("erasures")
_THREADS = Queries("threads")
_RUNS = Queries("runs")
_RETENTION = Queries("retention")

NOBODY: Final = "erased"
"""The name of who was erased."""
SAID: Final = frozenset({"reason", "title", "text", "answer"})
"""Members of an event's data in which people say something, besides their messages."""
CLASSES: Final = (
    *("threads", "messages", "files", "events", "steps", "deliveries", "notices"),
    *("people", "pairings", "links", "users", "tokens", "audit_content"),
)
"""What is counted."""


class Erasures:
    """`storage.privacy_ports.ErasureStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def subject(self, org_id: str, person: str, erasure_id: str) -> Subject:
        return await self._engine.read(_subject, org_id, person, erasure_id)

    async def last_place(self) -> int:
        return await self._engine.read(_last_place)

    async def threads(self, org_id: str, subject: Subject, after: int, upto: int) -> list[str]:
        return await self._engine.read(_threads, org_id, subject, after, upto)

    async def traces(self, org_id: str, subject: Subject, threads: list[str]) -> Traces:
        return await self._engine.read(_traces, org_id, subject, threads)

    async def count(self, org_id: str, subject: Subject, traces: Traces) -> dict[str, int]:
        return await self._engine.read(_count, subject, traces)

    async def begin(self, act: Act, subject: Subject, reason: str) -> dict[str, Any] | None:
        return await self._engine.write(_begin, act, subject, reason)

    async def refused(self, act: Act, subject: Subject, hold_id: str) -> None:
        await self._engine.write(_refused, act, subject, hold_id)

    async def going(self) -> list[Going]:
        return await self._engine.read(_going)

    async def erase_thread(self, act: Act, subject: Subject, thread_id: str) -> bool:
        return await self._engine.write(_erase_thread, act, subject, thread_id)

    async def erase_in_thread(
        self, act: Act, subject: Subject, thread_id: str, cancel: Ending, limit: int
    ) -> bool:
        return await self._engine.write(_erase_in_thread, act, subject, thread_id, cancel, limit)

    async def erase_person(self, act: Act, subject: Subject) -> None:
        await self._engine.write(_erase_person, act, subject)

    async def erase_deliveries(self, act: Act, subject: Subject, after: int, limit: int) -> int | None:
        return await self._engine.write(_erase_deliveries, act, subject, after, limit)

    async def certify(self, act: Act, subject: Subject) -> tuple[int, dict[str, int], int]:
        return await self._engine.write(_certify, act, subject)

    async def finish(self, act: Act, subject: Subject, certificate: dict[str, Any]) -> RawJson:
        return await self._engine.write(_finish, act, subject, certificate)

    async def scrub(self, *, is_first: bool) -> bool:
        return await self._engine.write(_scrub, is_first)


# --- who it is about, and what there is ------------------------------------------------------------


def _subject(tx: Reader, org_id: str, person: str, erasure_id: str) -> Subject:
    if not has_prefix(person, IdPrefix.PRINCIPAL):
        return Subject(person, (person,), erasure_id)
    if tx.one(_SQL.user, org_id=org_id, id=person) is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such user", hint="user.list shows who there is")
    links = tx.all(_SQL.links_of_user, org_id=org_id, user_id=person)
    return Subject(person, (person, *(f"{row['channel']}:{row['sender_id']}" for row in links)), erasure_id)


def _ids(subject: Subject) -> str:
    return orjson.dumps(subject.ids).decode()


def _quoted(subject: Subject) -> str:
    return orjson.dumps([orjson.dumps(one).decode() for one in subject.ids]).decode()


def _last_place(tx: Reader) -> int:
    place: int = tx.value(_SQL.last_place)
    return place


def _threads(tx: Reader, org_id: str, subject: Subject, after: int, upto: int) -> list[str]:
    rows = tx.all(_SQL.threads_with, org_id=org_id, quoted=_quoted(subject), after=after, upto=upto)
    return list(dict.fromkeys(row["thread_id"] for row in rows))


def _traces(tx: Reader, org_id: str, subject: Subject, threads: Sequence[str]) -> Traces:
    hold_id = legal_holds.of_person(tx, org_id, subject.ids)
    alone: list[str] = []
    shared: list[str] = []
    for thread_id in threads:
        hold_id = hold_id or legal_holds.of_thread(tx, org_id, thread_id)
        if hold_id is not None:
            raise legal_holds.held_fault(hold_id)
        whose = {"thread_id": thread_id, "ids": _ids(subject)}
        is_theirs = (
            tx.one(_SQL.wrote_in, **whose) is not None and tx.one(_SQL.others_wrote_in, **whose) is None
        )
        (alone if is_theirs else shared).append(thread_id)
    return Traces(tuple(alone), tuple(shared))


def _count(tx: Reader, subject: Subject, traces: Traces) -> dict[str, int]:
    counts: Counter[str] = Counter(threads=len(traces.alone))
    for thread_id in traces.alone:
        counts["messages"] += tx.value(_SQL.count_all_messages, thread_id=thread_id)
        counts["files"] += tx.value(_SQL.count_all_files, thread_id=thread_id)
    for thread_id in traces.shared:
        whose = {"thread_id": thread_id, "ids": _ids(subject)}
        counts["messages"] += tx.value(_SQL.count_messages, **whose)
        counts["files"] += tx.value(_SQL.count_files, **whose)
    return dict(counts)


# --- the life of an erasure ------------------------------------------------------------------------


def _begin(tx: Transaction, act: Act, subject: Subject, reason: str) -> dict[str, Any] | None:
    answer = idempotency.answered(tx, act)
    if answer is not None:
        certificate: dict[str, Any] = orjson.loads(bytes(answer))["certificate"]
        return certificate
    if (hold_id := legal_holds.of_person(tx, act.org_id, subject.ids)) is not None:
        raise legal_holds.held_fault(hold_id)
    tx.run(
        _SQL.insert,
        id=subject.erasure_id,
        org_id=act.org_id,
        subject=subject.person,
        reason=reason,
        requested_by=to_text(act.actor.model_dump(mode="json")),
        counts=to_text(dict.fromkeys(CLASSES, 0)),
        now=act.at_ms,
    )
    audit_log.append(
        tx,
        act,
        "data.erase.begin",
        {"erasure_id": subject.erasure_id, "person": legal_holds.opaque(tx, act, subject.person)},
        content={"reason": reason},
        about=subject.erasure_id,
    )
    return None


def _refused(tx: Transaction, act: Act, subject: Subject, hold_id: str) -> None:
    person = legal_holds.opaque(tx, act, subject.person)
    legal_holds.refused(tx, act, "data.erase", {"person": person}, hold_id)


def _going(tx: Reader) -> list[Going]:
    return [
        Going(
            row["id"], row["org_id"], row["subject"], row["reason"], row["begun_at"], from_text(row["counts"])
        )
        for row in tx.all(_SQL.going)
    ]


def _add(tx: Transaction, subject: Subject, **more: int) -> None:
    """Count what was erased."""
    row = tx.one(_SQL.find, id=subject.erasure_id)
    assert row is not None, "an erasure is begun before anything is erased"
    counts = from_text(row["counts"])
    changed = {name: counts[name] + count for name, count in more.items()}
    tx.run(_SQL.count, id=subject.erasure_id, counts=to_text(counts | changed))


def _certify(tx: Transaction, act: Act, subject: Subject) -> tuple[int, dict[str, int], int]:
    row = tx.one(_SQL.find, id=subject.erasure_id)
    assert row is not None, "an erasure is begun before it is over"
    counts: dict[str, int] = from_text(row["counts"])
    seq = audit_log.append(
        tx, act, "data.erase", {"erasure_id": subject.erasure_id}, detail={"counts": counts}
    )
    return seq, counts, row["begun_at"]


def _finish(tx: Transaction, act: Act, subject: Subject, certificate: dict[str, Any]) -> RawJson:
    def effect() -> DataEraseResult:
        tx.run(
            _SQL.finish,
            id=subject.erasure_id,
            pseudonym=subject.pseudonym,
            certificate=to_text(certificate),
            now=act.at_ms,
        )
        return DataEraseResult(counts=certificate["counts"], certificate=certificate)

    return idempotency.once(tx, act, effect)


# --- threads ---------------------------------------------------------------------------------------


def _find(tx: Transaction, act: Act, thread_id: str) -> Row | None:
    """The thread, unless it is gone already. Raises Fault invalid_state (a legal hold)."""
    row = tx.one(_THREADS.find, org_id=act.org_id, id=thread_id)
    if row is None or row["status"] == "deleted":
        return None
    if (hold_id := legal_holds.of_thread(tx, act.org_id, thread_id)) is not None:
        raise legal_holds.held_fault(hold_id)
    tx.run(_SQL.secure)
    return row


def _erase_thread(tx: Transaction, act: Act, subject: Subject, thread_id: str) -> bool:
    row = _find(tx, act, thread_id)
    if row is None:
        return True
    if tx.one(_SQL.others_wrote_in, thread_id=thread_id, ids=_ids(subject)) is not None:
        return False
    _add(
        tx,
        subject,
        threads=1,
        messages=tx.value(_SQL.count_all_messages, thread_id=thread_id),
        files=tx.value(_SQL.count_all_files, thread_id=thread_id),
    )
    erase_thread(tx, act, row)
    _rename_in(tx, subject, thread_id)
    tx.run(_SQL.blank_origin, thread_id=thread_id)
    tx.run(_RETENTION.forget_runs, thread_id=thread_id)
    audit_log.append(tx, act, "thread.delete", {"thread_id": thread_id})
    return True


def _erase_in_thread(
    tx: Transaction, act: Act, subject: Subject, thread_id: str, cancel: Ending, limit: int
) -> bool:
    row = _find(tx, act, thread_id)
    if row is None:
        return False
    whose = {"thread_id": thread_id, "ids": _ids(subject)}
    if messages := tx.all(_SQL.live_messages, **whose, limit=limit):
        files: int = tx.value(_SQL.count_files, **whose)
        for message in messages:
            _take_back(tx, act, message, cancel)
        _add(tx, subject, messages=len(messages), files=files - tx.value(_SQL.count_files, **whose))
        return True
    traces = tx.all(_SQL.traces_in, thread_id=thread_id, quoted=_quoted(subject), limit=limit)
    for event in traces:
        _make_opaque(tx, subject, thread_id, event)
    _add(tx, subject, events=len(traces))
    if len(traces) == limit:
        return True
    # In the transaction of the last traces: without one, nobody would come back to this thread.
    journals = tx.run(_SQL.forget_journals, thread_id=thread_id)
    tx.run(_SQL.unlink_messages, thread_id=thread_id)
    _rename_in(tx, subject, thread_id)
    if _is_direct(subject, from_text(row["origin"])):
        tx.run(_THREADS.unlink, thread_id=thread_id)
        tx.run(_THREADS.forget_platform_messages, thread_id=thread_id)
        tx.run(_SQL.blank_origin, thread_id=thread_id)
    _add(tx, subject, steps=journals)
    return False


def _is_direct(subject: Subject, origin: dict[str, Any]) -> bool:
    """Whether the room is called like the person, as direct chats are on some networks."""
    return f"{origin.get('channel')}:{origin.get('room')}" in subject.ids


def _take_back(tx: Transaction, act: Act, message: Row, cancel: Ending) -> None:
    """As if its author had deleted it; a run that answers it at this moment does so no more."""
    for run in tx.all(_RUNS.unfinished, thread_id=message["thread_id"]):
        if run["message_id"] == message["id"]:
            run_ends.end(tx, act, run, cancel)
    amendments.take_back(tx, act, message, cancel)


def _make_opaque(tx: Transaction, subject: Subject, thread_id: str, event: Row) -> None:
    actor, data = from_text(event["actor"]), from_text(event["data"])
    is_theirs = actor["id"] in subject.ids
    if is_theirs and data.get("title"):
        tx.run(_SQL.untitle, thread_id=thread_id, title=data["title"])
    tx.run(
        _SQL.rewrite_event,
        log_offset=event["log_offset"],
        actor=to_text(_without(subject, actor)),
        data=to_text(_without(subject, data, is_theirs=is_theirs)),
    )


def _without(subject: Subject, value: Any, *, is_theirs: bool = False) -> Any:
    """A JSON value in which the person is nobody, and says nothing in what is theirs."""
    match value:
        case dict() if value.get("id") in subject.ids:
            return {**value, "id": subject.pseudonym, "name": NOBODY}
        case dict():
            is_theirs |= any(isinstance(one, dict) and one.get("id") in subject.ids for one in value.values())
            return {
                name: ""
                if is_theirs and name in SAID and one
                else _without(subject, one, is_theirs=is_theirs)
                for name, one in value.items()
            }
        case list():
            return [_without(subject, one, is_theirs=is_theirs) for one in value]
        case str() if value in subject.ids:
            return subject.pseudonym
    return value


def _rename_in(tx: Transaction, subject: Subject, thread_id: str) -> None:
    whose = {"thread_id": thread_id, "ids": _ids(subject)}
    named = {**whose, "pseudonym": subject.pseudonym}
    tx.run(_SQL.rename_assignee, **named)
    tx.run(_SQL.empty_approvals, **named)
    tx.run(_SQL.empty_answers, **named)
    tx.run(_SQL.forget_steers, **whose)
    tx.run(_SQL.empty_deliveries, **whose)
    tx.run(_SQL.rename_runs, **named)
    tx.run(_SQL.forget_room_of_runs, **whose)


# --- the person ------------------------------------------------------------------------------------


def _erase_person(tx: Transaction, act: Act, subject: Subject) -> None:
    tx.run(_SQL.secure)
    whose = {"org_id": act.org_id, "ids": _ids(subject)}
    for row in tx.all(_SQL.tokens_of, **whose):
        tx.emit(TokenRevoked(row["id"]))
    _add(
        tx,
        subject,
        people=tx.run(_SQL.forget_standing, **whose),
        pairings=tx.run(_SQL.forget_pairings, **whose),
        links=tx.run(_SQL.forget_links, **whose),
        tokens=tx.run(_SQL.revoke_tokens, **whose, now=act.at_ms),
        users=tx.run(_SQL.empty_user, **whose, now=act.at_ms),
    )
    _add(tx, subject, audit_content=_forget_in_audit(tx, act.org_id, subject))
    for statement in _RENAMED:
        tx.run(statement, **whose, pseudonym=subject.pseudonym)
    tx.run(_SQL.rename_usage, **whose, pseudonym=subject.pseudonym)
    for statement in (_SQL.forget_usage, _SQL.forget_counters, _SQL.forget_reservations):
        tx.run(statement, **whose)
    tx.run(_SQL.forget_link_codes, **whose)
    audit_log.append(tx, act, "data.erase.person", {"erasure_id": subject.erasure_id})


_RENAMED: Final = (
    _SQL.rename_deciders,
    _SQL.rename_requesters,
    _SQL.rename_voters,
    _SQL.rename_grants,
    _SQL.rename_revokers,
    _SQL.rename_releases,
    _SQL.rename_switches,
    _SQL.rename_devices,
    _SQL.rename_invocations,
    _SQL.rename_operators,
    _SQL.rename_holders,
    _SQL.rename_releasers,
    _SQL.rename_erasers,
    _SQL.rename_holds,
)
"""Where the person stands outside of threads: in what they decided, gave, switched, placed."""


def _forget_in_audit(tx: Transaction, org_id: str, subject: Subject) -> int:
    """Delete the keys of what entries say about the person, and the one place that says who they are in entries."""
    pieces = 0
    for actor_id in subject.ids:
        opaque = audit_people.known(tx, org_id, actor_id)
        pieces += audit_content.shred(tx, org_id, opaque or actor_id)
        if opaque is not None:
            audit_people.forget(tx, org_id, opaque)
    return pieces


def _erase_deliveries(tx: Transaction, act: Act, subject: Subject, after: int, limit: int) -> int | None:
    if after >= tx.value(_SQL.last_rows):
        return None
    tx.run(_SQL.secure)
    rows = {"org_id": act.org_id, "after": after, "upto": after + limit}
    ids = _ids(subject)
    _add(
        tx,
        subject,
        deliveries=tx.run(_SQL.forget_deliveries, **rows, ids=ids),
        notices=tx.run(_SQL.forget_notices, **rows, ids=ids, pseudonym=subject.pseudonym),
    )
    tx.run(_SQL.forget_stored_answers, **rows, quoted=_quoted(subject))
    return after + limit


def _scrub(tx: Transaction, is_first: bool) -> bool:
    tx.run(_SQL.secure)
    before: int = tx.value(_SQL.changes)
    tx.run(_SQL.merge_all if is_first else _SQL.merge_more)
    done = tx.value(_SQL.changes) - before < 2  # nothing was merged any more (FTS5 documentation, 6.8)
    if done and not is_first:
        tx.run(_SQL.at_ease)
    return is_first or not done
