"""The gateway under test, as the harness sees it: a configuration, a nursery, births and deaths."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway import runtime_file
from gateway.crash_points import MARKER

READY_S = 20.0
"""The longest a birth may take on a busy machine; usually 0.03 s."""
POLL_S = 0.005
_SECRET = re.compile(r"shown this once: (\S+)")


class Gateways:
    """One data directory and the gateways that live on it, one after the other."""

    def __init__(self, place: Path, *options: str) -> None:
        self.data_dir = place / "data"
        self.log_path = place / "gateway.log"
        self.port = _free_port()
        self.pid: int | None = None
        self._config = place / "config.toml"
        self._options = options
        self._nursery: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where every one of them listens."""
        return f"http://127.0.0.1:{self.port}"

    async def open(self, tables: Sequence[Mapping[str, Any]], agents: str = "") -> None:
        """Write the configuration with these channels and start the nursery. `agents` are tables as TOML."""
        self.data_dir.mkdir(mode=0o700)
        (self.data_dir / MARKER).touch()
        self.log_path.touch()
        self._config.write_text(_configuration(self.port, tables) + "\n" + agents)
        self._nursery = await asyncio.create_subprocess_exec(
            sys.executable,
            Path(__file__).with_name("nursery.py"),
            self._config,
            self.data_dir,
            self.log_path,
            *self._options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._fact("ready")

    async def close(self) -> None:
        """End whatever still runs."""
        self.send(signal.SIGKILL)
        nursery, self._nursery = self._nursery, None
        if nursery is not None and nursery.stdin is not None:
            nursery.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(nursery.wait(), READY_S)

    async def birth(self, env: dict[str, str] | None = None) -> None:
        """Start a gateway; it may not be ready yet, and it may end by itself."""
        assert self._nursery is not None and self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps({"env": env or {}}).encode() + b"\n")
        self.pid = (await self._fact("born"))["born"]

    async def ready(self) -> None:
        """Wait until the gateway serves. Raises TimeoutError."""
        async with asyncio.timeout(READY_S):
            while (running := runtime_file.read(self.data_dir)) is None or running.pid != self.pid:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(POLL_S)

    async def secret(self) -> str:
        """The owner token that the first one shows when it is ready. Raises TimeoutError."""
        async with asyncio.timeout(READY_S):
            while (found := _SECRET.search(self.log_path.read_text())) is None:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        return found[1]

    def send(self, number: signal.Signals) -> None:
        """Signal the living gateway, if there is one."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def death(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        status = (await self._fact("died"))["status"]
        self.pid = None
        return status

    async def _fact(self, kind: str) -> dict[str, int]:
        assert self._nursery is not None and self._nursery.stdout is not None
        line = await self._nursery.stdout.readline()
        fact: dict[str, int] = json.loads(line) if line else {}
        if kind not in fact:
            raise RuntimeError(f"the nursery said {line!r} instead of {kind}; see {self.log_path}")
        return fact


def _configuration(port: int, tables: Sequence[Mapping[str, Any]]) -> str:
    # Attempts: here a run is interrupted more often in a minute than elsewhere in a year, and every answer is
    # expected to come nevertheless.
    lines = [
        f"port = {port}",
        'log_level = "warning"',
        'log_format = "json"',
        "[runs]",
        "attempts_max = 100",
        "shutdown_s = 0.2",
    ]
    for table in tables:
        more = {"dm_policy": "open", "messages_per_minute": 100_000}
        # What a TOML file and JSON write alike: texts, numbers, true and false.
        lines += [
            "[[channels]]",
            *(f"{key} = {json.dumps(value)}" for key, value in {**more, **table}.items()),
        ]
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
