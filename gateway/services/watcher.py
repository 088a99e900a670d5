"""Watchers: tasks that look when they are woken, and again when what they found says so.

What there is to do stands in the store, so a missed wake, a crash and an outage of the store only delay it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.services import patience
from storage.errors import StoreUnavailable

log = structlog.get_logger()


class Watcher:
    """One such task. `look` returns the seconds until it wants to look again unasked, None for never."""

    def __init__(self, name: str, look: Callable[[], Awaitable[float | None]]) -> None:
        self._name = name
        self._look = look
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for the first time, soon."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, also in the middle of a look; the next start goes on. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                wait_s = await self._look()
            except StoreUnavailable as error:
                log.warning(
                    "a watcher waits for the store",
                    action="watcher_waits",
                    watcher=self._name,
                    error=str(error),
                )
                wait_s = patience.STORE_RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
