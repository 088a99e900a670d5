"""A real gateway per test, attacked from outside; on uvloop, as in life."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.contract.networks import Network
from tests.contract.telegram_network import TelegramNetwork
from tests.gateway.gateway_stage import Stage, Wire
from tests.security.security_stage import NETWORKS, ChatStage

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
    """A connection of the owner."""
    return await stage.connect()


@pytest.fixture(params=list(NETWORKS))
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    """Each emulated chat network in turn."""
    made = NETWORKS[request.param]()
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def chat(tmp_path: Path, network: Network) -> AsyncIterator[ChatStage]:
    """A gateway over it that is not started."""
    made = ChatStage(tmp_path / "data", network)
    yield made
    await made.close()


@pytest.fixture
async def telegram(tmp_path: Path) -> AsyncIterator[ChatStage]:
    """A gateway over Telegram that is not started, for what is the same on every network."""
    network = TelegramNetwork()
    await network.open()
    made = ChatStage(tmp_path / "data", network)
    yield made
    await made.close()
    await network.close()
