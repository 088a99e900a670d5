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
from tests.contract.networks import Network

from .ledger import Ledger, Said

PLACEHOLDERS = frozenset({"…", ""})
"""What stands for an answer that is not there yet; a stream that has just begun says nothing."""
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

    def __init__(self, data_dir: Path, ledger: Ledger, networks: Mapping[str, Network]) -> None:
        self.doubtful: set[tuple[str, str, int]] = set()
        """Sends that were under way at a death: network, delivery and attempt."""
        self.lost: set[str] = set()
        self._data_dir = data_dir
        self._ledger = ledger
        self._networks = networks
        self._unsettled: list[Said] = []
        self._seen = 0

    def examine(self) -> None:
        """After a death: what had been promised must be there; note which sends nobody can know about."""
        if not (self._data_dir / DATABASE_NAME).exists():
            return
        self._unsettled += self._ledger.said[self._seen :]
        self._seen = len(self._ledger.said)
        promised = self._promised()
        with snapshot(self._data_dir) as store:
            for said in promised:
                self._unsettled.remove(said)
                if not _is_stored(store, said):
                    self.lost.add(said.text)
            rows = store.execute(
                "SELECT channel, id, attempt FROM outbox WHERE phase IN ('sending', 'unknown')"
            )
            self.doubtful |= {(row["channel"], row["id"], row["attempt"]) for row in rows}

    def _promised(self) -> list[Said]:
        """What networks need not deliver again, and what clients got an answer for."""
        there = {id(said.there): said for said in self._unsettled if said.there is not None}
        found = [said for said in self._unsettled if said.message_id is not None]
        for kind, network in self._networks.items():
            sayings = [said.there for said in there.values() if said.kind == kind and said.there is not None]
            found += [there[id(one)] for one in network.acknowledged(sayings)]
        return found


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


def unheard(data_dir: Path, ledger: Ledger) -> list[Said]:
    """What people said and is not stored (yet)."""
    with snapshot(data_dir) as store:
        texts = {row["text"] for row in store.execute("SELECT text FROM messages WHERE role = 'user'")}
    return [said for said in ledger.said if said.there is not None and said.text not in texts]


Place = tuple[str, str, str | None]
"""A conversation in a chat network: its kind, room and topic."""


@dataclass(slots=True)
class Tally:
    """What came of one network."""

    said: int = 0
    shown: int = 0
    uncertain: int = 0
    orphans: int = 0


@dataclass(slots=True)
class Verdict:
    """What came of everything. `lost`, `duplicated` and `wrong` must be empty."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    networks: dict[str, Tally] = field(default_factory=dict)
    visible_endings: int = 0
    accepted: int = 0
    answered: int = 0
    events: int = 0

    @property
    def is_good(self) -> bool:
        """Whether the gateway kept its promises."""
        return not (self.lost or self.duplicated or self.wrong)


def judge(
    data_dir: Path,
    ledger: Ledger,
    autopsy: Autopsy,
    networks: Mapping[str, Network],
    rooms: Mapping[Place, list[str]],
    views: Mapping[str, list[Event]],
) -> Verdict:
    """The whole story: `rooms` is what the bot's messages show, `views` what the observer saw."""
    verdict = Verdict(networks={kind: Tally() for kind in networks})
    verdict.wrong.extend(ledger.faults)
    with snapshot(data_dir) as store:
        _judge_messages(store, ledger, autopsy.lost, verdict)
        owed = _judge_answers(store, ledger, networks, verdict)
        told = _judge_doubts(store, autopsy, networks, verdict)
        _judge_rooms(owed, rooms, told, verdict)
        judge_views(store, views, verdict)
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


def _is_stored(store: sqlite3.Connection, said: Said) -> bool:
    if said.there is not None:
        row = store.execute(
            "SELECT 1 FROM messages WHERE role = 'user' AND text = ?", (said.text,)
        ).fetchone()
        return row is not None
    row = store.execute(
        "SELECT id FROM messages WHERE thread_id = ? AND seq = ?", (said.thread_id, said.seq)
    ).fetchone()
    return row is not None and row["id"] == said.message_id


