"""The stream of changes to pages: bounded queues, one for each listener.

A listener that does not keep up is cut off; its page connects again and loads everything anew.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

# A page that is this many changes behind is better off loading anew.
BACKLOG_MAX = 256


class Feed:
    """Who listens. Created and used on the event loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Json | None]] = set()
        self._is_closed = False

    @property
    def has_listeners(self) -> bool:
        """Whether it is worth making anything to publish."""
        return bool(self._listeners)

    def listen(self) -> asyncio.Queue[Json | None]:
        """A queue of changes; None in it means the end."""
        # One place is kept for the end, which must always fit.
        queue: asyncio.Queue[Json | None] = asyncio.Queue(BACKLOG_MAX + 1)
        if self._is_closed:
            queue.put_nowait(None)
        else:
            self._listeners.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[Json | None]) -> None:
        """Stop listening. Idempotent."""
        self._listeners.discard(queue)

    def publish(self, events: Sequence[Json]) -> None:
        """Hand changes to everybody who listens."""
        for event in events:
            for queue in list(self._listeners):
                if queue.qsize() < BACKLOG_MAX:
                    queue.put_nowait(event)
                else:
                    self._cut_off(queue)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        for queue in list(self._listeners):
            self._cut_off(queue)

    def _cut_off(self, queue: asyncio.Queue[Json | None]) -> None:
        self._listeners.discard(queue)
        queue.put_nowait(None)
