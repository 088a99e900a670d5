"""What a chat network delivers: judged by policy, stored once, answered in order (DESIGN.md §3.2, §7)."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import TelegramStage, eventually, until

from channels.emulators.telegram import TelegramEmulator, User
from channels.messages import (
    Addressed,
    Deleted,
    Delivery,
    Edited,
    Inbound,
    Pressed,
    RoomRef,
    Sender,
    Verdict,
)
from gateway.services import notices
from gateway.services.channels import thaw
from gateway.services.notices import CODE as TEMPLATE_CODE
from gateway.services.notices import LET_IN
from gateway.services.pairings import ALPHABET
from gateway.settings import RunSettings
from storage.errors import StoreUnavailable
from storage.store import DEFAULT_ORG

GROUP = -100200
ADA_SENDS = Sender("1001", "Ada")
CODE = re.compile(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}")
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


async def commit(stage: TelegramStage, *batch: Delivery) -> list[Verdict]:
    """Hand a batch to the account's intake, as its adapter does."""
    _, intake = stage.gateway._intakes[0]
    return list(await intake.commit(batch, {}))


async def answered(stage: TelegramStage, *texts: str) -> None:
    """Wait until the only thread's answers are these."""

    async def all_there() -> bool:
        log = await stage.log(await stage.only_thread())
        said = [event["data"]["message"] for event in log if event["kind"] == "message.created"]
        return [m["content"][0]["text"] for m in said if m["role"] == "assistant"] == list(texts)

    await eventually(all_there)


async def owed(stage: TelegramStage) -> list[str]:
    """What rooms were ever owed outside of runs."""

    def read(tx: Any) -> list[str]:
        rows = tx.all("SELECT content FROM outbox WHERE run_id IS NULL ORDER BY created_at, id")
        return [thaw(row["content"]).text for row in rows]

    return await stage.store.engine.read(read)


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


async def test_pairing_gives_a_stranger_a_code_once(strict: TelegramStage) -> None:
    await start(strict, dm_policy="pairing")
    for text in ("say one", "say two"):
        strict.emulator.say(text, user=EVE)
        await taken(strict)
    await until(lambda: strict.texts(2002) not in ([], ["…"]))
    strict.emulator.say("say three", user=EVE)
    await taken(strict)
    await asyncio.sleep(0.1)
    (offer,) = strict.texts(2002)
    assert CODE.search(offer)
    assert await threads(strict) == []


async def test_who_is_let_in_with_the_code_is_told_and_answered(strict: TelegramStage) -> None:
    await start(strict, dm_policy="pairing")
    strict.emulator.say("say too early", user=EVE)
    await until(lambda: any(CODE.search(text) for text in strict.texts(2002)))
    found = CODE.search(strict.texts(2002)[0])
    assert found is not None
    wire = await strict.connect()
    typed = found[0].lower().replace("-", " ")
    pairing = (await wire.call("pairing.approve", code=typed))["pairing"]
    assert (pairing["subject"], pairing["state"]) == ("2002", "approved")
    await until(lambda: strict.texts(2002)[1:] == [LET_IN])
    strict.emulator.say("say now", user=EVE)
    await strict.settled(await strict.only_thread())
    assert strict.texts(2002)[2:] == ["now"]


async def test_the_code_in_the_offer_is_marked_up_where_it_stands(strict: TelegramStage) -> None:
    """The offer is rendered once per room, and each code put in the place of the one in the template."""
    await start(strict, dm_policy="pairing")
    _, intake = strict.gateway._intakes[0]
    offers = [(await intake._judge(inbound(str(n), sender=Sender("5", "Zoe")))).offer for n in range(2)]
    for offer in offers:
        assert offer is not None and offer.told.notice is not None
        content = thaw(offer.told.notice.content)
        marked = [
            content.text[entity["offset"] : entity["offset"] + entity["length"]]
            for entity in content.payload["entities"]
            if entity["type"] == "code"
        ]
        assert marked[0] == offer.code
        assert TEMPLATE_CODE not in offer.told.notice.content
    assert len({offer.code for offer in offers if offer is not None}) == 2


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


async def test_an_operator_shuts_out_whom_the_policy_would_let_in(telegram: TelegramStage) -> None:
    """Under "open" nobody is given a code: the pairing is from the time before."""
    await telegram.restart(channels=({**telegram._given["channels"][0], "dm_policy": "pairing"},))
    await commit(telegram, inbound("1", sender=Sender("2002", "Eve"), room=RoomRef("2002")))
    wire = await telegram.connect()
    (pairing,) = (await wire.call("pairing.list"))["pairings"]
    await wire.call("pairing.reject", pairing_id=pairing["id"])
    await telegram.restart(channels=({**telegram._given["channels"][0], "dm_policy": "open"},))
    (verdict,) = await commit(telegram, inbound("2", sender=Sender("2002", "Eve"), room=RoomRef("2002")))
    assert verdict == Verdict(is_taken=False)
    assert await threads(telegram) == []


