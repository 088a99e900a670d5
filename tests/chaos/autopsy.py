"""Looking into the store while no gateway lives: after every death in little, at the end in full.

The connection is read-only, so that recovering the database stays the next gateway's work.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from threadgate_client import Event

from storage.files import DATABASE_NAME

from .gateways import ACCOUNT
from .ledger import Ledger, Said
from .people import shown

PLACEHOLDER = "…"
GAVE_UP = {"failed"}
"""How a run may end without an answer here: after too many attempts. Nobody cancels, and the agent can go on."""


@contextmanager
def snapshot(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that changes nothing, not even the write-ahead log."""
    with closing(sqlite3.connect(f"file:{data_dir / DATABASE_NAME}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


class Autopsy:
    """What the deaths left behind."""

    def __init__(self, data_dir: Path, ledger: Ledger) -> None:
        self.doubtful: set[tuple[str, int]] = set()
        """Sends that were under way at a death: delivery and attempt."""
        self.lost: set[str] = set()
        self._data_dir = data_dir
        self._ledger = ledger
        self._settled: set[int] = set()

    def examine(self, confirmed_offset: int) -> None:
        """After a death: what had been promised must be there; note which sends nobody can know about."""
        if not (self._data_dir / DATABASE_NAME).exists():
            return
        with snapshot(self._data_dir) as store:
            for number, said in enumerate(self._ledger.said):
                if number not in self._settled and _is_promised(said, confirmed_offset):
                    self._settled.add(number)
                    if not _is_stored(store, said):
                        self.lost.add(said.text)
            rows = store.execute("SELECT id, attempt FROM outbox WHERE phase IN ('sending', 'unknown')")
            self.doubtful |= {(row["id"], row["attempt"]) for row in rows}


def is_quiet(data_dir: Path) -> bool:
    """Whether no run and no delivery waits for anything."""
    with snapshot(data_dir) as store:
        (runs,) = store.execute(
            "SELECT count(*) FROM runs WHERE state IN ('queued', 'running', 'waiting')"
        ).fetchone()
        (owed,) = store.execute(
            "SELECT count(*) FROM outbox WHERE phase NOT IN ('sent', 'failed')"
        ).fetchone()
    return not runs and not owed


@dataclass(slots=True)
class Verdict:
    """What came of everything. `lost`, `duplicated` and `wrong` must be empty."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    visible_endings: int = 0
    accepted: int = 0
    answered: int = 0
    shown: int = 0
    events: int = 0
    uncertain: int = 0
    orphans: int = 0

    @property
    def is_good(self) -> bool:
        """Whether the gateway kept its promises."""
        return not (self.lost or self.duplicated or self.wrong)


def judge(
    data_dir: Path,
    ledger: Ledger,
    autopsy: Autopsy,
    rooms: Mapping[int, list[str]],
    views: Mapping[str, list[Event]],
    confirmed_offset: int,
) -> Verdict:
    """The whole story: `rooms` is what the bot's messages show, `views` what the observer saw."""
    verdict = Verdict()
    verdict.wrong.extend(ledger.faults)
    with snapshot(data_dir) as store:
        _judge_messages(store, ledger, confirmed_offset, autopsy.lost, verdict)
        owed = _judge_answers(store, ledger, verdict)
        _judge_rooms(store, owed, rooms, verdict)
        _judge_doubts(store, autopsy, verdict)
        _judge_views(store, views, verdict)
        for kind, sql in _LEFTOVERS.items():
            (count,) = store.execute(sql).fetchone()
            if count:
                verdict.wrong.append(f"{count} {kind}")
    return verdict


_LEFTOVERS = {
    "runs without an end": "SELECT count(*) FROM runs WHERE state IN ('queued', 'running', 'waiting')",
    "deliveries without an end": "SELECT count(*) FROM outbox WHERE phase NOT IN ('sent', 'failed')",
    "deliveries failed": "SELECT count(*) FROM outbox WHERE phase = 'failed'",
}


def _is_promised(said: Said, confirmed_offset: int) -> bool:
    if said.update_id is not None:
        return said.update_id < confirmed_offset
    return said.message_id is not None


def _is_stored(store: sqlite3.Connection, said: Said) -> bool:
    if said.update_id is None:
        row = store.execute(
            "SELECT id FROM messages WHERE thread_id = ? AND seq = ?", (said.thread_id, said.seq)
        ).fetchone()
        return row is not None and row["id"] == said.message_id
    row = store.execute(
        "SELECT 1 FROM inbox WHERE org_id = 'org_default' AND channel = 'telegram' AND account = ? "
        "AND delivery_id = ? AND outcome = 'accepted'",
        (ACCOUNT, str(said.update_id)),
    ).fetchone()
    return row is not None


def _judge_messages(
    store: sqlite3.Connection, ledger: Ledger, offset: int, missed: set[str], verdict: Verdict
) -> None:
    """Everything promised is there once; nothing is there that nobody said."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in store.execute("SELECT id, text FROM messages WHERE role = 'user'"):
        ids[row["text"]].append(row["id"])
    for said in ledger.said:
        found = ids.pop(said.text, [])
        verdict.accepted += bool(found)
        if len(found) > 1:
            verdict.duplicated.append(f"stored {len(found)} times: {said.text}")
        elif not found and _is_promised(said, offset):
            verdict.lost.append(f"not stored: {said.text}")
        elif said.text in missed:
            verdict.lost.append(f"promised, but not there after a death: {said.text}")
        elif found and said.message_id not in (None, found[0]):
            verdict.wrong.append(f"stored as {found[0]}, answered as {said.message_id}: {said.text}")
    verdict.wrong.extend(f"stored, but nobody said it: {text}" for text in ids)


def _judge_answers(
    store: sqlite3.Connection, ledger: Ledger, verdict: Verdict
) -> dict[int, dict[str, list[str]]]:
    """Every message has its one answer, in the order of the messages. Returns what rooms must show."""
    expected = {said.text: said.answer for said in ledger.said}
    origins = {
        row["id"]: json.loads(row["origin"]) for row in store.execute("SELECT id, origin FROM threads")
    }
    answers: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in store.execute(
        "SELECT a.text, a.seq, r.message_id FROM messages a JOIN runs r ON r.id = a.run_id "
        "WHERE a.role = 'assistant'"
    ):
        answers[row["message_id"]].append(row)
    states: dict[str, set[str]] = defaultdict(set)
    for row in store.execute("SELECT message_id, state FROM runs"):
        states[row["message_id"]].add(row["state"])
    owed: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    last_seq: dict[str, int] = {}
    for row in store.execute("SELECT * FROM messages WHERE role = 'user' ORDER BY thread_id, seq"):
        found = answers[row["id"]]
        if not found and states[row["id"]] == GAVE_UP:
            verdict.visible_endings += 1
        elif not found:
            verdict.lost.append(f"no answer, {', '.join(states[row['id']])}: {row['text']}")
        elif len(found) > 1:
            verdict.duplicated.append(f"answered {len(found)} times: {row['text']}")
        elif found[0]["text"] != expected.get(row["text"]):
            verdict.wrong.append(f"answered with {found[0]['text'][-40:]!r}: {row['text']}")
        for answer in found:
            verdict.answered += 1
            if answer["seq"] < last_seq.get(row["thread_id"], 0):
                verdict.wrong.append(f"answered out of order: {row['text']}")
            last_seq[row["thread_id"]] = answer["seq"]
            if "room" in origins[row["thread_id"]]:
                room = int(origins[row["thread_id"]]["room"])
                owed[room][row["thread_id"]].extend(shown(answer["text"]))
    return owed


def _judge_rooms(
    store: sqlite3.Connection,
    owed: Mapping[int, Mapping[str, list[str]]],
    rooms: Mapping[int, list[str]],
    verdict: Verdict,
) -> None:
    """Rooms show every answer once, and besides only placeholders of sends nobody could know about."""
    uncertain: Counter[int] = Counter()
    for row in store.execute("SELECT data FROM events WHERE kind = 'delivery.uncertain'"):
        uncertain[int(json.loads(row["data"])["room"])] += 1
    for room, texts in rooms.items():
        seen = Counter(texts)
        orphans = seen.pop(PLACEHOLDER, 0)
        due = Counter(text for parts in owed.get(room, {}).values() for text in parts)
        verdict.shown += seen.total()
        verdict.orphans += orphans
        if orphans > uncertain[room]:
            verdict.wrong.append(f"room {room}: {orphans} placeholders, {uncertain[room]} counted uncertain")
        verdict.lost.extend(f"room {room} does not show {text[-40:]!r}" for text in due - seen)
        verdict.duplicated.extend(f"room {room} shows {text[-40:]!r} too often" for text in seen - due)
        if len(owed.get(room, {})) == 1 and due == seen:
            (in_order,) = owed[room].values()
            visible = [text for text in texts if text != PLACEHOLDER]
            misplaced = sum(a != b for a, b in zip(visible, in_order, strict=True))
            if misplaced:
                verdict.wrong.append(f"room {room} shows {misplaced} messages out of order")


def _judge_doubts(store: sqlite3.Connection, autopsy: Autopsy, verdict: Verdict) -> None:
    """Each send that a death interrupted is counted as uncertain, and nothing else is."""
    told = Counter(
        json.loads(row["data"])["delivery_id"]
        for row in store.execute("SELECT data FROM events WHERE kind = 'delivery.uncertain'")
    )
    doubtful = Counter(delivery_id for delivery_id, _ in autopsy.doubtful)
    verdict.uncertain = told.total()
    for delivery_id in (told - doubtful) + (doubtful - told):
        verdict.wrong.append(
            f"{delivery_id}: {doubtful[delivery_id]} sends interrupted, {told[delivery_id]} told uncertain"
        )


def _judge_views(store: sqlite3.Connection, views: Mapping[str, list[Event]], verdict: Verdict) -> None:
    """The observer saw the log: every event of every thread, in order, once, as it is stored."""
    log: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in store.execute("SELECT thread_id, seq, kind, run_id, data FROM events ORDER BY thread_id, seq"):
        log[row["thread_id"]].append(row)
    for thread_id, rows in log.items():
        verdict.events += len(rows)
        stored = [(row["seq"], row["kind"], row["run_id"], json.loads(row["data"])) for row in rows]
        seen = [(event.seq, event.kind, event.run_id, dict(event.data)) for event in views.get(thread_id, [])]
        if [row[0] for row in stored] != list(range(1, len(stored) + 1)):
            verdict.wrong.append(f"{thread_id}: the log itself has gaps")
        if seen != stored:
            verdict.wrong.append(
                f"{thread_id}: the observer saw {len(seen)} events, the log has {len(stored)}, or they differ"
            )
