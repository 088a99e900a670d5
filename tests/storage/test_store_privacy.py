"""In the store: what is over its time, what a legal hold keeps, what an erasure leaves."""

import random
import re
from pathlib import Path

import orjson
import pytest
from store_stage import OTHER_ORG, ROOM, USAGE, Scene, cancelled, refused

from protocol.errors import ErrorKind
from protocol.records import Actor, ActorKind
from storage import erasure_certificate
from storage.audit_notes import Checkpoint, NoteError, Signer, Verifier
from storage.audit_proof import proof_text
from storage.audit_tree import leaf_hash
from storage.channel_values import Amendment
from storage.engine import Reader, Transaction
from storage.privacy_values import RetentionClass, Subject
from storage.store import verify_audit
from storage.values import DEFAULT_ORG, Act, FilesDropped, ThreadDeleted

EVE = Actor(id="telegram:7", kind=ActorKind.PERSON, name="Eve Adamczyk")
BOB = Actor(id="telegram:8", kind=ActorKind.PERSON, name="Bob")
EVER = 10**15
WORDS = "quokka"


def by(scene: Scene, actor: Actor) -> Act:
    scene.now_ms += 1
    return Act(DEFAULT_ORG, actor, "telegram:main", scene.now_ms)


async def said_by(scene: Scene, actor: Actor, text: str, *, key: str = "chat:42") -> str:
    """A message of somebody in a room; its thread."""
    sender = actor.id.removeprefix("telegram:")
    await scene.receive(scene.delivery(text, key=key, act=by(scene, actor), sender_id=sender))
    threads, _ = await scene.store.threads.page(DEFAULT_ORG, "all", 1, None)
    return threads[0].id


async def answered(scene: Scene, thread_id: str) -> None:
    await scene.answer(await scene.claim(thread_id), "an answer", usage=USAGE)


def text_of(dump: dict[str, list[tuple]], *without: str) -> str:
    rows = [row for name, table in dump.items() if name not in without for row in table]
    return "\n".join(str(value) for row in rows for value in row)


async def subject_of(scene: Scene, person: str = EVE.id, erasure_id: str = "ers_1") -> Subject:
    return await scene.store.erasures.subject(DEFAULT_ORG, person, erasure_id)


async def erase(scene: Scene, person: str = EVE.id, erasure_id: str = "ers_1") -> dict[str, int]:
    """All steps, as the service takes them."""
    erasures, subject = scene.store.erasures, await subject_of(scene, person, erasure_id)
    threads = await erasures.threads(DEFAULT_ORG, subject, 0, await erasures.last_place())
    traces = await erasures.traces(DEFAULT_ORG, subject, threads)
    await erasures.begin(scene.act("root"), subject, "they asked")
    for thread_id in traces.alone:
        await erasures.erase_thread(scene.act("root"), subject, thread_id)
    for thread_id in traces.shared:
        while await erasures.erase_in_thread(scene.act("root"), subject, thread_id, cancelled("erased"), 2):
            pass
    place: int | None = 0
    while place is not None:
        place = await erasures.erase_deliveries(scene.act("root"), subject, place, 3)
    await erasures.erase_person(scene.act("root"), subject)
    seq, counts, _ = await erasures.certify(scene.act("root"), subject)
    is_first = True
    while await erasures.scrub(is_first=is_first):
        is_first = False
    await erasures.finish(scene.act("root"), subject, {"counts": counts, "audit_seq": seq})
    await scene.store.engine.truncate_log()
    return counts


# --- erasure ---------------------------------------------------------------------------------------


async def shared_thread(scene: Scene) -> str:
    """A room in which two people talk with the agent, and Eve leaves traces of every sort."""
    thread_id = await said_by(scene, EVE, f"{WORDS} one")
    await answered(scene, thread_id)
    await said_by(scene, BOB, "hello from Bob")
    run = await scene.claim(thread_id)
    approval = scene.approval()
    await scene.wait(run, [approval], [scene.question("Who?")])
    await scene.store.approvals.decide(
        by(scene, EVE), scene.decide(approval.id, "approve", f"{WORDS} says yes")
    )
    await said_by(scene, EVE, f"{WORDS} is my answer")
    resumed = await scene.resume(run)
    assert resumed is not None
    await scene.answer(resumed, "an answer for Bob")
    await scene.store.handovers.assign(by(scene, EVE), thread_id, EVE, None, None)
    return thread_id