async def test_bots_are_never_answered(telegram: TelegramStage) -> None:
    bot = Sender("1001", "Other Bot", is_bot=True)
    assert await commit(telegram, inbound("1", sender=bot)) == [Verdict(is_taken=False)]


async def test_people_from_outside_are_let_in_by_choice(strict: TelegramStage) -> None:
    outside = Sender("1001", "Ada", is_external=True)
    await start(strict, dm_policy="open")
    assert await commit(strict, inbound("1", sender=outside)) == [Verdict(is_taken=False)]
    await strict.stop()
    await start(strict, dm_policy="open", allow_external=True)
    assert await commit(strict, inbound("2", sender=outside)) == [Verdict(is_taken=True)]


async def test_other_rooms_than_ours_are_met_with_silence(strict: TelegramStage) -> None:
    await start(strict, dm_policy="open", rooms=["-1"])
    spoken = {"is_direct": False, "addressed": Addressed.MENTION, "thread_key": None}
    here = inbound("1", room=RoomRef("-1"), **spoken)
    there = inbound("2", room=RoomRef("-2"), **spoken)
    assert [verdict.is_taken for verdict in await commit(strict, here, there, inbound("3"))] == [
        True, False, True,
    ]  # fmt: skip


async def test_a_thread_goes_on_without_a_mention_and_a_room_does_not(telegram: TelegramStage) -> None:
    room = {"room": RoomRef("-1", "7"), "is_direct": False, "thread_key": "-1/7"}
    ambient = {**room, "addressed": Addressed.AMBIENT}
    verdicts = await commit(
        telegram,
        inbound("1", "before", **ambient),
        inbound("2", "say called", **{**room, "addressed": Addressed.MENTION}),
        inbound("3", "say more", **ambient),
        inbound("4", "elsewhere", **{**ambient, "thread_key": "-1/8"}),
        inbound("5", "at the top", **{**ambient, "thread_key": None}),
        inbound("6", "say again", **{**ambient, "thread_key": None, "reply_to": "2"}),
    )
    assert [verdict.is_taken for verdict in verdicts] == [False, True, True, False, False, True]
    assert len(await threads(telegram)) == 1


async def test_where_no_mention_is_required_everything_is_taken(strict: TelegramStage) -> None:
    await start(strict, dm_policy="open", mention_required=False)
    ambient = inbound("1", is_direct=False, addressed=Addressed.AMBIENT, thread_key=None, room=RoomRef("-1"))
    assert await commit(strict, ambient) == [Verdict(is_taken=True)]


async def test_a_conversation_that_is_full_says_so(strict: TelegramStage) -> None:
    table = {**strict._given["channels"][0], "dm_policy": "open"}
    await strict.start(channels=(table,), runs=RunSettings(messages_max=1))
    verdicts = await commit(strict, inbound("1", "say one"), inbound("2", "say two"))
    assert [verdict.is_taken for verdict in verdicts] == [True, False]
    assert notices.TOO_LONG in await owed(strict)


async def test_who_writes_without_end_is_told_and_not_taken(strict: TelegramStage) -> None:
    await start(strict, dm_policy="open", messages_per_minute=3)
    verdicts = await commit(strict, *(inbound(str(n), f"say {n}") for n in range(6)))
    assert [verdict.is_taken for verdict in verdicts] == [True] * 3 + [False] * 3
    assert await owed(strict) == [notices.TOO_FAST]
    assert await commit(strict, inbound("later", "say later", occurred_at_ms=70_000)) == [Verdict(True)]


# --- commands and buttons: what is answered to their sender alone ------------------------------------


async def test_a_command_has_no_message_and_is_answered_like_one(telegram: TelegramStage) -> None:
    command = inbound("1", "say yes", message_ref=None, addressed=Addressed.COMMAND)
    assert await commit(telegram, command) == [Verdict(is_taken=True)]
    await answered(telegram, "yes")


@pytest.mark.parametrize(
    ("settings", "place", "says"),
    [
        ({"dm_policy": "allowlist", "allow": ["1"]}, {}, notices.NOT_ALLOWED),
        ({"dm_policy": "pairing"}, {}, notices.ASKED),
        ({"dm_policy": "pairing"}, {"is_direct": False, "thread_key": None}, notices.NOT_YET),
        ({"dm_policy": "open", "rooms": ["-9"]}, {"is_direct": False}, notices.NOT_ALLOWED),
    ],
)
async def test_a_command_that_is_refused_says_so_and_a_message_does_not(
    strict: TelegramStage, settings: dict[str, Any], place: dict[str, Any], says: str
) -> None:
    await start(strict, **settings)
    command = inbound("1", message_ref=None, addressed=Addressed.COMMAND, **place)
    message = inbound("2", addressed=Addressed.MENTION, **place)
    refused, silent = Verdict(is_taken=False, says=says), Verdict(is_taken=False)
    assert await commit(strict, command, message) == [refused, silent]
    assert await commit(strict, command) == [refused], "and again when it comes again"


