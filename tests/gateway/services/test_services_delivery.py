"""DESIGN.md §1.1, §3.6: an answer reaches its room once, in order, through every fault the emulator can play."""

import asyncio
import time
from typing import Any

import pytest
from gateway_stage import Frame, TelegramStage, eventually, until

from channels.emulators.telegram import FaultKind, TelegramEmulator, User
from channels.errors import RateLimited
from channels.messages import Operation, Receipt, Rendered, RoomRef
from gateway.rules import retry
from storage.errors import StoreUnavailable
from storage.values import OutboxRow

EVE = User(2002, "Eve", "eve")
PLACEHOLDER = "…"


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.02)
    monkeypatch.setattr("channels.telegram.capabilities.EDIT_INTERVAL_PRIVATE_S", 0.1)
    monkeypatch.setattr("channels.telegram.capabilities.EDIT_INTERVAL_GROUP_S", 0.1)


def of(log: list[Frame], kind: str) -> list[Frame]:
    return [event for event in log if event["kind"] == kind]


async def asked(
    telegram: TelegramStage, text: str, deliveries: int = 1, patience_s: float = 10.0
) -> list[Frame]:
    """Write to the bot in a fresh thread; the log once the answer was delivered."""
    telegram.emulator.say(text)
    return await telegram.settled(await telegram.only_thread(), deliveries, patience_s)


# --- when all goes well ----------------------------------------------------------------------------


