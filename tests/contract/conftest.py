"""Every scenario runs on each network in turn, with a fresh network and a fresh store; on uvloop, as in life."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from gateway.rules.rate import TokenBucket
from tests.contract.contract_stage import ContractStage
from tests.contract.discord_network import DiscordNetwork
from tests.contract.networks import Network
from tests.contract.slack_network import SlackNetwork
from tests.contract.telegram_network import TelegramNetwork

NETWORKS: dict[str, Callable[..., Network]] = {
    "slack": SlackNetwork,
    "telegram": TelegramNetwork,
    "discord": DiscordNetwork,
}

QUICK = (
    "gateway.services.attempts.LOOK_AGAIN_S",
    "gateway.rules.retry.FIRST_S",
)
QUICK_S = 0.05
# Waits are durations; without this the Telegram library warns with every 429, and warnings are errors here.
os.environ.setdefault("PTB_TIMEDELTA", "1")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


class Unlimited(TokenBucket):
    """Never empty."""

    def wait_s(self, now: float) -> float:
        return 0.0


@pytest.fixture(params=list(NETWORKS))
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    """Without limits, unless a test is marked `limited`: then the network refuses what is too much for it."""
    made = NETWORKS[request.param](has_limits=request.node.get_closest_marker("limited") is not None)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def stage(tmp_path: Path, network: Network) -> AsyncIterator[ContractStage]:
    """A gateway that is not started: scenarios say with which settings (`go`)."""
    made = ContractStage(tmp_path / "data", network)
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def hurry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What real networks need time for, emulated ones do at once: a message is listed when it is posted, and where
    nothing is limited (see `network`) nothing needs to be paced."""
    for name in QUICK:
        monkeypatch.setattr(name, QUICK_S)
    if request.node.get_closest_marker("limited") is None:
        monkeypatch.setattr("gateway.services.traffic.TokenBucket", Unlimited)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's minute is short here: an account that lost its credential is asked again soon."""
    monkeypatch.setattr("gateway.rules.breaker.AUTH_S", 0.2)
