"""A real gateway per test, on a directory and a port of its own, with the demo agent; on uvloop, as in life."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from gateway_stage import Stage, TelegramStage, Wire, make_emulator

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
