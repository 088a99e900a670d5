"""What the tests of the client's shell share: a client of the scripted server, and reading with a deadline."""

import asyncio

import pytest
from scripted_server import ScriptedServer
from threadgate_client import Client, Event, Item, Subscription, limits

THREAD = "thr_1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect quickly: what the delays are is tested without a clock."""
    monkeypatch.setattr(limits, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 0.05)


def client_of(server: ScriptedServer, **options: object) -> Client:
    return Client(server.url, token="secret", **{"connect_timeout_s": 5, "request_timeout_s": 5, **options})  # type: ignore[arg-type]


def fill(server: ScriptedServer, count: int) -> None:
    for _ in range(count):
        server.gateway.append(THREAD, "run.started", {"attempt": 1}, "run_1")
    server.flush()


async def read_events(subscription: Subscription, up_to: int) -> list[int]:
    seqs: list[int] = []
    async with asyncio.timeout(5):
        async for item in subscription:
            if isinstance(item, Event):
                seqs.append(item.seq)
                if item.seq >= up_to:
                    break
    return seqs


async def next_of(subscription: Subscription, kind: type[Item]) -> Item:
    async with asyncio.timeout(5):
        async for item in subscription:
            if isinstance(item, kind):
                return item
    raise AssertionError(f"no {kind.__name__} came")
