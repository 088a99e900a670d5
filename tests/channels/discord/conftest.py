"""A running emulator and an adapter that talks to it; both are gone after the test."""

from collections.abc import AsyncIterator

import pytest
from channel_stage import MemorySink
from discord_stage import make_adapter, make_emulator

from channels.discord.adapter import DiscordAdapter
from channels.emulators.discord import DiscordEmulator


@pytest.fixture
async def emulator() -> AsyncIterator[DiscordEmulator]:
    async with make_emulator() as running:
        yield running


@pytest.fixture
async def adapter(emulator: DiscordEmulator) -> AsyncIterator[DiscordAdapter]:
    made = make_adapter(emulator)
    yield made
    await made.stop()


@pytest.fixture
async def sink() -> MemorySink:
    return MemorySink()
