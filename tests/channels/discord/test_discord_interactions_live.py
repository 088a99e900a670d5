"""The slash command, buttons and forms against the emulator: stored first, answered in time, alive after restarts."""

import pytest
from channel_stage import MemorySink, until
from discord_stage import GENERAL, is_connected, make_adapter

from channels.discord.adapter import DiscordAdapter
from channels.emulators.discord import DEFAULT_CHANNEL, DEFAULT_USER, DiscordEmulator, FaultKind, Message
from channels.messages import Action, Addressed, Card, Ignored, Inbound, Operation, Pressed, RoomRef

ROOM = DEFAULT_CHANNEL.id
REGISTER = "PUT /applications/{a}/commands"
RESPOND = "POST /interactions/{i}/{t}/callback"
ASK = Card(
    "May I?", "run `make`", (Action("apr_1:yes", "Yes", "primary"), Action("apr_1:no", "No", "danger", True))
)


@pytest.fixture
async def connected(emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink) -> DiscordAdapter:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    return adapter


async def show_card(emulator: DiscordEmulator, adapter: DiscordAdapter) -> Message:
    receipt = await adapter.send(Operation("dlv_1", 1), GENERAL, adapter.card(ASK, GENERAL))
    return next(one for one in emulator.messages(ROOM) if str(one.id) == receipt.ref)


def ids_of(message: Message) -> list[str]:
    return [button["custom_id"] for row in message.components for button in row["components"]]


def heard(emulator: DiscordEmulator) -> list[tuple[str, int | None]]:
    """What the bot answered: words and to whom alone."""
    return [
        (one.content, one.ephemeral_to) for one in emulator.messages(ROOM) if one.interaction_id is not None
    ]


async def test_the_command_is_registered_once_and_again_only_when_it_changed(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    for _ in range(2):
        adapter = make_adapter(emulator)
        await adapter.start(sink)
        await until(lambda adapter=adapter: is_connected(adapter))
        await adapter.stop()
    assert len(emulator.calls.select(REGISTER)) == 1
    sink.cursor_values.pop("commands")
    adapter = make_adapter(emulator)
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    assert len(emulator.calls.select(REGISTER)) == 2


async def test_a_command_that_cannot_be_registered_costs_nothing_else(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.ERROR, REGISTER, code=403, description="50001: Missing Access")
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    assert any("/ask" in one for one in adapter.health().missing)
    emulator.say("hello")
    await until(lambda: sink.texts == ["hello"])


async def test_a_command_is_stored_and_then_shown_to_the_room(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    asked = emulator.slash("ask", {"text": "what is the answer?\nplease"})
    await until(lambda: [f"i:{asked.id}"] in sink.attempts)
    assert emulator.calls.select(RESPOND) == []
    sink.gate.set()
    await until(lambda: heard(emulator) == [("> what is the answer?\n> please", None)])
    inbound = sink.stored[f"i:{asked.id}"]
    assert isinstance(inbound, Inbound)
    assert (inbound.addressed, inbound.message_ref) == (Addressed.COMMAND, None)
    assert (inbound.room, inbound.text) == (GENERAL, "what is the answer?\nplease")
    assert inbound.sender.id == str(DEFAULT_USER.id)


async def test_a_command_in_a_thread_is_answered_there(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    thread = emulator.start_thread("talk")
    asked = emulator.slash("ask", {"text": "hello"}, channel_id=thread.id)
    await until(lambda: f"i:{asked.id}" in sink.stored)
    inbound = sink.stored[f"i:{asked.id}"]
    assert isinstance(inbound, Inbound)
    assert (inbound.room, inbound.thread_key) == (RoomRef(str(ROOM), str(thread.id)), f"{ROOM}/{thread.id}")


async def test_who_pressed_before_the_stop_is_answered(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    emulator.faults.add(FaultKind.SLOW, RESPOND, delay_s=0.1)
    emulator.slash("ask", {"text": "hello"})
    await until(lambda: sink.texts == ["hello"])
    await connected.stop()
    assert [call.status for call in emulator.calls.select(RESPOND)] == [204]
    assert heard(emulator) == [("> hello", None)]


async def test_what_the_core_says_is_for_the_person_alone(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    asked = emulator.slash("ask", {"text": "hello"})
    sink.says[f"i:{asked.id}"] = "You may not."
    sink.gate.set()
    await until(lambda: heard(emulator) == [("You may not.", DEFAULT_USER.id)])


async def test_what_cannot_be_stored_is_said_and_not_taken_later(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    sink.failures = [OSError("disk full")]
    asked = emulator.slash("ask", {"text": "hello"})
    await until(lambda: len(heard(emulator)) == 1)
    ((words, alone),) = heard(emulator)
    assert "try again" in words and alone == DEFAULT_USER.id
    emulator.say("still here")
    await until(lambda: sink.texts == ["still here"])
    assert f"i:{asked.id}" not in sink.stored


async def test_a_button_works_in_the_next_process(emulator: DiscordEmulator, sink: MemorySink) -> None:
    first = make_adapter(emulator)
    message = await show_card(emulator, first)
    await first.stop()
    second = make_adapter(emulator)
    await second.start(sink)
    await until(lambda: is_connected(second))
    pressed = emulator.press(ROOM, message.id, ids_of(message)[0])
    await until(lambda: emulator.calls.select(RESPOND) and emulator.calls.select(RESPOND)[0].status)
    delivery = sink.stored[f"i:{pressed.id}"]
    assert isinstance(delivery, Pressed)
    assert (delivery.value, delivery.reason) == ("apr_1:yes", None)
    assert (delivery.message_ref, delivery.room) == (str(message.id), GENERAL)
    assert emulator.calls.select(RESPOND)[0].status in (200, 204)
    assert heard(emulator) == []
    await second.stop()


async def test_a_button_that_asks_for_a_reason_opens_a_form(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink
) -> None:
    message = await show_card(emulator, connected)
    pressed = emulator.press(ROOM, message.id, ids_of(message)[1])
    await until(lambda: emulator.world.interactions[pressed.id].modal is not None)
    await until(lambda: isinstance(sink.stored.get(f"i:{pressed.id}"), Ignored))
    submitted = emulator.submit(pressed.id, {"reason": "too risky"})
    await until(lambda: f"i:{submitted.id}" in sink.stored)
    delivery = sink.stored[f"i:{submitted.id}"]
    assert isinstance(delivery, Pressed)
    assert (delivery.value, delivery.reason, delivery.message_ref) == (
        "apr_1:no",
        "too risky",
        str(message.id),
    )


async def test_a_settled_card_has_no_buttons(emulator: DiscordEmulator, connected: DiscordAdapter) -> None:
    message = await show_card(emulator, connected)
    assert len(ids_of(message)) == 2
    settled = connected.card(Card("May I?", "run `make`", outcome="Ada said yes."), GENERAL)
    await connected.edit(Operation("dlv_1", 1), GENERAL, str(message.id), settled)
    assert message.components == []
    assert "Ada said yes." in message.content


async def test_an_answer_that_comes_too_late_is_only_logged(
    emulator: DiscordEmulator, connected: DiscordAdapter, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    emulator.faults.add(FaultKind.ERROR, RESPOND, code=404, description="10062: Unknown interaction")
    asked = emulator.slash("ask", {"text": "hello"})
    await until(lambda: "interaction not answered" in caplog.text)
    assert f"i:{asked.id}" in sink.stored
    assert asked.token not in caplog.text
    emulator.say("still here")
    await until(lambda: "still here" in sink.texts)
