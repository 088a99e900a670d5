"""A feed: what waits between the session and one iterator of the user. Bounded, one reader.

When the user does not read, the feed fills and asks for its view to be paused: the cursor stays, the gateway
is told nobody listens, and once the user has read most of it the view continues from that cursor. So nothing
is lost, and memory stays bounded. Runs on the event loop; nothing here waits but `get` and `filled`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from threadgate_client import limits
from threadgate_client.errors import ThreadgateError

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    size_bytes: int


class Feed(Generic[T]):
    """A bounded queue that pauses its source instead of losing anything.

    `merge` may join a new value to the one before it, or return None. `pause` and `resume` are called when
    the feed is full and when it has room again.
    """

    def __init__(
        self,
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
        merge: Callable[[T, T], T | None] | None = None,
        items: int = limits.BUFFER_ITEMS,
        size_bytes: int = limits.BUFFER_BYTES,
    ) -> None:
        self._pause, self._resume, self._merge = pause, resume, merge
        self._max_items, self._max_bytes = items, size_bytes
        self._entries: deque[_Entry[T]] = deque()
        self._size_bytes = 0
        self._is_paused = False
        self._is_over = False
        self._error: ThreadgateError | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def put(self, value: T, size_bytes: int) -> None:
        """Add a value that took `size_bytes` on the wire."""
        self._size_bytes += size_bytes
        merged = self._merge(self._entries[-1].value, value) if self._merge and self._entries else None
        if merged is not None:
            self._entries[-1].value = merged
            self._entries[-1].size_bytes += size_bytes
        else:
            self._entries.append(_Entry(value, size_bytes))
        is_full = len(self._entries) >= self._max_items or self._size_bytes >= self._max_bytes
        if is_full and not self._is_paused and not self._is_over:
            self._is_paused = True
            self._pause()
        self._wake()

    def end(self, error: ThreadgateError | None) -> None:
        """Nothing more will come. What is there can still be read; the first end counts."""
        if not self._is_over:
            self._is_over, self._error = True, error
        self._wake()

    async def get(self) -> T:
        """Take the next value, waiting for it. Raises what `end` was given, or StopAsyncIteration."""
        while not self._entries:
            if self._is_over:
                raise self._error or StopAsyncIteration
            await self._changed()
        entry = self._entries.popleft()
        self._size_bytes -= entry.size_bytes
        if self._is_paused and len(self._entries) <= self._max_items * limits.BUFFER_RESUME_SHARE:
            self._is_paused = False
            if not self._is_over:
                self._resume()
        return entry.value

    async def filled(self) -> T:
        """Wait for the next value, but leave it there. Raises like `get`."""
        while not self._entries:
            if self._is_over:
                raise self._error or StopAsyncIteration
            await self._changed()
        return self._entries[0].value

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _changed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