async def test_everything_that_says_who_they_are_is_gone_and_the_others_words_are_not(scene: Scene) -> None:
    thread_id = await shared_thread(scene)
    await scene.stranger(EVE.id.removeprefix("telegram:"))
    seqs = [event.seq for event in await scene.log(thread_id)]
    await erase(scene)
    left = text_of(await scene.dump())
    for trace in (EVE.id, EVE.name, WORDS):
        assert trace not in left
    log = await scene.log(thread_id)
    assert [event.seq for event in log][: len(seqs)] == seqs
    assert "hello from Bob" in left and BOB.id in left
    assert {event.actor.id for event in log} >= {BOB.id, "erased:ers_1"}
    matches, _ = await scene.store.threads.search(DEFAULT_ORG, WORDS, None, 10, None)
    assert matches == []


async def test_their_words_are_not_in_the_bytes_of_the_database_either(scene: Scene) -> None:
    await shared_thread(scene)
    for number in range(40):
        await said_by(scene, EVE, f"{WORDS} {number} " + "z" * 300)
    await erase(scene)
    found = bytes_in(scene.directory)
    assert WORDS.encode() not in found and EVE.name.encode() not in found


def bytes_in(directory: Path) -> bytes:
    """The database and its log, as they are on the disk."""
    return b"".join(path.read_bytes() for path in directory.glob("threadgate.db*"))


async def test_the_audit_log_holds_and_content_about_them_opens_no_more(scene: Scene, tmp_path: Path) -> None:
    await shared_thread(scene)
    act = Act(DEFAULT_ORG, EVE, "telegram:main", scene.now_ms, address="203.0.113.7")
    await scene.store.audit.record(act, "login", {}, "failure", {}, content={"said": WORDS})
    entries, _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 500)
    counts = await erase(scene)
    assert counts["audit_content"] >= 2, "the content and the address"
    again, _ = await scene.store.audit.page(DEFAULT_ORG, 0, None, 500)
    assert [entry.body for entry in again[: len(entries)]] == [entry.body for entry in entries]
    revealed = await scene.store.audit.reveal(scene.act(), [entries[-1].seq])
    assert entries[-1].seq not in revealed
    assert not [entry for entry in again if entry.actor.name == EVE.name]
    await scene.store.close()
    _, broken = verify_audit(scene.directory)
    assert broken is None


async def test_a_thread_of_theirs_alone_goes_with_its_files(scene: Scene) -> None:
    said = await scene.say_with(scene.arriving(), text=WORDS)
    await scene.store.engine.write(_written_by, said.thread_id, EVE)
    (blob,) = await scene.store.blobs.due(scene.now_ms, 10)
    await scene.store.blobs.settle(blob.id, "image/jpeg", await scene.draft(b"photo"), scene.now_ms)
    counts = await erase(scene)
    assert (counts["threads"], counts["messages"], counts["files"]) == (1, 1, 1)
    assert [signal.thread_id for signal in scene.told(ThreadDeleted)] == [said.thread_id]
    (dropped,) = scene.told(FilesDropped)
    await scene.store.blobs.discard(dropped.hashes)
    assert scene.on_disk() == []
    (origin,) = await scene.rows("SELECT origin FROM threads")
    assert ROOM.room not in origin[0]


def _written_by(tx: Transaction, thread_id: str, actor: Actor) -> None:
    tx.run(
        "UPDATE events SET actor = :actor WHERE thread_id = :thread_id AND kind = 'message.created'",
        actor=actor.model_dump_json(),
        thread_id=thread_id,
    )


async def test_a_thread_in_which_somebody_wrote_meanwhile_is_not_deleted_as_a_whole(scene: Scene) -> None:
    thread_id = await said_by(scene, EVE, WORDS)
    subject = await subject_of(scene)
    traces = await scene.store.erasures.traces(DEFAULT_ORG, subject, [thread_id])
    assert traces.alone == (thread_id,)
    await scene.store.erasures.begin(scene.act("root"), subject, "they asked")
    await said_by(scene, BOB, "wombat")
    assert not await scene.store.erasures.erase_thread(scene.act("root"), subject, thread_id)
    assert "wombat" in text_of(await scene.dump())


