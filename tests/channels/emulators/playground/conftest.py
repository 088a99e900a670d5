"""The three networks with a bot each, and the playground before them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession
from playground_stage import Networks, make_networks

from channels.emulators.playground import Playground


@pytest.fixture
async def networks() -> AsyncIterator[Networks]:
    made = make_networks()
    async with made.slack, made.telegram, made.discord:
        yield made


@pytest.fixture
async def playground(networks: Networks) -> AsyncIterator[Playground]:
    made = Playground()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(made.stop)
        for emulator in networks:
            stack.push_async_callback(emulator.stop)
        await made.start([emulator.control_side for emulator in networks])
        yield made


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session
