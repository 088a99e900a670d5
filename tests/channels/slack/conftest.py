"""A running emulator and an adapter that talks to it; both are gone after the test."""

from collections.abc import AsyncIterator

import pytest
from channel_stage import MemorySink
from slack_stage import make_adapter, make_emulator

from channels.emulators.slack import SlackEmulator
from channels.slack.adapter import SlackAdapter


@pytest.fixture
async def emulator() -> AsyncIterator[SlackEmulator]:
    async with make_emulator() as running:
        yield running


@pytest.fixture
async def adapter(emulator: SlackEmulator) -> AsyncIterator[SlackAdapter]:
    made = make_adapter(emulator)
    yield made
    await made.stop()


@pytest.fixture
async def sink() -> MemorySink:
    return MemorySink()
