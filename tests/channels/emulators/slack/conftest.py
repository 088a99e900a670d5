"""A running emulator and the unmodified library as its client."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from slack_emulator_stage import CALM, GENERAL, Clock, client_of
from slack_sdk.web.async_client import AsyncWebClient

from channels.emulators.slack import SlackEmulator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def emulator(clock: Clock) -> AsyncIterator[SlackEmulator]:
    made = SlackEmulator(clock=clock, timing=CALM)
    made.open_channel(GENERAL)
    async with made:
        yield made


@pytest.fixture
def general(emulator: SlackEmulator) -> str:
    return emulator.channel(GENERAL).id


@pytest.fixture
def client(emulator: SlackEmulator) -> AsyncWebClient:
    return client_of(emulator)


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session
