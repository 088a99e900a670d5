"""Watchers: nothing that wakes one is missed, whether it looks just then, waits, or the store is out."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.services import patience
from gateway.services.watcher import Watcher
from storage.errors import StoreUnavailable

PATIENCE_S = 5.0


async def looked(times: int, look: Callable[[int], Awaitable[float | None]], poke: bool = False) -> int:
    """Run a watcher until it has looked so often; what it looks with is told how often it has."""
    count, enough = 0, asyncio.Event()

    async def counted() -> float | None:
        nonlocal count
        count += 1
        if count >= times:
            enough.set()
        return await look(count)

    watcher = Watcher("test", counted)
    watcher.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not enough.is_set():
                if poke:
                    watcher.wake()
                await asyncio.sleep(0)
    finally:
        await watcher.stop()
        await watcher.stop()  # nothing more
    return count


async def test_it_looks_when_it_starts_and_not_again_unasked() -> None:
    async def look(count: int) -> None:
        return None

    assert await looked(1, look) == 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await looked(2, look)


async def test_it_looks_again_when_it_is_woken() -> None:
    async def look(count: int) -> None:
        return None

    assert await looked(3, look, poke=True) >= 3


async def test_it_looks_again_when_its_look_said_so() -> None:
    async def look(count: int) -> float:
        return 0.01

    assert await looked(3, look) >= 3


async def test_a_wake_in_the_middle_of_a_look_is_not_lost() -> None:
    begun, go_on, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def look() -> None:
        if begun.is_set():
            second.set()
        begun.set()
        await go_on.wait()

    watcher = Watcher("test", look)
    watcher.start()
    await begun.wait()
    watcher.wake()
    go_on.set()
    async with asyncio.timeout(PATIENCE_S):
        await second.wait()
    await watcher.stop()


async def test_what_an_outage_of_the_store_interrupts_is_done_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "STORE_RETRY_S", 0.01)

    async def look(count: int) -> None:
        if count < 3:
            raise StoreUnavailable("disk full")

    assert await looked(3, look) == 3