async def test_a_user_goes_with_their_chat_links_and_tokens(scene: Scene) -> None:
    def link(tx: Transaction) -> None:
        tx.run(
            "INSERT INTO principals (id, org_id, kind, name, role, created_at) "
            "VALUES (:id, 'org_default', 'user', 'Eve Adamczyk', 'developer', 0)",
            id=user_id,
        )
        tx.run(
            "INSERT INTO chat_links VALUES ('org_default', 'telegram', 'main', '7', :id, 'Eve Adamczyk', 0)",
            id=user_id,
        )
        tx.run(
            "INSERT INTO tokens (id, org_id, principal_id, name, role, secret_hash, created_at) "
            "VALUES ('tok_1', 'org_default', :id, 'Eve Adamczyk laptop', 'developer', 'hash', 0)",
            id=user_id,
        )

    user_id = scene.new_id("prn")
    await scene.store.engine.write(link)
    assert (await subject_of(scene, user_id)).ids == (user_id, EVE.id)
    await shared_thread(scene)
    counts = await erase(scene, user_id)
    assert (counts["users"], counts["links"], counts["tokens"]) == (1, 1, 1)
    left = text_of(await scene.dump())
    assert EVE.name not in left and EVE.id not in left
    assert [row for row in await scene.rows("SELECT revoked_at FROM tokens") if row[0] is None] == []


ACTORS = {
    "approvals": ("decided_by", "requested_by"),
    "approval_votes": ("actor", "principal_id"),
    "approval_grants": ("granted_by", "revoked_by"),
    "agent_releases": ("approved_by",),
    "agent_switches": ("by_actor",),
    "budget_counters": ("counted",),
    "budget_reservations": ("counted",),
    "devices": ("approved_by",),
    "device_invocations": ("requested_by",),
    "legal_holds": ("placed_by", "released_by"),
    "people": ("decided_by",),
    "usage_daily": ("person",),
}
"""Columns that hold an actor, or the id of one."""


async def test_what_they_did_as_an_operator_was_done_by_nobody(scene: Scene) -> None:
    """A row of theirs in every table that names who did something; what is not filled in is empty text."""

    def fill(tx: Transaction) -> None:
        tx.run("PRAGMA defer_foreign_keys = ON")
        for table, columns in ACTORS.items():
            known = tx.all(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')")
            row = {one["name"]: 0 if one["type"] == "INTEGER" else "{}" for one in known if one["notnull"]}
            row |= {"org_id": DEFAULT_ORG, **dict.fromkeys(columns, EVE.id)}
            for column in columns:
                if column.endswith(("_by", "actor")) and (table, column) not in PLAIN:
                    row[column] = EVE.model_dump_json()
            if table == "approvals":
                row["id"] = "{}"
            names = ", ".join(row)
            tx.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})", **row)

    await scene.store.engine.write(fill)
    counts = await erase(scene)
    assert counts["threads"] == 0
    dump = await scene.dump()
    left = text_of(dump)
    assert EVE.id not in left and EVE.name not in left
    for table in ACTORS.keys() - {"budget_counters", "budget_reservations"}:
        assert "erased:ers_1" in text_of({table: dump[table]}), table


PLAIN = {
    ("approvals", "requested_by"),
    ("devices", "approved_by"),
    ("device_invocations", "requested_by"),
    ("people", "decided_by"),
}
"""Those that hold an id alone."""


async def test_usage_keeps_its_numbers(scene: Scene) -> None:
    thread_id = await said_by(scene, EVE, WORDS)
    await answered(scene, thread_id)
    before = await scene.rows("SELECT input_tokens, output_tokens, cost_microusd FROM usage")
    await erase(scene)
    assert (
        before and await scene.rows("SELECT input_tokens, output_tokens, cost_microusd FROM usage") == before
    )


async def test_nobody_of_another_organization_is_touched(scene: Scene) -> None:
    await said_by(scene, EVE, WORDS)
    subject = await scene.store.erasures.subject(OTHER_ORG, EVE.id, "ers_2")
    last = await scene.store.erasures.last_place()
    assert await scene.store.erasures.threads(OTHER_ORG, subject, 0, last) == []
    before = await scene.dump()
    await scene.store.erasures.begin(scene.act(org_id=OTHER_ORG), subject, "x")
    await scene.store.erasures.erase_person(scene.act(org_id=OTHER_ORG), subject)
    await scene.store.erasures.erase_deliveries(scene.act(org_id=OTHER_ORG), subject, 0, 1000)
    after = await scene.dump()
    for table in ("events", "messages", "inbox", "outbox", "people", "threads", "audit_people"):
        assert after[table] == before[table] or table == "audit_people"
    assert before["audit_people"][0] in after["audit_people"]