async def test_a_short_answer_is_one_message_and_two_calls(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    log = await asked(telegram, "say **hello**")
    (message,) = telegram.from_bot()
    assert (message.text, message.entities[0]["type"]) == ("hello", "bold")
    (sent,) = of(log, "delivery.sent")
    assert (sent["data"]["ref"], sent["data"]["part"], sent["data"]["room"]) == (str(message.id), 1, "1001")
    assert len(emulator.calls.select("sendMessage")) == 1
    assert len(emulator.calls.select("editMessageText")) == 1


async def test_a_slow_answer_can_be_watched_being_written(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    log = await asked(telegram, "stream 60 60")
    (message,) = telegram.from_bot()
    shown = [edit.text for edit in message.edits]
    whole = " ".join(f"word-{number}" for number in range(1, 61))
    assert message.text == whole
    assert shown[0] == PLACEHOLDER
    assert len(shown) >= 3
    assert all(whole.startswith(text) for text in shown[1:])
    assert len(of(log, "delivery.sent")) == 1
    assert emulator.calls.select("sendChatAction"), "and before there was text, typing was shown"


async def test_a_long_answer_arrives_whole_in_parts_and_in_order(telegram: TelegramStage) -> None:
    log = await asked(telegram, "long 60", deliveries=3)
    said = of(log, "message.created")[-1]["data"]["message"]["content"][0]["text"]
    messages = telegram.from_bot()
    assert [event["data"]["part"] for event in of(log, "delivery.sent")] == list(range(1, len(messages) + 1))
    assert [int(event["data"]["ref"]) for event in of(log, "delivery.sent")] == sorted(m.id for m in messages)
    numbers = [
        int(line.split()[1].rstrip("."))
        for message in messages
        for line in message.text.splitlines()
        if line.startswith("Paragraph ")
    ]
    assert numbers == list(range(1, 61))
    assert "def answer" in messages[-1].text
    assert said.count("Paragraph") == 60


async def test_many_parts_made_at_once_keep_their_order(telegram: TelegramStage) -> None:
    """Parts are made within one millisecond: their ids alone must not decide."""
    log = await asked(telegram, "say first")
    wire = await telegram.connect()
    thread_id = log[0]["thread_id"]
    text = "say " + "\n\n".join(f"part-{number} " + "x" * 3500 for number in range(12))
    await wire.call("message.send", thread_id=thread_id, content=[{"type": "text", "text": text}])
    await telegram.settled(thread_id, 13)
    heads = [message.text.split()[0] for message in telegram.from_bot()[1:]]
    assert heads == [f"part-{number}" for number in range(12)]


async def test_a_failure_and_a_stop_are_told_in_the_room(telegram: TelegramStage) -> None:
    await asked(telegram, "fail")
    assert telegram.texts() == ["This did not work: The demo agent was asked to fail, and it did."]
    telegram.emulator.say("sleep 600")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.gateway.runs.scheduler._driving)
    (run_id,) = telegram.gateway.runs.scheduler._driving
    await (await telegram.connect()).call("run.cancel", run_id=run_id)
    await telegram.settled(thread_id, 2)
    assert telegram.texts()[1:] == ["Stopped."]


async def test_an_answer_given_to_a_client_appears_in_the_room_too(telegram: TelegramStage) -> None:
    log = await asked(telegram, "say one")
    wire = await telegram.connect()
    content = [{"type": "text", "text": "say from the console"}]
    await wire.call("message.send", thread_id=log[0]["thread_id"], content=content)
    await telegram.settled(log[0]["thread_id"], 2)
    assert telegram.texts() == ["one", "from the console"]


# --- refused for now, certainly not done -----------------------------------------------------------


@pytest.mark.parametrize("method", ["sendMessage", "editMessageText"])
async def test_after_429_it_waits_as_told_and_says_it_once(
    telegram: TelegramStage, emulator: TelegramEmulator, method: str
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, method, retry_after_s=1)
    began = time.monotonic()
    log = await asked(telegram, "say patience")
    assert time.monotonic() - began > 0.95
    assert telegram.texts() == ["patience"]
    assert of(log, "delivery.uncertain") == []


async def test_a_room_that_must_wait_does_not_hold_up_another(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=3)
    emulator.say("say slow")
    await until(lambda: emulator.calls.select("sendMessage"))
    began = time.monotonic()
    emulator.say("say quick", user=EVE)
    await until(lambda: telegram.texts(2002) == ["quick"])
    assert time.monotonic() - began < 2.0
    assert telegram.texts(1001) == []


async def test_a_room_that_must_wait_does_not_hold_up_the_end(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=30)
    emulator.say("say later")
    await until(lambda: emulator.calls.select("sendMessage"))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await telegram.stop()
    assert time.monotonic() - began < 2.0


async def test_a_platform_that_cannot_be_reached_is_tried_again(
    telegram: TelegramStage, emulator: TelegramEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LAST_S", 0.1)
    emulator.say("sleep 0.3")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.gateway.runs.scheduler._driving)
    port = int(emulator.url.rsplit(":", 1)[-1])
    await emulator.stop()
    await until(lambda: not telegram.gateway.runs.scheduler._driving)
    await asyncio.sleep(0.3)
    await emulator.start(port=port)
    log = await telegram.settled(thread_id)
    assert telegram.texts() == ["Slept 0.3 s."]
    assert of(log, "delivery.uncertain") == []


async def test_a_server_error_on_an_edit_is_tried_again(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.ERROR, "editMessageText", code=502, count=3)
    log = await asked(telegram, "say in the end")
    assert telegram.texts() == ["in the end"]
    assert of(log, "delivery.uncertain") == []


# --- nobody knows whether it was done --------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.COMMIT_THEN_DROP, FaultKind.DROP])
async def test_a_placeholder_whose_answer_was_lost_is_uncertain_once(
    telegram: TelegramStage, emulator: TelegramEmulator, kind: FaultKind
) -> None:
    emulator.faults.add(kind, "sendMessage")
    log = await asked(telegram, "say only once")
    assert telegram.texts().count("only once") == 1
    assert [text for text in telegram.texts() if text != "only once"] == (
        [PLACEHOLDER] if kind is FaultKind.COMMIT_THEN_DROP else []
    )
    (uncertain,) = of(log, "delivery.uncertain")
    (sent,) = of(log, "delivery.sent")
    assert uncertain["data"]["delivery_id"] == sent["data"]["delivery_id"]
    wire = await telegram.connect()
    channel = (await wire.call("channel.status", channel_id="telegram:gate"))["channel"]
    assert (channel["deliveries_uncertain"], channel["deliveries_waiting"]) == (1, 0)


@pytest.mark.parametrize("text", ["say final", "stream 30 60"])
async def test_an_edit_whose_answer_was_lost_leaves_no_duplicate(
    telegram: TelegramStage, emulator: TelegramEmulator, text: str
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "editMessageText", count=2)
    log = await asked(telegram, text)
    assert len(telegram.from_bot()) == 1
    assert telegram.texts()[0] == of(log, "message.created")[-1]["data"]["message"]["content"][0]["text"]
    assert of(log, "delivery.uncertain") == []


async def test_every_call_may_fail_once_and_the_answer_is_still_said_once(
    telegram: TelegramStage, emulator: TelegramEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LAST_S", 0.1)
    for kind in (FaultKind.REFUSE, FaultKind.ERROR, FaultKind.COMMIT_THEN_DROP, FaultKind.DROP):
        for method in ("sendMessage", "editMessageText", "sendChatAction"):
            emulator.faults.add(kind, method)
    log = await asked(telegram, "long 40", deliveries=2, patience_s=20)
    whole = [text for text in telegram.texts() if text != PLACEHOLDER]
    assert sum(text.count("Paragraph 7.") for text in whole) == 1
    assert sum(text.count("Paragraph 40.") for text in whole) == 1
    assert len(of(log, "delivery.uncertain")) >= 1


async def test_a_restart_in_the_middle_of_a_send_asks_and_says_it_once(
    telegram: TelegramStage, emulator: TelegramEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.composition.rooms.DELIVERY_STOP_S", 0.05)
    emulator.faults.add(FaultKind.SLOW, "sendMessage", delay_s=5)
    emulator.say("say after the crash")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.from_bot())
    await until(lambda: not telegram.gateway.runs.scheduler._driving)
    await telegram.restart()
    log = await telegram.settled(thread_id)
    assert sorted(telegram.texts()) == sorted(["after the crash", PLACEHOLDER])
    assert len(of(log, "delivery.uncertain")) == 1


async def test_a_restart_in_the_middle_of_an_answer_goes_on_in_the_same_message(
    telegram: TelegramStage,
) -> None:
    telegram.emulator.say("stream 60 40")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.from_bot() and len(telegram.from_bot()[0].edits) >= 2)
    await telegram.restart()
    log = await telegram.settled(thread_id)
    assert telegram.texts() == [" ".join(f"word-{number}" for number in range(1, 61))]
    assert of(log, "delivery.uncertain") == []


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_a_store_that_fails_between_calls_delays_the_answer_and_nothing_else(
    telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    monkeypatch.setattr("gateway.services.delivery.STORE_RETRY_S", 0.02)
    real, steps = telegram.store.outbox.step, 0

    async def flaky(*args: Any) -> OutboxRow:
        nonlocal steps
        steps += 1
        if steps in (failing, failing + 1):
            raise StoreUnavailable("disk full")
        return await real(*args)

    monkeypatch.setattr(telegram.store.outbox, "step", flaky)
    log = await asked(telegram, "say kept")
    assert telegram.texts() == ["kept"]
    assert of(log, "delivery.uncertain") == []


# --- gone, refused ---------------------------------------------------------------------------------


async def test_a_message_that_somebody_deleted_is_sent_anew(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.say("stream 30 30")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.from_bot())
    (chat,) = emulator.world.chats()
    emulator.world.remove(chat, telegram.from_bot()[0])
    log = await telegram.settled(thread_id)
    assert telegram.texts() == [" ".join(f"word-{number}" for number in range(1, 31))]
    assert len(of(log, "delivery.sent")) == 1


@pytest.mark.parametrize(
    ("code", "description"), [(400, "Bad Request: no"), (403, "Forbidden: bot was blocked by the user")]
)
async def test_a_final_refusal_is_a_failed_delivery_that_blocks_nothing(
    telegram: TelegramStage, emulator: TelegramEmulator, code: int, description: str
) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessage", code=code, description=description)
    log = await asked(telegram, "say lost")
    (failed,) = of(log, "delivery.failed")
    assert failed["data"]["reason"]
    assert telegram.texts() == []
    emulator.say("say next")
    await telegram.settled(await telegram.only_thread(), 2)
    assert telegram.texts() == ["next"]


async def test_a_placeholder_that_is_refused_does_not_lose_the_answer(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.ERROR, "sendMessage", code=400, description="Bad Request: no")
    emulator.say("stream 40 60")
    thread_id = await telegram.only_thread()
    await until(lambda: telegram.texts() and telegram.texts()[-1].endswith("word-40"))
    log = await telegram.settled(thread_id, 2)
    assert len(telegram.from_bot()) == 1
    assert [event["kind"] for event in log if event["kind"].startswith("delivery")] == [
        "delivery.failed", "delivery.sent",
    ]  # fmt: skip


async def test_parts_wait_for_a_first_part_that_is_still_being_sent(
    telegram: TelegramStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live placeholder hangs, the answer is complete meanwhile, and then the placeholder fails."""
    adapter = telegram.gateway.rooms.channels.find("telegram", "gate")
    assert adapter is not None
    real, hung = adapter.send, asyncio.Event()

    async def slow_then_refused(operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        if hung.is_set():
            return await real(operation, room, content)
        hung.set()
        await until(lambda: not telegram.gateway.runs.scheduler._driving)
        await asyncio.sleep(0.05)
        raise RateLimited(0.05)

    monkeypatch.setattr(adapter, "send", slow_then_refused)
    await asked(telegram, "long 60", deliveries=3)
    messages = telegram.from_bot()
    assert messages[0].text.startswith("60 paragraphs")
    assert "def answer" in messages[-1].text


async def test_a_deleted_thread_says_nothing_more(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=1)
    emulator.say("say secret")
    thread_id = await telegram.only_thread()
    await until(lambda: emulator.calls.select("sendMessage"))
    await (await telegram.connect()).call("thread.delete", thread_id=thread_id)
    await asyncio.sleep(1.3)
    assert "secret" not in telegram.texts()
    emulator.say("say still alive")
    await until(lambda: "still alive" in telegram.texts())


async def test_a_thread_deleted_in_the_middle_of_a_send_does_not_hold_up_its_room(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    group: dict[str, Any] = {"chat_id": -100200, "chat_type": "group"}
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=1)
    emulator.faults.add(FaultKind.SLOW, "sendMessage", delay_s=0.5)
    emulator.say("@gate_bot say doomed", **group)
    thread_id = await telegram.only_thread()
    await until(lambda: emulator.calls.select("sendMessage"))
    emulator.say("@gate_bot say behind it", **group)
    await until(lambda: len(emulator.calls.select("sendMessage")) == 2)
    await (await telegram.connect()).call("thread.delete", thread_id=thread_id)
    await until(lambda: "behind it" in telegram.texts(-100200), 3.0)
    assert "doomed" not in telegram.texts(-100200)


# --- health ----------------------------------------------------------------------------------------


async def channel(telegram: TelegramStage) -> Frame:
    (found,) = (await (await telegram.connect()).call("channel.list"))["channels"]
    return found


async def test_a_channel_shows_how_it_fares(
    telegram: TelegramStage, emulator: TelegramEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.telegram.poller.BACKOFF_MAX_S", 0.1)

    async def is_in(state: str) -> Frame | None:
        shown = await channel(telegram)
        return shown if shown["state"] == state else None

    shown = await eventually(lambda: is_in("connected"))
    assert (shown["id"], shown["kind"], shown["account"]) == ("telegram:gate", "telegram", "gate")
    await asked(telegram, "say hi")
    assert (await channel(telegram))["last_event_at"]
    port = int(emulator.url.rsplit(":", 1)[-1])
    await emulator.stop()
    assert (await eventually(lambda: is_in("degraded")))["detail"]
    await emulator.start(port=port)
    await eventually(lambda: is_in("connected"))


async def test_a_refused_token_stops_the_channel_and_says_so_without_showing_it(
    telegram: TelegramStage,
) -> None:
    table = {**telegram._given["channels"][0], "token": "42:wrong-secret"}
    await telegram.restart(channels=(table,))

    async def stopped() -> Frame | None:
        shown = await channel(telegram)
        return shown if shown["state"] == "stopped" else None

    shown = await eventually(stopped)
    assert "token" in shown["detail"]
    assert "wrong-secret" not in str(shown)
    metrics = (await telegram.http().get("/metrics")).text
    assert 'threadgate_channel_up{account="gate",channel="telegram"} 0.0' in metrics


async def test_what_waits_for_a_room_is_counted(telegram: TelegramStage, emulator: TelegramEmulator) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=2, count=5)
    emulator.say("say waiting")

    async def waiting() -> bool:
        return (await channel(telegram))["deliveries_waiting"] == 1

    await eventually(waiting)


async def test_an_unknown_channel_is_not_found(telegram: TelegramStage) -> None:
    refused = await (await telegram.connect()).refusal("channel.status", channel_id="telegram:other")
    assert refused.kind == "not_found"


async def test_deliveries_of_a_channel_that_was_removed_wait_for_it(
    telegram: TelegramStage, emulator: TelegramEmulator
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "sendMessage", retry_after_s=1)
    emulator.say("say later")
    thread_id = await telegram.only_thread()
    await until(lambda: emulator.calls.select("sendMessage"))
    table: Any = telegram._given["channels"]
    await telegram.restart(channels=())
    await asyncio.sleep(0.1)
    assert telegram.texts() == []
    await telegram.restart(channels=table)
    await telegram.settled(thread_id)
    assert telegram.texts() == ["later"]
