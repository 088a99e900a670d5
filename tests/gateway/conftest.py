"""A real gateway per test, on a directory and a port of its own, with the demo agent; on uvloop, as in life."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from gateway_stage import Stage, TelegramStage, Wire, make_emulator

from channels.capabilities import Rate
from channels.emulators.telegram import TelegramEmulator

# Waits are durations; without this the Telegram library warns with every 429, and warnings are errors here.
os.environ.setdefault("PTB_TIMEDELTA", "1")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def wire(stage: Stage) -> Wire:
    """A connection of the owner that has said hello."""
    return await stage.connect()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram's rates are in its adapter's tests; here a minute of messages is said in a second."""
    for name in ("RATE_PRIVATE", "RATE_GROUP", "RATE_ACCOUNT"):
        monkeypatch.setattr(f"channels.telegram.capabilities.{name}", Rate(10_000.0, 10_000))


@pytest.fixture
async def emulator() -> AsyncIterator[TelegramEmulator]:
    async with make_emulator() as running:
        yield running


@pytest.fixture
async def telegram(tmp_path: Path, emulator: TelegramEmulator) -> AsyncIterator[TelegramStage]:
    """A gateway with a Telegram bot that anybody may write to."""
    made = TelegramStage(tmp_path / "data", emulator)
    await made.start()
    yield made
    await made.close()
