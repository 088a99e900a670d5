"""Receiving against the emulator: stored before anything else, read back when missed, nothing twice."""

import asyncio
import logging

import pytest
from channel_stage import MemorySink, until
from discord_stage import GATE, GENERAL, MENTION, is_connected, make_adapter, make_emulator

from channels.discord.adapter import DiscordAdapter
from channels.emulators.discord import DEFAULT_CHANNEL, DiscordEmulator
from channels.messages import (
    Addressed,
    Deleted,
    Edited,
    HealthState,
    Inbound,
    Operation,
    Rendered,
    RoomRef,
)

ROOM = DEFAULT_CHANNEL.id


async def connect(adapter: DiscordAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))


async def test_a_mention_is_stored_with_the_cursor_of_its_room(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    said = emulator.say(f"{MENTION} hello")
    await until(lambda: sink.texts == ["hello"])
    inbound = sink.stored[f"m:{said.id}"]
    assert isinstance(inbound, Inbound)
    assert inbound.addressed is Addressed.MENTION
    assert inbound.room == RoomRef(str(ROOM), str(said.id))
    assert inbound.thread_key == f"{ROOM}/{said.id}"
    await until(lambda: sink.cursor_values[str(ROOM)].value.endswith(f"-{said.id}"))
    health = adapter.health()
    assert health.last_event_at_ms is not None and health.lag_ms is not None and health.missing == ()


async def test_a_direct_message_needs_no_mention(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    dm = emulator.dm()
    said = emulator.say("psst", channel_id=dm.id)
    await until(lambda: sink.texts == ["psst"])
    inbound = sink.stored[f"m:{said.id}"]
    assert isinstance(inbound, Inbound)
    assert (inbound.addressed, inbound.is_direct) == (Addressed.DIRECT, True)
    assert (inbound.room, inbound.thread_key) == (RoomRef(str(dm.id)), str(dm.id))


async def test_messages_keep_their_order_over_many_batches(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    texts = [f"message {number}" for number in range(250)]
    for text in texts:
        emulator.say(text)
    await until(lambda: len(sink.texts) == len(texts))
    assert sink.texts == texts
    assert max(len(attempt) for attempt in sink.attempts) <= 100


async def test_what_was_said_in_a_thread_belongs_to_the_message_it_hangs_on(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    starter = emulator.say(f"{MENTION} hello")
    thread = emulator.start_thread("talk", message_id=starter.id)
    follow_up = emulator.say("and more", channel_id=thread.id)
    await until(lambda: sink.texts == ["hello", "and more"])
    first, second = sink.stored[f"m:{starter.id}"], sink.stored[f"m:{follow_up.id}"]
    assert isinstance(first, Inbound) and isinstance(second, Inbound)
    assert second.addressed is Addressed.AMBIENT
    assert second.room == first.room == RoomRef(str(ROOM), str(thread.id))
    assert second.thread_key == first.thread_key


async def test_edits_and_deletions_are_deliveries_of_their_own(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    said = emulator.say(f"{MENTION} helo")
    emulator.edit(ROOM, said.id, f"{MENTION} hello")
    other = emulator.say("to be deleted")
    emulator.delete(ROOM, said.id, other.id)
    await until(lambda: f"d:{other.id}" in sink.stored)
    (edited,) = [one for one in sink.stored.values() if isinstance(one, Edited)]
    assert (edited.message_ref, edited.text) == (str(said.id), "hello")
    assert edited.delivery_id.startswith(f"e:{said.id}:20")
    deleted = [one for one in sink.stored.values() if isinstance(one, Deleted)]
    assert [one.message_ref for one in deleted] == [str(said.id), str(other.id)]


async def test_opening_a_thread_at_a_message_is_no_edit_of_it(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    said = emulator.say(f"{MENTION} hello")
    emulator.start_thread("talk", message_id=said.id)
    emulator.say("done")
    await until(lambda: "done" in sink.texts)
    assert [one for one in sink.stored.values() if isinstance(one, Edited)] == []


async def test_the_bots_own_messages_are_no_deliveries(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    await adapter.send(Operation("dlv_1", 1), GENERAL, Rendered("I say"))
    emulator.say("you say")
    await until(lambda: sink.texts == ["you say"])
    assert len(sink.stored) == 1


# --- when storing fails ---------------------------------------------------------------------------


async def started(sink: MemorySink) -> None:
    """What a start stores by itself comes first: where reading begins, and which commands were made known."""
    await until(lambda: {str(ROOM), "commands"} <= sink.cursor_values.keys())


async def test_a_batch_that_cannot_be_stored_is_stored_later(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    await connect(adapter, sink)
    await started(sink)
    before = len(sink.attempts)
    sink.failures = [OSError("disk full"), OSError("disk full")]
    said = emulator.say(f"{MENTION} hello")
    await until(lambda: sink.texts == ["hello"])
    assert sink.attempts[before:] == [[f"m:{said.id}"]] * 3
    assert "disk full" in caplog.text
    await until(lambda: is_connected(adapter))


async def test_a_store_that_fails_shows_in_the_health_and_moves_no_cursor(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    await until(lambda: str(ROOM) in sink.cursor_values)
    cursor = sink.cursor_values[str(ROOM)]
    sink.failures = [OSError("disk full")] * 10_000
    emulator.say(f"{MENTION} hello")
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    assert "stored" in (adapter.health().detail or "")
    assert sink.cursor_values[str(ROOM)] == cursor


async def test_what_could_not_be_stored_before_the_end_is_read_back_by_the_next_process(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    first = make_adapter(emulator)
    await connect(first, sink)
    await until(lambda: str(ROOM) in sink.cursor_values)
    sink.failures = [OSError("disk full")] * 10_000
    emulator.say(f"{MENTION} hello")
    await until(lambda: len(sink.failures) < 10_000)
    await first.stop()
    sink.failures = []
    second = make_adapter(emulator)
    await connect(second, sink)
    await until(lambda: sink.texts == ["hello"])
    await second.stop()


async def test_a_commit_in_progress_is_awaited_by_the_stop(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    await started(sink)
    attempts = len(sink.attempts)
    sink.gate.clear()
    emulator.say(f"{MENTION} hello")
    await until(lambda: len(sink.attempts) > attempts)
    stopping = asyncio.create_task(adapter.stop())
    await asyncio.sleep(0)
    sink.gate.set()
    await stopping
    assert sink.texts == ["hello"]


# --- when the gateway fails -----------------------------------------------------------------------


async def test_a_cut_connection_is_resumed_and_nothing_is_read_back(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    emulator.say("before")
    await until(lambda: sink.texts == ["before"])
    reads = len(emulator.calls.select("GET /channels/{c}/messages"))
    assert emulator.gateway.cut() == 1
    said = emulator.say("meanwhile")
    emulator.edit(ROOM, said.id, "meanwhile, edited")
    await until(lambda: any(isinstance(one, Edited) for one in sink.stored.values()))
    assert sink.texts == ["before", "meanwhile"]
    assert len(emulator.calls.select("GET /channels/{c}/messages")) == reads
    assert len(emulator.sessions()) == 1


@pytest.mark.parametrize("resumable", [True, False])
async def test_an_invalid_session_loses_nothing(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink, resumable: bool
) -> None:
    await connect(adapter, sink)
    emulator.say("before")
    await until(lambda: sink.texts == ["before"])
    emulator.gateway.invalidate(resumable=resumable)
    emulator.say("meanwhile")
    await until(lambda: sink.texts == ["before", "meanwhile"])
    await until(lambda: is_connected(adapter))
    emulator.say("after")
    await until(lambda: sink.texts == ["before", "meanwhile", "after"])


async def test_the_gateway_may_ask_for_a_new_connection(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    upgrades = emulator.gateway.upgrade_count
    emulator.gateway.ask_to_reconnect()
    await until(lambda: emulator.gateway.upgrade_count > upgrades and is_connected(adapter))
    emulator.say("still here")
    await until(lambda: sink.texts == ["still here"])


async def test_refused_connections_are_tried_again(emulator: DiscordEmulator, sink: MemorySink) -> None:
    emulator.gateway.refuse_upgrades(3)
    adapter = make_adapter(emulator)
    await connect(adapter, sink)
    emulator.gateway.refuse_upgrades(7)  # more than a session is resumed for
    emulator.gateway.cut()
    await until(lambda: not is_connected(adapter))
    assert adapter.health().state is HealthState.DEGRADED
    await until(lambda: is_connected(adapter))
    emulator.say("hello")
    await until(lambda: sink.texts == ["hello"])
    await adapter.stop()


async def test_an_emulator_that_starts_later_is_found(sink: MemorySink) -> None:
    emulator = make_emulator()
    await emulator.start()
    port = int(emulator.url.rpartition(":")[2])
    await emulator.stop()
    adapter = make_adapter(emulator)
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.DEGRADED)
    await emulator.start(port=port)
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    await emulator.stop()


async def test_a_refused_token_stops_receiving_and_says_so(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    adapter = make_adapter(emulator, token="wrong")
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    assert "token" in (adapter.health().detail or "")
    await adapter.stop()


async def test_a_token_revoked_later_stops_receiving_too(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    emulator.moderation.revoke_token()
    emulator.gateway.close(4004)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    assert "token" in (adapter.health().detail or "")


async def test_a_refused_intent_says_which_one_to_enable(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    emulator.gateway.close(4014)
    await until(lambda: adapter.health().state is HealthState.STOPPED)
    assert "Message Content" in (adapter.health().detail or "")


async def test_starting_twice_is_a_mistake_and_starting_again_is_not(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    assert adapter.health().state is HealthState.STARTING
    await connect(adapter, sink)
    with pytest.raises(RuntimeError, match="started already"):
        await adapter.start(sink)
    await adapter.stop()
    await adapter.stop()
    assert adapter.health().state is HealthState.STOPPED
    emulator.say("meanwhile")
    await connect(adapter, sink)
    await until(lambda: sink.texts == ["meanwhile"])


async def test_the_token_is_in_no_log(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await connect(adapter, sink)
    emulator.say("a secret message")
    await until(lambda: sink.texts)
    emulator.gateway.cut()
    await until(lambda: emulator.gateway.upgrade_count > 1 and is_connected(adapter))
    await adapter.stop()
    assert "discord connected" in caplog.text
    assert GATE.token not in caplog.text and "a secret message" not in caplog.text