# --- holds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thread", "person"])
async def test_what_is_held_nobody_deletes(scene: Scene, kind) -> None:
    thread_id = await said_by(scene, EVE, WORDS)
    await answered(scene, thread_id)
    about = thread_id if kind == "thread" else EVE.id
    await scene.store.holds.place(scene.act(), "hld_1", kind, about, "case 12")
    fault = await refused(scene.store.threads.delete(scene.act(), thread_id), ErrorKind.INVALID_STATE)
    assert "hld_1" in fault.message
    subject = await subject_of(scene)
    erasures = scene.store.erasures
    await refused(erasures.traces(DEFAULT_ORG, subject, [thread_id]), ErrorKind.INVALID_STATE)
    await refused(erasures.erase_thread(scene.act(), subject, thread_id), ErrorKind.INVALID_STATE)
    for what in ("messages", "journal", "usage"):
        looked = await scene.store.retention.look(DEFAULT_ORG, what, EVER, 0, 10)
        assert (looked.due, looked.held) == ((), 1)
        assert await scene.store.retention.delete(scene.act(), what, EVER, [thread_id]) == 0
    assert WORDS in text_of(await scene.dump())
    await scene.store.holds.release(scene.act(), kind, about, "closed")
    await scene.store.threads.delete(scene.act(), thread_id)


async def test_what_somebody_takes_back_in_their_chat_network_is_kept_while_it_is_held(scene: Scene) -> None:
    said = scene.delivery(WORDS, act=by(scene, EVE))
    await scene.receive(said)
    await scene.store.holds.place(scene.act(), "hld_1", "person", EVE.id, "case 12")
    change = Amendment(None, scene.now_ms, cancel=cancelled("taken back"))
    await scene.receive(
        scene.delivery("", key=None, ref=said.ref, act=by(scene, EVE), message=None, amendment=change)
    )
    assert WORDS in text_of(await scene.dump(), "messages_text_data")
    assert ("a legal hold keeps it",) in await scene.rows("SELECT reason FROM inbox")


async def test_a_hold_on_a_user_covers_who_they_are_in_chats(scene: Scene) -> None:
    def link(tx: Transaction) -> None:
        tx.run(
            "INSERT INTO principals (id, org_id, kind, name, role, created_at) "
            "VALUES ('prn_eve', 'org_default', 'user', 'Eve', 'developer', 0)"
        )
        tx.run("INSERT INTO chat_links VALUES ('org_default', 'telegram', 'main', '7', 'prn_eve', 'Eve', 0)")

    thread_id = await said_by(scene, EVE, WORDS)
    await scene.store.engine.write(link)
    await scene.store.holds.place(scene.act(), "hld_1", "person", "prn_eve", "case 12")
    await refused(scene.store.threads.delete(scene.act(), thread_id), ErrorKind.INVALID_STATE)
    await refused(
        scene.store.erasures.begin(scene.act(), await subject_of(scene), "x"), ErrorKind.INVALID_STATE
    )


async def test_a_hold_is_placed_once_and_released_once(scene: Scene) -> None:
    holds = scene.store.holds
    await holds.place(scene.act(), "hld_1", "person", EVE.id, "case 12")
    await holds.place(scene.act(), "hld_2", "person", EVE.id, "again")
    assert [hold.id for hold in await holds.open(DEFAULT_ORG)] == ["hld_1"]
    assert await holds.open(OTHER_ORG) == []
    await holds.release(scene.act(), "person", EVE.id, "closed")
    await refused(holds.release(scene.act(), "person", EVE.id, "closed"), ErrorKind.NOT_FOUND)
    await refused(holds.place(scene.act(), "hld_3", "thread", "thr_none", "x"), ErrorKind.NOT_FOUND)
    assert [action for action in await scene.audited() if "hold" in action] == ["hold.place", "hold.release"]


# --- retention -------------------------------------------------------------------------------------


async def test_a_thread_with_work_to_do_is_never_over_its_time(scene: Scene) -> None:
    await said_by(scene, EVE, WORDS)
    assert (await scene.store.retention.look(DEFAULT_ORG, "messages", EVER, 0, 10)).due == ()


