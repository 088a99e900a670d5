"""A process beside the gateway, on the load's core: what answers runs, so that its CPU is not the gateway's."""

import asyncio
import os
import signal
import sys
from typing import Self

from bench import machine
from bench.peer import LOAD_CORE

READY_TIMEOUT_S = 20.0
"""A Python process that imports a client or a server, on a machine that is busy."""
STOP_TIMEOUT_S = 10.0


class Beside:
    """`python -m MODULE ARGUMENTS` for the length of a block. It says one line when it is ready; that is `said`."""

    def __init__(self, module: str, *arguments: str, **environ: str) -> None:
        self._command = (sys.executable, "-m", module, *arguments)
        self._environ = {**os.environ, **environ}
        self.said = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}),
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                self.said = (await self._process.stdout.readline()).decode().strip()
            if not self.said:
                raise RuntimeError(f"{' '.join(self._command[1:])} ended before it was ready")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        return machine.cpu_s(self._process.pid)
