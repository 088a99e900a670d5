"""From outside: a person is erased, holds forbid it; retention; what agents read."""

import json
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Frame, TelegramStage, Wire, eventually, until, words

from gateway.agent_settings import DemoSettings
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.governance_settings import DetectorSettings, PrivacySettings, RetentionSettings
from protocol.records import Role
from storage.engine import Reader, Transaction
from storage.erasures import Erasures
from storage.errors import StoreUnavailable
from storage.store import verify_audit
from storage.values import DEFAULT_ORG, Act

SECRET_WORDS = "zanzibar rendezvous"


async def talked(telegram: TelegramStage, text: str = f"say {SECRET_WORDS}") -> str:
    """A conversation of one person with the agent."""
    telegram.emulator.say(text)
    thread_id = await telegram.only_thread()
    await telegram.settled(thread_id)
    return thread_id


async def person_of(telegram: TelegramStage, thread_id: str) -> str:
    """Who wrote there."""
    log = await telegram.log(thread_id)
    found: str = next(e["actor"]["id"] for e in log if e["kind"] == "message.created")
    return found


def everything(tx: Reader) -> str:
    """All that the tables hold, as one text."""
    tables = [row["name"] for row in tx.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = [tuple(row) for name in tables for row in tx.all(f"SELECT * FROM {name}")]
    return "\n".join(str(value) for row in rows for value in row)


def bytes_in(directory: Path) -> bytes:
    """The bytes of the database and of its log."""
    return b"".join(path.read_bytes() for path in sorted(directory.glob("threadgate.db*")))


async def erase(wire: Wire, person: str, **more: object) -> Frame:
    return await wire.call("data.erase", action="erase", person=person, reason="they asked for it", **more)


async def test_a_person_who_talked_alone_with_the_agent_leaves_nothing(
    telegram: TelegramStage, tmp_path: Path
) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    number = person.removeprefix("telegram:")
    store = telegram.store.engine
    assert SECRET_WORDS in await store.read(everything)
    assert (await wire.call("thread.search", query="zanzibar"))["matches"]
    counts = (await wire.call("data.erase", action="preview", person=person))["counts"]
    assert counts == {"threads": 1, "messages": 2, "files": 0}
    assert SECRET_WORDS in await store.read(everything)

    erased = await erase(wire, person)
    assert erased["counts"]["threads"] == 1 and erased["counts"]["messages"] == 2
    assert (await wire.refusal("thread.history", thread_id=thread_id)).kind == "not_found"
    assert (await wire.call("thread.search", query="zanzibar"))["matches"] == []
    left = await store.read(everything)
    assert SECRET_WORDS not in left and person not in left
    assert b"zanzibar" not in bytes_in(telegram.store.engine.path.parent)
    assert f'"{number}"' not in left


async def test_the_audit_log_verifies_afterwards_and_names_nobody(telegram: TelegramStage) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    before = (await wire.call("audit.list", limit=500))["entries"]
    certificate = (await erase(wire, person))["certificate"]
    entries = (await wire.call("audit.list", limit=500))["entries"]
    assert [e["body"] for e in entries][: len(before)] == [e["body"] for e in before]
    entry = next(e for e in entries if e["seq"] == certificate["audit_seq"])
    assert entry["action"] == "data.erase" and entry["detail"]["counts"] == certificate["counts"]
    directory = telegram.store.engine.path.parent
    await telegram.stop()
    _, broken = verify_audit(directory)
    assert broken is None


async def test_in_a_thread_of_several_only_what_they_wrote_goes_and_every_event_keeps_its_number(
    telegram: TelegramStage,
) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    await wire.call("message.send", thread_id=thread_id, content=words("say something of mine"))
    await telegram.settled(thread_id, deliveries=2)
    await wire.call("thread.assign", thread_id=thread_id, action="take")
    await wire.call("thread.subscribe", thread_id=thread_id, from_="tail", deltas=False)
    before = await telegram.log(thread_id)
    erased = await erase(wire, person)
    assert erased["counts"]["messages"] == 1 and erased["counts"]["threads"] == 0
    assert (await wire.event("message.deleted"))["thread_id"] == thread_id
    after = await telegram.log(thread_id)
    assert [event["seq"] for event in after] == list(range(1, len(after) + 1))
    for old, new in zip(before, after, strict=False):
        theirs = old["actor"]["id"] == person
        assert new["kind"] == ("redacted" if theirs and old["kind"] == "message.created" else old["kind"])
        assert new["at"] == old["at"] and person not in str(new)
    texts = [e["data"]["message"]["content"] for e in after if e["kind"] == "message.created"]
    assert words("say something of mine") in texts
    names = {event["actor"]["name"] for event in before if event["actor"]["id"] == person}
    left = await telegram.store.engine.read(everything)
    assert names and not [name for name in names if name in left]


async def test_erasing_again_changes_nothing_and_the_same_request_gets_the_same_certificate(
    telegram: TelegramStage,
) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    first = await erase(wire, person, idempotency_key="once")
    assert await erase(wire, person, idempotency_key="once") == first
    again = await erase(wire, person)
    assert not any(again["counts"].values())


async def test_a_legal_hold_keeps_the_person_and_their_threads_until_it_is_released(
    telegram: TelegramStage,
) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    held = await wire.call("data.erase", action="hold", person=person, reason="case 12")
    (hold,) = held["holds"]
    assert (await wire.call("data.erase", action="list"))["holds"] == [hold]
    for refusal in (
        await wire.refusal("data.erase", action="erase", person=person, reason="please"),
        await wire.refusal("data.erase", action="preview", person=person),
        await wire.refusal("thread.delete", thread_id=thread_id),
    ):
        assert refusal.kind == "invalid_state" and refusal.data["hold_id"] == hold["id"]
    await wire.call("data.erase", action="release", person=person, reason="case closed")
    assert (await wire.call("data.erase", action="list"))["holds"] == []
    await wire.call("thread.delete", thread_id=thread_id)
    entries = (await wire.call("audit.list", limit=500))["entries"]
    assert [e["action"] for e in entries if e["action"].startswith("hold.")] == ["hold.place", "hold.release"]
    refused = [e for e in entries if e["outcome"] == "failure"]
    assert [(e["action"], e["detail"]) for e in refused] == [
        ("data.erase", {"hold_id": hold["id"]}),
        ("thread.delete", {"hold_id": hold["id"]}),
    ]
    assert person not in str([e["body"] for e in entries])


async def test_only_an_owner_erases_and_says_why(telegram: TelegramStage) -> None:
    admin = await telegram.connect(await telegram.token(Role.ADMIN))
    assert (await admin.refusal("data.erase", action="list")).kind == "forbidden"
    wire = await telegram.connect()
    no_reason = await wire.refusal("data.erase", action="erase", person="telegram:1")
    assert no_reason.code == -32602
    both = await wire.refusal("data.erase", action="hold", person="telegram:1", thread_id="thr_1", reason="x")
    assert both.code == -32602
    assert (await wire.refusal("data.erase", action="erase", person="prn_" + "0" * 26, reason="x")).kind == (
        "not_found"
    )


async def test_an_erasure_that_was_cut_off_is_finished_by_the_next_process(telegram: TelegramStage) -> None:
    thread_id = await talked(telegram)
    person = await person_of(telegram, thread_id)
    erasures = telegram.gateway.governance.erasures
    subject = await erasures._store.subject(DEFAULT_ORG, person, "ers_cut_off")
    act = Act(DEFAULT_ORG, LOCAL_ACTOR, "test", telegram.clock.now_ms())
    await erasures._store.begin(act, subject, "they asked for it")
    await telegram.restart()

    async def is_done() -> bool:
        return not await telegram.store.erasures.going()

    await eventually(is_done)
    assert person not in await telegram.store.engine.read(everything)


class CutOff:
    """A store of erasures that is there for so many steps and then is not."""

    def __init__(self, store: Erasures, steps: int) -> None:
        self._store = store
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        async def step(*args: Any, **choices: Any) -> Any:
            if name not in LOOKS:
                if not self._steps:
                    raise StoreUnavailable("the disk is full")
                self._steps -= 1
            return await getattr(self._store, name)(*args, **choices)

        return step


LOOKS = {"subject", "last_place", "threads", "traces", "count", "going"}


@pytest.mark.parametrize("steps", range(10))
async def test_wherever_an_erasure_is_cut_off_the_next_process_finishes_it(
    telegram: TelegramStage, steps: int
) -> None:
    thread_id, wire = await talked(telegram), await telegram.connect()
    person = await person_of(telegram, thread_id)
    await wire.call("message.send", thread_id=thread_id, content=words("say something of mine"))
    await telegram.settled(thread_id, deliveries=2)
    erasures = telegram.gateway.governance.erasures
    erasures._store = CutOff(telegram.store.erasures, steps)  # type: ignore[assignment]
    refusal = await wire.refusal("data.erase", action="erase", person=person, reason="they asked for it")
    assert refusal.kind == "unavailable"
    await telegram.restart()

    async def is_done() -> bool:
        return not await telegram.store.erasures.going()

    await eventually(is_done)
    if steps:  # before the first one nothing was recorded, and nobody was told that it would be done
        assert person not in await telegram.store.engine.read(everything)
        (row,) = await telegram.store.engine.read(lambda tx: tx.all("SELECT certificate FROM erasures"))
        assert json.loads(row["certificate"])["counts"]["messages"] == 1
    else:
        assert person in await telegram.store.engine.read(everything)


async def test_retention_counts_first_and_then_deletes_what_is_over_its_time(telegram: TelegramStage) -> None:
    await telegram.restart(retention=RetentionSettings(messages_days=1, journal_days=1))
    thread_id, wire = await talked(telegram), await telegram.connect()
    found = (await wire.call("retention.run"))["classes"]
    assert {one["name"]: one["would_delete"] for one in found} == {"messages": 0, "journal": 0}
    yesterday = 25 * 60 * 60 * 1000

    def grow_old(tx: Transaction) -> None:
        tx.run("UPDATE threads SET head_at = head_at - :age", age=yesterday)
        tx.run("UPDATE runs SET ended_at = ended_at - :age", age=yesterday)

    await telegram.store.engine.write(grow_old)
    dry = await wire.call("retention.run", dry_run=True)
    assert {one["name"]: (one["would_delete"], one["deleted"]) for one in dry["classes"]} == {
        "messages": (1, 0),
        "journal": (1, 0),
    }
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start", deltas=False)
    await wire.call("data.erase", action="hold", thread_id=thread_id, reason="case 13")
    kept = await wire.call("retention.run", dry_run=False)
    assert {(one["name"], one["deleted"], one["held"]) for one in kept["classes"]} == {
        ("messages", 0, 1),
        ("journal", 0, 1),
    }
    await wire.call("data.erase", action="release", thread_id=thread_id, reason="case closed")
    done = await wire.call("retention.run", dry_run=False)
    assert done["classes"][0]["deleted"] == 1
    assert (await wire.refusal("thread.get", thread_id=thread_id)).kind == "not_found"
    assert (await wire.state("reset"))["reason"] == "gone"
    assert SECRET_WORDS not in await telegram.store.engine.read(everything)
    metrics = (await telegram.http().get("/metrics")).text
    assert 'threadgate_retention_deleted{class="messages"} 1.0' in metrics


async def test_agents_read_no_personal_data_where_the_settings_want_that(telegram: TelegramStage) -> None:
    badge = DetectorSettings(name="badge", pattern=r"EMP-\d{4}")
    await telegram.restart(privacy=PrivacySettings(models=True, patterns=(badge,)))
    thread_id = await talked(telegram, "say ada@example.org has EMP-1234")
    await until(lambda: "[email] has [badge]" in telegram.texts())
    wire = await telegram.connect()
    log = await telegram.log(thread_id)
    assert "ada@example.org has EMP-1234" in str(log)  # what was said is kept as it was
    (run,) = (await wire.call("run.list", thread_id=thread_id))["runs"]
    assert run["facts"]["redacted"] == {"email": 1, "badge": 1}
    metrics = (await telegram.http().get("/metrics")).text
    assert 'threadgate_redactions{kind="email"} ' in metrics
    replayed = (await wire.call("run.replay", run_id=run["id"]))["replay"]
    assert replayed["verified"]


@pytest.mark.parametrize(("exports", "owner"), [(True, "[email]"), (False, "ada@example.org")])
async def test_exports_are_redacted_unless_the_settings_say_otherwise(
    telegram: TelegramStage, exports: bool, owner: str
) -> None:
    agent = DemoSettings(id="demo", cost_tags={"owner": "ada@example.org"})
    await telegram.restart(agents=(agent,), privacy=PrivacySettings(exports=exports))
    await talked(telegram)
    lines = (await telegram.http().get("/v1/usage/export", params={"format": "ndjson", "tag": "owner"})).text
    assert {json.loads(line)["tag"] for line in lines.splitlines()} == {owner}
