"""Lists that come in pages: await one page, or iterate over everything.

    page = await client.threads.list()                    the first page
    async for thread in client.threads.list(): ...        every thread, page after page
    async for page in client.threads.list().pages(): ...  the same, by pages

Nothing is asked before it is awaited or iterated.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from threadgate_client.answers import HistoryPage, Page
from threadgate_client.records import Event

T = TypeVar("T")


class Listing(Generic[T]):
    """A list of the gateway's; `fetch` gets the page at a cursor."""

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page[T]]], cursor: str | None) -> None:
        self._fetch = fetch
        self._cursor = cursor

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(self._cursor).__await__()

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page after page, from the listing's cursor to the end."""
        cursor = self._cursor
        while True:
            page = await self._fetch(cursor)
            yield page
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item


class HistoryListing:
    """A thread's events in pages, in the asked direction: forward with `after_seq`, else backward.

    Events inside a page are always in `seq` order; iterating over events follows the direction, so backward
    means newest first.
    """

    def __init__(
        self,
        fetch: Callable[[int | None, int | None], Awaitable[HistoryPage]],
        after_seq: int | None,
        before_seq: int | None,
    ) -> None:
        if after_seq is not None and before_seq is not None:
            raise ValueError("give after_seq or before_seq, not both")
        self._fetch = fetch
        self._after_seq, self._before_seq = after_seq, before_seq

    def __await__(self) -> Generator[Any, None, HistoryPage]:
        return self._fetch(self._after_seq, self._before_seq).__await__()

    async def pages(self) -> AsyncIterator[HistoryPage]:
        """Page after page."""
        after, before = self._after_seq, self._before_seq
        while True:
            page = await self._fetch(after, before)
            yield page
            if not page.more or not page.events:
                return
            if after is not None:
                after = page.events[-1].seq
            else:
                before = page.events[0].seq

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for page in self.pages():
            for event in page.events if self._after_seq is not None else reversed(page.events):
                yield event
