"""A running emulator, and the unmodified library, plain REST and plain sockets as its clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import discord
import pytest
import yarl
from aiohttp import ClientSession
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord_emulator_cast import ADA, BO, GATE, GUILD, SHY, Api, Clock, Connect, Watcher

from channels.emulators.discord import NO_RATE_LIMITS, BotAccount, DiscordEmulator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def emulator(clock: Clock) -> AsyncIterator[DiscordEmulator]:
    made = DiscordEmulator([GATE, SHY], [GUILD], people=[ADA, BO], clock=clock, rate_limits=NO_RATE_LIMITS)
    async with made:
        yield made


@pytest.fixture
def pointed(emulator: DiscordEmulator) -> Iterator[None]:
    """The library's addresses are attributes of its classes, for the whole process."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    Route.BASE = emulator.api_base_url
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(emulator.gateway_url)
    yield
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before


@pytest.fixture
async def connect(pointed: None) -> AsyncIterator[Connect]:
    """Makes library clients that are ready, and closes them in the end."""
    made: list[tuple[Watcher, asyncio.Task[None]]] = []

    async def connect_client(account: BotAccount = GATE, *, reads_content: bool = True) -> Watcher:
        intents = discord.Intents.default()
        intents.message_content = reads_content
        client = Watcher(intents)
        task = asyncio.create_task(client.start(account.token))
        made.append((client, task))
        await client.told("ready")
        return client

    yield connect_client
    for client, task in made:
        await client.close()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def client(connect: Connect) -> Watcher:
    return await connect()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
async def api(emulator: DiscordEmulator, http: ClientSession) -> Api:
    return Api(emulator, http)