async def test_a_command_to_a_busy_conversation_says_so(strict: TelegramStage) -> None:
    await start(strict, dm_policy="open")
    await strict.restart(runs=strict._given["runs"].model_copy(update={"queue_max": 1}))
    sleeping = inbound("1", "sleep 60")
    command = inbound("2", message_ref=None, addressed=Addressed.COMMAND)
    assert await commit(strict, sleeping, command) == [Verdict(True), Verdict(False, notices.BUSY)]


async def test_a_button_of_ours_is_out_of_date(telegram: TelegramStage) -> None:
    """Until approvals have buttons; whoever brings them gives the intake their `Decisions`."""
    pressed = Pressed("1", RoomRef("1001"), "5", Sender("1001", "Ada"), "value", 1)
    verdict = Verdict(is_taken=False, says=notices.NOT_OPEN)
    assert await commit(telegram, pressed, pressed) == [verdict, verdict]


# --- edits and deletions ---------------------------------------------------------------------------


def edited(delivery_id: str, ref: str, text: str, sender: Sender = ADA_SENDS) -> Edited:
    return Edited(delivery_id, RoomRef("1001"), ref, sender, text, 2)


async def test_an_edit_reaches_the_run_that_waits(telegram: TelegramStage) -> None:
    await commit(telegram, inbound("2", "say wrong"), edited("3", "2", "say right"))
    await answered(telegram, "right")
    kinds = await telegram.kinds(await telegram.only_thread())
    assert kinds.count("message.updated") == 1


async def test_a_deletion_takes_back_what_waits(telegram: TelegramStage) -> None:
    await commit(telegram, inbound("1", "sleep 60"), inbound("2", "say secret"))
    verdicts = await commit(telegram, Deleted("3", RoomRef("1001"), "2", 2))
    assert verdicts == [Verdict(is_taken=True)]
    log = await telegram.log(await telegram.only_thread())
    assert [event["kind"] for event in log][-2:] == ["run.cancelled", "message.deleted"]
    assert log[-1]["actor"]["kind"] == "system", "networks do not say who deleted it"
    assert "secret" not in str(log)


async def test_a_run_of_a_deleted_message_goes_on_but_does_not_begin_again(telegram: TelegramStage) -> None:
    await commit(telegram, inbound("1", "sleep 60"))
    thread_id = await telegram.only_thread()

    async def begun() -> bool:
        return "run.started" in await telegram.kinds(thread_id)

    await eventually(begun)
    await commit(telegram, Deleted("2", RoomRef("1001"), "1", 2))
    assert (await telegram.kinds(thread_id))[-1] == "message.deleted", "what runs goes on"
    await telegram.restart()

    async def over() -> bool:
        return "run.cancelled" in await telegram.kinds(thread_id)

    await eventually(over)


async def test_a_follower_sees_the_edit_and_a_later_one_the_redaction(telegram: TelegramStage) -> None:
    await commit(telegram, inbound("1", "sleep 60"), inbound("2", "say secret"))
    thread_id = await telegram.only_thread()
    wire = await telegram.connect()
    await wire.call("thread.subscribe", thread_id=thread_id, from_="start")
    await wire.state("live")
    await commit(telegram, edited("3", "2", "say another secret"), Deleted("4", RoomRef("1001"), "2", 3))
    updated = await wire.event("message.updated")
    assert updated["data"]["message"]["content"] == [{"type": "text", "text": "say another secret"}]
    deleted = await wire.event("message.deleted")
    assert deleted["data"] == {"message_id": updated["data"]["message"]["id"]}
    late = await telegram.connect()
    await late.call("thread.subscribe", thread_id=thread_id, from_="start")
    await late.state("live")
    assert "secret" not in str([note for note in late.raw if "thread_id" in note])
    assert (await wire.call("thread.search", query="secret"))["matches"] == []


@pytest.mark.parametrize(
    "sender", [Sender("2002", "Eve"), Sender("1001", "Ada", is_bot=True), Sender("9", "Ada")]
)
async def test_only_the_author_edits(telegram: TelegramStage, sender: Sender) -> None:
    await commit(telegram, inbound("2", "say mine"))
    assert await commit(telegram, edited("3", "2", "say yours", sender)) == [Verdict(is_taken=False)]
    await answered(telegram, "mine")
    assert "message.updated" not in await telegram.kinds(await telegram.only_thread())


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
