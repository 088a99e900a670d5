"""Feeds: bounded, pausing their source, losing nothing."""

import asyncio

import pytest
from threadgate_client import ClientClosed
from threadgate_client.feeds import Feed


class Source:
    """Counts what the feed asks of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def feed(self, **options: int) -> Feed[int]:
        return Feed(
            pause=lambda: self.calls.append("pause"),
            resume=lambda: self.calls.append("resume"),
            merge=lambda old, new: old + new if new < 0 else None,
            **options,
        )


async def test_a_full_feed_pauses_once_and_resumes_with_a_quarter_left() -> None:
    source = Source()
    feed = source.feed(items=8)
    for value in range(10):
        feed.put(value, 1)
    assert source.calls == ["pause"]
    taken = [await feed.get() for _ in range(7)]
    assert source.calls == ["pause"]
    assert [*taken, await feed.get()] == list(range(8))
    assert source.calls == ["pause", "resume"]


async def test_bytes_count_too_and_merging_bounds_the_items() -> None:
    source = Source()
    feed = source.feed(items=4, size_bytes=100)
    feed.put(50, 10)
    for _ in range(8):
        feed.put(-1, 10)
    assert source.calls == []
    feed.put(-1, 10)
    assert source.calls == ["pause"]
    assert await feed.get() == 41
    assert source.calls == ["pause", "resume"]


async def test_what_is_there_is_read_before_the_end() -> None:
    feed = Source().feed()
    feed.put(1, 1)
    feed.end(ClientClosed("over"))
    feed.end(None)
    assert await feed.filled() == 1
    assert await feed.get() == 1
    for wait in (feed.get, feed.filled, feed.get):
        with pytest.raises(ClientClosed, match="over"):
            await wait()


async def test_waiting_ends_with_a_value_or_the_end() -> None:
    feed = Source().feed()
    waits = [asyncio.create_task(feed.filled()), asyncio.create_task(feed.get())]
    await asyncio.sleep(0)
    feed.put(1, 1)
    assert await asyncio.gather(*waits) == [1, 1]
    wait = asyncio.create_task(feed.get())
    await asyncio.sleep(0)
    feed.end(None)
    with pytest.raises(StopAsyncIteration):
        await wait
