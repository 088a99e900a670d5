"""An OpenAI-compatible endpoint that answers without delay, as a process of its own: `python -m bench.endpoint`.

It says its base URL when it listens, and runs until it is told to stop. `tokens N` is answered with N tokens.
"""

import asyncio
import signal

import uvloop

from channels.emulators.openai import OpenAiEmulator


async def main() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with OpenAiEmulator() as emulator:
        print(emulator.base_url, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main())