async def test_a_thread_that_changed_meanwhile_is_kept(scene: Scene) -> None:
    thread_id = await said_by(scene, EVE, WORDS)
    await answered(scene, thread_id)
    before_ms = scene.now_ms + 1
    (key,) = (await scene.store.retention.look(DEFAULT_ORG, "messages", before_ms, 0, 10)).due
    await scene.store.threads.update(scene.act(), thread_id, "Renamed", None)
    assert await scene.store.retention.delete(scene.act(), "messages", before_ms, [key]) == 0


@pytest.mark.parametrize("what", ["files", "journal", "usage", "audit_content"])
async def test_a_class_goes_and_the_conversation_stays(scene: Scene, what: RetentionClass) -> None:
    said = await scene.say_with(scene.arriving(), text=WORDS)
    (blob,) = await scene.store.blobs.due(scene.now_ms, 10)
    await scene.store.blobs.settle(blob.id, "image/jpeg", await scene.draft(b"photo"), scene.now_ms)
    await answered(scene, said.thread_id)
    await scene.store.audit.record(scene.act(), "login", {}, "failure", {}, content={"said": "hello"})
    batch = await scene.store.retention.look(DEFAULT_ORG, what, scene.now_ms + 1, 0, 10)
    assert len(batch.due) >= 1 and batch.place is None
    assert await scene.store.retention.delete(scene.act(), what, scene.now_ms + 1, batch.due) == len(
        batch.due
    )
    again = await scene.store.retention.look(DEFAULT_ORG, what, batch_end(scene), 0, 10)
    assert not set(again.due) & set(batch.due)
    assert WORDS in text_of(await scene.dump())
    if what == "files":
        kept = await scene.store.blobs.get(DEFAULT_ORG, blob.id)
        assert (kept.state, kept.name, kept.sha256) == ("failed", "photo.jpg", None)


def batch_end(scene: Scene) -> int:
    return scene.now_ms + 1


async def test_looks_go_on_where_the_last_one_ended(scene: Scene) -> None:
    for number in range(5):
        thread_id = await said_by(scene, EVE, WORDS, key=f"chat:{number}")
        await answered(scene, thread_id)
    await scene.store.holds.place(scene.act(), "hld_1", "thread", thread_id, "case")
    place, due, held = 0, [], 0
    while True:
        batch = await scene.store.retention.look(DEFAULT_ORG, "messages", EVER, place, 2)
        due, held = [*due, *batch.due], held + batch.held
        if batch.place is None:
            break
        place = batch.place
    assert len(set(due)) == 4 and held == 1
    assert (await scene.store.retention.look(OTHER_ORG, "messages", EVER, 0, 2)).due == ()
    assert await scene.store.retention.delete(scene.act(org_id=OTHER_ORG), "messages", EVER, due) == 0


async def test_the_write_ahead_log_is_emptied_when_nobody_reads_it(scene: Scene) -> None:
    await said_by(scene, EVE, WORDS)

    def size(tx: Reader) -> int:
        return (scene.store.engine.path.parent / "threadgate.db-wal").stat().st_size

    assert await scene.store.engine.read(size) > 0
    await scene.store.engine.truncate_log()
    assert await scene.store.engine.read(size) == 0


# --- certificates ----------------------------------------------------------------------------------


def certified(**changes: object) -> tuple[dict[str, object], Verifier]:
    """A certificate with the proof of an entry in a log of one, and the key of that log."""
    entry = {
        "seq": 1,
        "action": "data.erase",
        "subject": {"erasure_id": "ers_1"},
        "detail": {"counts": {"messages": 2}},
        **changes,
    }
    body = orjson.dumps(entry).decode()
    signer = Signer("log", bytes(32))
    note = signer.note(Checkpoint("log", 1, leaf_hash(body.encode())))
    certificate = {
        "type": "threadgate/erasure",
        "v": 1,
        "erasure_id": "ers_1",
        "counts": {"messages": 2},
        "audit_seq": 1,
        "proof": proof_text(body, 0, (), note),
    }
    return certificate, signer.verifier


