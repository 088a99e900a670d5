"""What a chat network delivers: judged by policy, stored once, answered in order (DESIGN.md §3.2, §7)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import TelegramStage, eventually, until

from channels.emulators.telegram import TelegramEmulator, User
from channels.messages import Addressed, Inbound, RoomRef, Sender
from storage.errors import StoreUnavailable
from storage.store import DEFAULT_ORG

GROUP = -100200
ADA, EVE = User(1001, "Ada", "ada"), User(2002, "Eve", "eve")


@pytest.fixture
async def strict(tmp_path: Path, emulator: TelegramEmulator) -> AsyncIterator[TelegramStage]:
    """A gateway whose policy a test chooses when it starts it."""
    made = TelegramStage(tmp_path / "data", emulator)
    yield made
    await made.close()


async def start(stage: TelegramStage, **channel: Any) -> None:
    table = {**stage._given["channels"][0], **channel}
    await stage.start(channels=(table,))


async def threads(stage: TelegramStage) -> list[Any]:
    found, _ = await stage.store.threads.page(DEFAULT_ORG, "all", 50, None)
    return found


async def taken(stage: TelegramStage) -> None:
    """Every update was confirmed to the network."""
    await until(lambda: not stage.emulator.pending_updates())


def inbound(delivery_id: str, text: str = "say hi", **more: Any) -> Inbound:
    given: dict[str, Any] = {
        "delivery_id": delivery_id,
        "room": RoomRef("1001"),
        "message_ref": delivery_id,
        "sender": Sender("1001", "Ada"),
        "text": text,
        "addressed": Addressed.DIRECT,
        "is_direct": True,
        "occurred_at_ms": 1,
        "thread_key": "dm:1001",
        **more,
    }
    return Inbound(**given)


# --- who may speak ---------------------------------------------------------------------------------


async def test_open_takes_everybody(telegram: TelegramStage) -> None:
    telegram.emulator.say("say hi", user=EVE)
    thread_id = await telegram.only_thread()
    log = await telegram.settled(thread_id)
    said = log[1]["data"]["message"]
    assert (said["role"], said["content"]) == ("user", [{"type": "text", "text": "say hi"}])
    assert said["author"] == {"id": "telegram:2002", "kind": "person", "name": said["author"]["name"]}
    assert log[0]["data"]["origin"] == {
        "kind": "channel", "channel": "telegram", "account": "gate", "room": "2002",
    }  # fmt: skip
    assert telegram.texts(2002) == ["hi"]


async def test_the_allowlist_lets_in_whom_it_names_and_is_silent_to_others(strict: TelegramStage) -> None:
    await start(strict, dm_policy="allowlist", allow=["1001"])
    strict.emulator.say("say stranger", user=EVE)
    strict.emulator.say("say friend", user=ADA)
    await strict.settled(await strict.only_thread())
    assert strict.texts(1001) == ["friend"]
    assert strict.texts(2002) == []


async def test_pairing_tells_a_stranger_how_to_be_allowed_once(strict: TelegramStage) -> None:
    await start(strict, dm_policy="pairing")
    for text in ("say one", "say two"):
        strict.emulator.say(text, user=EVE)
        await taken(strict)
    await until(lambda: strict.texts(2002) not in ([], ["…"]))
    strict.emulator.say("say three", user=EVE)
    await taken(strict)
    await asyncio.sleep(0.1)
    (hint,) = strict.texts(2002)
    assert "2002" in hint
    assert "telegram:gate" in hint
    assert await threads(strict) == []


async def test_the_hint_is_told_again_after_a_while(
    strict: TelegramStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.intake.HINT_INTERVAL_MS", 1)
    await start(strict, dm_policy="pairing")
    for count in (1, 2):
        strict.emulator.say(f"hello {count}", user=EVE)
        await until(lambda: len([text for text in strict.texts(2002) if text != "…"]) == count)  # noqa: B023


async def test_somebody_who_was_allowed_meanwhile_is_answered(strict: TelegramStage) -> None:
    await start(strict, dm_policy="pairing")
    strict.emulator.say("say too early", user=EVE)
    await taken(strict)
    await strict.stop()
    await start(strict, dm_policy="pairing", allow=["2002"])
    strict.emulator.say("say now", user=EVE)
    await strict.settled(await strict.only_thread())
    assert "now" in strict.texts(2002)
    assert "too early" not in strict.texts(2002)


async def test_names_are_no_identity(strict: TelegramStage) -> None:
    await start(strict, dm_policy="allowlist", allow=["1001"])
    strict.emulator.say("say it is me", user=User(2002, "Ada", "ada"))
    await taken(strict)
    assert await threads(strict) == []


async def test_in_a_group_only_what_is_addressed_is_taken(telegram: TelegramStage) -> None:
    say = telegram.emulator.say
    say("nice weather", chat_id=GROUP, chat_type="group")
    said = say("@gate_bot say addressed", chat_id=GROUP, chat_type="group")
    assert said.update_id is not None
    thread_id = await telegram.only_thread()
    await telegram.settled(thread_id)
    assert telegram.texts(GROUP) == ["addressed"]


async def test_strangers_in_a_group_are_met_with_silence(strict: TelegramStage) -> None:
    await start(strict, dm_policy="pairing", allow=["1001"])
    strict.emulator.say("@gate_bot say stranger", user=EVE, chat_id=GROUP, chat_type="group")
    await taken(strict)
    strict.emulator.say("@gate_bot say friend", user=ADA, chat_id=GROUP, chat_type="group")
    await strict.settled(await strict.only_thread())
    assert strict.texts(GROUP) == ["friend"]


# --- which conversation ----------------------------------------------------------------------------


async def test_a_private_chat_is_one_thread(telegram: TelegramStage) -> None:
    for text in ("say one", "say two", "say three"):
        telegram.emulator.say(text)
    log = await telegram.settled(await telegram.only_thread(), 3)
    assert telegram.texts() == ["one", "two", "three"]
    assert [event["kind"] for event in log].count("run.completed") == 3


async def test_two_people_have_two_threads(telegram: TelegramStage) -> None:
    telegram.emulator.say("say to ada", user=ADA)
    telegram.emulator.say("say to eve", user=EVE)
    await until(lambda: telegram.texts(1001) == ["to ada"] and telegram.texts(2002) == ["to eve"])
    assert len(await threads(telegram)) == 2


async def test_in_a_group_a_reply_continues_its_thread_and_a_mention_begins_one(
    telegram: TelegramStage,
) -> None:
    say = telegram.emulator.say
    say("@gate_bot say first", chat_id=GROUP, chat_type="group")
    first = await telegram.only_thread()
    await telegram.settled(first)
    (answer,) = telegram.from_bot(GROUP)
    say("say second", chat_id=GROUP, chat_type="group", reply_to=answer.id, user=EVE)
    await telegram.settled(first, 2)
    say("@gate_bot say another", chat_id=GROUP, chat_type="group")
    await until(lambda: telegram.texts(GROUP) == ["first", "second", "another"])
    assert len(await threads(telegram)) == 2


async def test_an_archived_thread_comes_back_when_somebody_writes(telegram: TelegramStage) -> None:
    telegram.emulator.say("say one")
    thread_id = await telegram.only_thread()
    await telegram.settled(thread_id)
    wire = await telegram.connect()
    await wire.call("thread.archive", thread_id=thread_id)
    telegram.emulator.say("say two")
    log = await telegram.settled(thread_id, 2)
    kinds = [event["kind"] for event in log]
    assert kinds.index("thread.archived") < kinds.index("thread.restored")
    assert (await wire.call("thread.get", thread_id=thread_id))["thread"]["status"] == "active"


async def test_after_a_deletion_the_next_message_begins_anew(telegram: TelegramStage) -> None:
    telegram.emulator.say("say one")
    thread_id = await telegram.only_thread()
    await telegram.settled(thread_id)
    await (await telegram.connect()).call("thread.delete", thread_id=thread_id)
    telegram.emulator.say("say two")
    await until(lambda: telegram.texts() == ["one", "two"])
    (fresh,) = await threads(telegram)
    assert fresh.id != thread_id


# --- once, and in order ----------------------------------------------------------------------------


async def test_a_redelivery_changes_nothing(telegram: TelegramStage) -> None:
    _, intake = telegram.gateway._intakes[0]
    for _ in range(3):
        await intake.commit([inbound("1"), inbound("1")], {"": "5"})
    await intake.commit([inbound("1"), inbound("2", "say new")], {"": "6"})
    log = await telegram.settled(await telegram.only_thread(), 2)
    assert [event["kind"] for event in log].count("run.queued") == 2
    assert (await intake.cursors())[""].value == "6"


async def test_the_same_delivery_from_two_sides_at_once_is_one_message(telegram: TelegramStage) -> None:
    _, intake = telegram.gateway._intakes[0]
    await asyncio.gather(*(intake.commit([inbound("1")], {}) for _ in range(10)))
    log = await telegram.settled(await telegram.only_thread())
    assert [event["kind"] for event in log].count("run.queued") == 1


async def test_messages_of_one_batch_are_answered_in_the_order_written(telegram: TelegramStage) -> None:
    telegram.emulator.say("say before")
    await until(lambda: telegram.texts() == ["before"])
    for number in range(20):
        telegram.emulator.say(f"say {number}")
    thread_id = (await threads(telegram))[0].id
    log = await telegram.settled(thread_id, 21, patience_s=20.0)
    texts = [
        event["data"]["message"]["content"][0]["text"] for event in log if event["kind"] == "message.created"
    ]
    assert [text for text in texts if not text.startswith("say ")] == ["before", *map(str, range(20))]
    assert telegram.texts() == ["before", *map(str, range(20))]


async def test_a_batch_that_is_not_stored_is_not_acknowledged_and_comes_again(
    telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.telegram.poller.BACKOFF_FIRST_S", 0.01)
    real, failures = telegram.store.inbox.commit, iter([True, True])
    confirmed: list[int] = []

    async def flaky(*args: Any) -> int:
        if next(failures, False):
            confirmed.append(telegram.emulator.confirmed_offset())
            raise StoreUnavailable("disk full")
        return await real(*args)

    monkeypatch.setattr(telegram.store.inbox, "commit", flaky)
    said = telegram.emulator.say("say kept")
    log = await telegram.settled(await telegram.only_thread())
    assert all(offset <= said.update_id for offset in confirmed if said.update_id)
    assert [event["kind"] for event in log].count("run.queued") == 1
    assert telegram.texts() == ["kept"]


async def test_what_was_written_while_the_gateway_was_down_is_answered(telegram: TelegramStage) -> None:
    telegram.emulator.say("say one")
    await until(lambda: telegram.texts() == ["one"])
    await telegram.stop()
    telegram.emulator.say("say two")
    telegram.emulator.say("say three")
    await telegram.start()
    await until(lambda: telegram.texts() == ["one", "two", "three"])
    await asyncio.sleep(0.1)
    assert telegram.texts() == ["one", "two", "three"], "and nothing is answered twice"


async def test_what_is_no_message_is_accounted_for(telegram: TelegramStage) -> None:
    said = telegram.emulator.say("say one")
    await until(lambda: telegram.texts() == ["one"])
    telegram.emulator.edit(1001, said.message_id, "say edited")
    telegram.emulator.say("say two")
    await until(lambda: telegram.texts() == ["one", "two"])

    async def outcomes() -> list[str]:
        def read(tx: Any) -> list[str]:
            return [row["outcome"] for row in tx.all("SELECT outcome FROM inbox ORDER BY received_at")]

        return await telegram.store.engine.read(read)

    assert set(await eventually(outcomes)) <= {"accepted", "ignored"}
