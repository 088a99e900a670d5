"""A process of its own that writes to a store and says so: each acknowledged write is one line on stdout.

Started by the tests of the engine's life, which kill it, or let its disk fill up.
"""

import asyncio
import resource
import sys
from pathlib import Path

from store_stage import Scene, open_scene

from storage.errors import StoreError, StoreUnavailable

PRODUCERS = 4


async def write_for_ever(directory: Path) -> None:
    """Several producers, each in its thread; a line says what was acknowledged."""
    async with open_scene(directory) as scene:
        await asyncio.gather(*[_produce(scene) for _ in range(PRODUCERS)])


async def _produce(scene: Scene) -> None:
    thread_id = await scene.thread()
    while True:
        sent = await scene.say("to be kept", thread_id, queue_max=100_000)
        print(thread_id, sent.message_id, sent.seq, flush=True)


async def write_until_full(directory: Path) -> None:
    """Write until no file may grow, make room again, write on."""
    async with open_scene(directory) as scene:
        thread_id = await scene.thread()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        grown = (directory / "threadgate.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (grown + 200_000, hard))
        refused = 0
        while refused < 3:
            try:
                sent = await scene.say("x" * 5_000, thread_id, queue_max=100_000)
                print("kept", sent.message_id, flush=True)
            except StoreUnavailable:
                refused += 1
                print("refused", scene.store.engine.writable, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sent = await scene.say("there is room again", thread_id, queue_max=100_000)
        print("kept", sent.message_id, flush=True)
        print("writable", scene.store.engine.writable, flush=True)


async def open_without_room(directory: Path) -> None:
    """Open a store where no file may grow beyond a page."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        async with open_scene(directory):
            print("opened")
    except StoreError as error:
        print(type(error).__name__, error)


async def close_without_room(directory: Path) -> None:
    """The last checkpoint finds no room: nothing is lost by it."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_scene(directory) as scene:
        sent = await scene.say("to be kept")
        print("kept", sent.message_id, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    print("closed")


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
