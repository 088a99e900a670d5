"""Receiving against the emulator: stored before anything else, read back when missed, nothing twice."""

import asyncio

import pytest
from channel_stage import MemorySink, until
from discord_stage import GATE, GENERAL, MENTION, is_connected, make_adapter, make_emulator

from channels.discord.adapter import DiscordAdapter
from channels.emulators.discord import DEFAULT_CHANNEL, DiscordEmulator
from channels.messages import Addressed, Deleted, Edited, HealthState, Inbound, RoomRef

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
