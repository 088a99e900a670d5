"""Turns by room: one delivery of a room at a time is converted and stored, the earliest of those that wait first.

Slack spreads the events of a room over all sockets, and over HTTP sends them side by side, so neighbours can arrive
swapped. Their own time tells their order; a short wait before the first turn lets the other socket catch up.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Sockets of one machine are a few milliseconds apart; nobody notices this on the way to an answer.
WINDOW_S = 0.02

Order = tuple[int, int]


class Lines:
    """The rooms with something to store."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._lines: dict[str, list[tuple[Order, int, asyncio.Future[None]]]] = {}
        self._count = 0

    @asynccontextmanager
    async def turn(self, line: str, order: Order) -> AsyncIterator[None]:
        """Wait for this delivery's turn in its line, and hold it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        is_first = line not in self._lines
        self._count += 1
        heapq.heappush(self._lines.setdefault(line, []), (order, self._count, turn))
        if is_first:
            asyncio.get_running_loop().call_later(self._window_s, self._next, line)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next(line)  # it had its turn and does not take it
            raise
        try:
            yield
        finally:
            self._next(line)

    def _next(self, line: str) -> None:
        waiting = self._lines[line]
        while waiting:
            turn = heapq.heappop(waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        del self._lines[line]
