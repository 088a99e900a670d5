"""Writing what must be written, until the store takes it: a full disk delays a run and loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from storage.errors import StoreUnavailable

log = structlog.get_logger()

STORE_RETRY_S: Final = 1.0
"""Pause before writing again what the store did not take."""
T = TypeVar("T")


async def until_stored(write: Callable[[], Awaitable[T]], what: str, run_id: str) -> T:
    """The result of `write`, once the store takes it. Whatever else it raises is raised."""
    while True:
        try:
            return await write()
        except StoreUnavailable as error:
            log.warning(
                "a run waits for the store",
                action="run_waits_for_store",
                what=what,
                run_id=run_id,
                error=str(error),
            )
        await asyncio.sleep(STORE_RETRY_S)
