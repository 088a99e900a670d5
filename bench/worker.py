"""An agent process, as a user would write one: `python -m bench.worker URL CONCURRENT`, its token in THREADGATE_TOKEN.

It says that it is ready when runs can come, and runs until it is told to stop. It answers `tokens N` with N words and
`stamps N RATE` with the time, over and over.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator

from threadgate_client import Agent, AgentRun

from bench.stamps import COMMAND, stamps

LOOK_S = 0.01


async def answer(run: AgentRun) -> AsyncGenerator[str, None]:
    """The handler."""
    if run.text.startswith(COMMAND):
        async for word in stamps(run.text):
            yield word
        return
    for number in range(int(run.text.split()[1])):
        yield f"word-{number} "


async def main(url: str, concurrent: int) -> None:
    """Answer until SIGTERM."""
    agent = Agent(url, token=os.environ["THREADGATE_TOKEN"], name="bench", concurrent=concurrent)
    agent.on_run(answer)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    running = asyncio.create_task(agent.run())
    while not (agent.is_connected or running.done()):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(LOOK_S)
    if agent.is_connected:
        print("ready", flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
