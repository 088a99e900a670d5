"""A running emulator and the unmodified library as its client."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from telegram import Bot
from telegram.request import HTTPXRequest
from telegram_emulator_cast import GATE, NOSY, READ_TIMEOUT_S, Clock, Connect

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, TelegramEmulator


@pytest.fixture(autouse=True)
def library_of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are durations; without this the library warns with every 429, and warnings are errors here."""
    monkeypatch.setenv("PTB_TIMEDELTA", "1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def emulator(clock: Clock) -> AsyncIterator[TelegramEmulator]:
    made = TelegramEmulator(
        [GATE, NOSY], clock=clock, flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False
    )
    async with made:
        yield made


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes library clients and closes them in the end."""
    made: list[Bot] = []

    async def connect_bot(emulator: TelegramEmulator, account: BotAccount = GATE) -> Bot:
        bot = Bot(
            account.token,
            base_url=emulator.base_url,
            base_file_url=emulator.base_file_url,
            request=HTTPXRequest(read_timeout=READ_TIMEOUT_S),
            get_updates_request=HTTPXRequest(read_timeout=READ_TIMEOUT_S),
        )
        # Before it introduces itself: a client whose token is refused has connections to close as well.
        made.append(bot)
        await bot.initialize()
        return bot

    yield connect_bot
    for bot in made:
        await bot.shutdown()


@pytest.fixture
async def bot(emulator: TelegramEmulator, connect: Connect) -> Bot:
    return await connect(emulator)


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session
