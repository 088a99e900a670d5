"""Pressing a button against the emulator: stored first, then answered, and only then."""

import asyncio

import pytest
from channel_stage import MemorySink, until
from telegram_stage import ADA, GATE

from channels.emulators.telegram import FaultKind, Message, TelegramEmulator
from channels.messages import Action, Card, HealthState, Operation, Pressed
from channels.telegram.adapter import TelegramAdapter

OPERATION = Operation("dlv_1", attempt=1)
ASKED = Card(
    "Deploy?", "Version 2", (Action("apr_1:a", "Approve", "primary"), Action("apr_1:d", "Deny", "danger"))
)
SETTLED = Card("Deploy?", "Version 2", (), "Approved by Ada.")


@pytest.fixture
async def card(emulator: TelegramEmulator, adapter: TelegramAdapter) -> Message:
    """A card in Ada's chat."""
    emulator.say("hello")
    receipt = await adapter.send(OPERATION, ADA, adapter.card(ASKED, ADA))
    return emulator.messages(1001)[int(receipt.ref) - 1]


def answer(emulator: TelegramEmulator, query_id: str) -> str | None:
    """What the person was told; None while the button still turns."""
    query = emulator.world.callbacks[query_id]
    return query.answer if query.is_answered else None


def presses(sink: MemorySink) -> list[str]:
    return [one.value for one in sink.stored.values() if isinstance(one, Pressed)]


async def test_a_card_arrives_with_its_buttons(card: Message) -> None:
    assert (card.sender, card.text) == (GATE, "Deploy?\n\nVersion 2")
    assert card.keyboard == [
        [
            {"text": "Approve", "callback_data": "apr_1:a", "style": "primary"},
            {"text": "Deny", "callback_data": "apr_1:d", "style": "danger"},
        ]
    ]


async def test_a_press_is_stored_and_the_button_stops_turning(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message
) -> None:
    await adapter.start(sink)
    query_id = emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: answer(emulator, query_id) == "")
    (pressed,) = (one for one in sink.stored.values() if isinstance(one, Pressed))
    assert (pressed.room, pressed.message_ref, pressed.sender.id) == (ADA, str(card.id), "1001")
    assert presses(sink) == ["apr_1:a"]


async def test_who_pressed_is_told_what_the_verdict_says(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message
) -> None:
    query_id = emulator.press(1001, card.id, "apr_1:d")
    (update,) = (one for one in emulator.pending_updates() if one.kind == "callback_query")
    sink.says[str(update.id)] = "You may not decide this."
    await adapter.start(sink)
    await until(lambda: answer(emulator, query_id) == "You may not decide this.")


async def test_nothing_is_answered_before_it_is_stored(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message
) -> None:
    sink.gate.clear()
    sink.failures = [OSError("disk full")]
    await adapter.start(sink)
    query_id = emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: sink.attempts)
    await asyncio.sleep(0.05)
    assert answer(emulator, query_id) is None
    sink.gate.set()
    await until(lambda: answer(emulator, query_id) == "")
    assert len(sink.attempts) >= 2
    assert len(emulator.calls.select("answerCallbackQuery")) == 1


async def test_an_answer_that_comes_too_late_is_no_failure(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message
) -> None:
    too_late = "Bad Request: query is too old and response timeout expired or query ID is invalid"
    emulator.faults.add(FaultKind.ERROR, "answerCallbackQuery", code=400, description=too_late)
    await adapter.start(sink)
    emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: emulator.calls.select("answerCallbackQuery"))
    emulator.say("go on")
    await until(lambda: "go on" in sink.texts)
    assert adapter.health().state is HealthState.CONNECTED


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.RATE_LIMIT])
async def test_an_answer_that_fails_holds_up_nothing(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message, kind: FaultKind
) -> None:
    emulator.faults.add(kind, "answerCallbackQuery")
    await adapter.start(sink)
    emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: presses(sink))
    again = emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: answer(emulator, again) == "")
    assert presses(sink) == ["apr_1:a", "apr_1:a"]


async def test_a_slow_answer_does_not_keep_messages_waiting(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, card: Message
) -> None:
    emulator.faults.add(FaultKind.SLOW, "answerCallbackQuery", delay_s=30.0)
    await adapter.start(sink)
    emulator.press(1001, card.id, "apr_1:a")
    await until(lambda: emulator.calls.select("answerCallbackQuery"))
    emulator.say("meanwhile")
    await until(lambda: "meanwhile" in sink.texts)
    async with asyncio.timeout(1.0):
        await adapter.stop()


async def test_a_settled_card_loses_its_buttons(
    emulator: TelegramEmulator, adapter: TelegramAdapter, card: Message
) -> None:
    await adapter.edit(OPERATION, ADA, str(card.id), adapter.card(SETTLED, ADA))
    assert (card.text, card.keyboard) == ("Deploy?\n\nVersion 2\n\nApproved by Ada.", None)


async def test_an_edit_with_buttons_keeps_them(
    emulator: TelegramEmulator, adapter: TelegramAdapter, card: Message
) -> None:
    again = Card("Deploy?", "Version 3", ASKED.actions)
    await adapter.edit(OPERATION, ADA, str(card.id), adapter.card(again, ADA))
    assert card.text == "Deploy?\n\nVersion 3"
    assert card.keyboard is not None and len(card.keyboard[0]) == 2
