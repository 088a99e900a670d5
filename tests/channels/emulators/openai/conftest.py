"""A running stand-in and the unmodified client."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from openai import AsyncOpenAI

from channels.emulators.openai import OpenAiEmulator


@pytest.fixture
async def emulator() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator() as made:
        yield made


@pytest.fixture
async def client(emulator: OpenAiEmulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=emulator.base_url, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session
