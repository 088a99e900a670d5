"""A running emulator and an adapter that talks to it; both are gone after the test."""

from collections.abc import AsyncIterator

import pytest
from channel_stage import MemorySink
from telegram_stage import make_adapter, make_emulator

from channels.emulators.telegram import TelegramEmulator
from channels.telegram.adapter import TelegramAdapter


@pytest.fixture
async def emulator() -> AsyncIterator[TelegramEmulator]:
    async with make_emulator() as running:
        yield running


@pytest.fixture
async def adapter(emulator: TelegramEmulator) -> AsyncIterator[TelegramAdapter]:
    made = make_adapter(emulator.url)
    yield made
    await made.stop()


@pytest.fixture
async def sink() -> MemorySink:
    return MemorySink()
