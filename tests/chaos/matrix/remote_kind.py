"""Kind remote: two agent processes with steps around their effects; they are killed as well and come back."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from threadgate_client import Client

from .cells import RANDOM, Kill
from .kinds import (
    ASK_POINTS,
    RUN_POINTS,
    STEP_POINTS,
    Effect,
    Line,
    Nature,
    Plain,
    kill_all,
    read_effects,
    toml,
)

WORKERS: Final = 2
PROGRAM: Final = Path(__file__).with_name("remote_worker.py")


class Remote(Plain):
    """Workers live beside the gateways and outlive them."""

    name = "remote"
    points: Sequence[str] = (*RUN_POINTS, *ASK_POINTS, *STEP_POINTS)
    states: Sequence[str] = ("run.waiting", "run.resumed")
    victims: Sequence[Kill] = (
        Kill("run.started", victim="agent"),
        Kill(RANDOM, after_s=0.4, victim="agent"),
        Kill(RANDOM, after_s=0.7, victim="agent"),
        Kill("run.waiting", victim="agent"),
        Kill("run.resumed", victim="agent"),
    )
    serious = 2
    length_s = 1.5

    def __init__(self) -> None:
        self._place = Path()
        self._living: dict[int, int] = {}
        self._kills = 0

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        self._place = place
        return f"[[agents]]\n{toml({'id': 'remote', 'kind': 'remote', 'worker_wait_s': 10.0})}"

    async def join(self, client: Client, url: str, stack: AsyncExitStack) -> None:
        """Start the workers, and start them again whenever they end."""
        token = (await client.tokens.create("agent", name="workers", agent_id="remote")).secret
        assert token is not None
        tasks = [asyncio.create_task(self._keep(number, url, token)) for number in range(WORKERS)]
        stack.push_async_callback(self._end, tasks)

    def lines(self, token: str) -> list[Line]:
        names: dict[str, Nature] = {
            f"{token}/look": "repeatable",
            f"{token}/first": "once",
            f"{token}/second": "once",
        }
        return [Line(f"work on {token}", names)]

    def effects(self) -> list[Effect]:
        return read_effects(self._place / "effects")

    def kill(self) -> bool:
        """The one that answered last, or all: in turn."""
        self._kills += 1
        if self._kills % 3 == 0:
            return kill_all(list(self._living.values()))
        busy = self._place / "busy"
        return busy.exists() and kill_all([int(busy.read_text())])

    async def _keep(self, number: int, url: str, token: str) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, PROGRAM, url, token, self._place, f"worker {number}"
            )
            self._living[number] = process.pid
            try:
                await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                    await process.wait()

    async def _end(self, tasks: list["asyncio.Task[None]"]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (self._place / "busy").unlink(missing_ok=True)