def _judge_messages(store: sqlite3.Connection, ledger: Ledger, missed: set[str], verdict: Verdict) -> None:
    """Everything people said, and everything promised to clients, is there once; nothing that nobody said is."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in store.execute("SELECT id, text FROM messages WHERE role = 'user'"):
        ids[row["text"]].append(row["id"])
    for said in ledger.said:
        found = ids.pop(said.text, [])
        verdict.accepted += bool(found)
        if said.there is not None:
            verdict.networks[said.kind].said += 1
        where = said.kind or "a client"
        if len(found) > 1:
            verdict.duplicated.append(f"{where}: stored {len(found)} times: {said.text}")
        elif not found and (said.there is not None or said.message_id is not None):
            verdict.lost.append(f"{where}: not stored: {said.text}")
        elif said.text in missed:
            verdict.lost.append(f"{where}: promised, but not there after a death: {said.text}")
        elif found and said.message_id not in (None, found[0]):
            verdict.wrong.append(f"stored as {found[0]}, answered as {said.message_id}: {said.text}")
    verdict.wrong.extend(f"stored, but nobody said it: {text}" for text in ids)


def _judge_answers(
    store: sqlite3.Connection, ledger: Ledger, networks: Mapping[str, Network], verdict: Verdict
) -> dict[Place, list[str]]:
    """Every message has its one answer, in the order of the messages. Returns what rooms must show, in order."""
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
    owed: dict[Place, list[str]] = defaultdict(list)
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
            origin = origins[row["thread_id"]]
            if "room" in origin:
                place = (origin["channel"], origin["room"], origin.get("topic"))
                owed[place].extend(networks[origin["channel"]].parts(answer["text"]))
    return owed


def _judge_rooms(
    owed: Mapping[Place, list[str]],
    rooms: Mapping[Place, list[str]],
    told: Mapping[str, Counter[str]],
    verdict: Verdict,
) -> None:
    """Rooms show every answer once and in order, and besides only placeholders of sends nobody could know about."""
    orphans: Counter[tuple[str, str]] = Counter()
    for place in {*owed, *rooms}:
        kind, room, _ = place
        seen = [text for text in rooms.get(place, []) if text not in PLACEHOLDERS]
        orphans[kind, room] += len(rooms.get(place, [])) - len(seen)
        verdict.networks[kind].shown += len(seen)
        due, there = Counter(owed.get(place, [])), Counter(seen)
        verdict.lost.extend(f"{place} does not show {text[-40:]!r}" for text in due - there)
        verdict.duplicated.extend(f"{place} shows {text[-40:]!r} too often" for text in there - due)
        if due == there:
            misplaced = sum(a != b for a, b in zip(seen, owed.get(place, []), strict=True))
            if misplaced:
                verdict.wrong.append(f"{place} shows {misplaced} messages out of order")
    for (kind, room), count in orphans.items():
        verdict.networks[kind].orphans += count
        if count > told[kind][room]:
            verdict.wrong.append(f"{kind} {room}: {count} placeholders, {told[kind][room]} counted uncertain")


def _judge_doubts(
    store: sqlite3.Connection, autopsy: Autopsy, networks: Mapping[str, Network], verdict: Verdict
) -> dict[str, Counter[str]]:
    """Where a network recognises nothing, each send that a death interrupted is counted as uncertain; nothing else
    is. Returns how often each room was told so, by network."""
    told: dict[str, Counter[str]] = {kind: Counter() for kind in networks}
    deliveries: Counter[str] = Counter()
    for row in store.execute("SELECT data FROM events WHERE kind = 'delivery.uncertain'"):
        data = json.loads(row["data"])
        told[data["channel"]][data["room"]] += 1
        deliveries[data["delivery_id"]] += 1
    expected: Counter[str] = Counter()
    for kind, delivery_id, _ in autopsy.doubtful:
        expected[delivery_id] += not networks[kind].facts.recognises_repeats
    for kind, rooms in told.items():
        verdict.networks[kind].uncertain = rooms.total()
    for delivery_id in (deliveries - expected) + (expected - deliveries):
        verdict.wrong.append(
            f"{delivery_id}: {expected[delivery_id]} sends interrupted, {deliveries[delivery_id]} told uncertain"
        )
    return told


def judge_views(store: sqlite3.Connection, views: Mapping[str, list[Event]], verdict: Verdict) -> None:
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
