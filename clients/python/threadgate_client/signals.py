"""Programs that serve until they are told to stop: what agents and devices do with SIGINT and SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable


async def serve_until_signal(
    run: Callable[[], Awaitable[None]], stop: Callable[[], None], stopping: asyncio.Event
) -> None:
    """Run; the first signal asks it to stop, which sets `stopping`, a second one ends it at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"

    def on_signal() -> None:
        if stopping.is_set():
            task.cancel()
        stop()

    with contextlib.suppress(NotImplementedError):  # no such signals on this platform: Ctrl-C raises there
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
    await run()