def test_a_certificate_is_as_good_as_the_log_that_says_the_same() -> None:
    certificate, key = certified()
    assert erasure_certificate.verify(certificate, [key]) == "log"
    with pytest.raises(NoteError, match="not signed"):
        erasure_certificate.verify(certificate, [Signer("log", bytes(31) + b"1").verifier])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("erasure_id", "ers_2"),
        ("counts", {"messages": 3}),
        ("audit_seq", 2),
        ("proof", "c2sp.org/tlog-proof@v1\n"),
        ("proof", None),
        ("type", "other"),
        ("v", 2),
    ],
)
def test_a_certificate_that_was_changed_certifies_nothing(name: str, value: object) -> None:
    certificate, key = certified()
    with pytest.raises(NoteError):
        erasure_certificate.verify({**certificate, name: value}, [key])


@pytest.mark.parametrize("changes", [{"action": "data.erase.begin"}, {"subject": {}}, {"detail": None}])
def test_the_proof_of_another_entry_certifies_nothing(changes: dict[str, object]) -> None:
    certificate, key = certified(**changes)
    with pytest.raises(NoteError, match="not about an erasure"):
        erasure_certificate.verify(certificate, [key])


# --- any history -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happened_before_nothing_of_them_is_left_and_all_of_the_others_is(
    scene: Scene, seed: int
) -> None:
    chance = random.Random(seed)
    kept, refs = set(), {}
    for number in range(30):
        who, room = chance.choice((EVE, BOB)), chance.choice(("chat:1", "chat:2", "chat:3"))
        word = f"{WORDS}{number}" if who is EVE else f"wombat{number}"
        deed = chance.choice(("say", "say", "say", "edit", "delete", "answer"))
        known = [ref for ref, author in refs.items() if author is who]
        if deed == "say" or not known:
            said = scene.delivery(
                word, key=room, act=by(scene, who), sender_id=who.id.removeprefix("telegram:")
            )
            await scene.receive(said)
            refs[said.ref] = who
        elif deed == "answer":
            for thread_id in await scene.store.runs.waiting_threads(10):
                await scene.answer(await scene.claim(thread_id), f"answer{number}")
            continue
        else:
            text = word if deed == "edit" else None
            change = Amendment(text, scene.now_ms, author_id=who.id, cancel=cancelled("taken back"))
            ref = chance.choice(known)
            changed = scene.delivery(
                "", key=None, ref=ref, act=by(scene, who), message=None, amendment=change
            )
            await scene.receive(changed)
            if deed == "delete":
                refs.pop(ref)
                continue
        if who is BOB:
            kept.add(word)
    threads, _ = await scene.store.threads.page(DEFAULT_ORG, "all", 50, None)
    before = {thread.id: [(e.seq, e.at) for e in await scene.log(thread.id)] for thread in threads}
    shown = text_of(await scene.dump(), "messages_text_data")  # the index keeps words that Bob took back
    said_before = {word for word in kept if word in shown}
    await erase(scene)
    left = text_of(await scene.dump())
    assert EVE.id not in left and EVE.name not in left and WORDS not in left
    assert {word for word in said_before if word not in left} == set()
    remaining, _ = await scene.store.threads.page(DEFAULT_ORG, "all", 50, None)
    for thread in remaining:
        after = [(e.seq, e.at) for e in await scene.log(thread.id)]
        assert after[: len(before[thread.id])] == before[thread.id]
        assert [seq for seq, _ in after] == list(range(1, len(after) + 1))
    counts = await erase(scene, erasure_id="ers_again")
    assert not any(counts.values())


ELSEWHERE = {
    *(("events", "actor"), ("threads", "assignee"), ("runs", "requested_by"), ("steers", "said_by")),
    *(("questions", "answered_by"), ("outbox", "recipient"), ("erasures", "requested_by")),
    *(("inbox", "sender_id"), ("people", "sender_id"), ("pairings", "sender_id")),
    *(("chat_links", "sender_id"), ("link_codes", "sender_id"), ("audit_people", "actor_id")),
    ("tokens", "principal_id"),
    ("devices", "replaced_by"),  # a device
}
"""Erased with their threads, or with their rows; or nobody's."""


async def test_every_column_that_can_name_somebody_is_known_here(scene: Scene) -> None:
    """A new one has to be erased, too: in `erasures.sql`, and in one of these two lists."""
    found = await scene.rows(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
    )
    naming = re.compile(
        r"_by$|(^|_)actor(_id)?$|^person$|^sender_id$|^recipient$|^assignee$|^counted$|principal_id$"
    )
    naming_somebody = {(table, column) for table, column in found if naming.search(column)}
    known = {(table, column) for table, columns in ACTORS.items() for column in columns}
    assert naming_somebody == known | ELSEWHERE
