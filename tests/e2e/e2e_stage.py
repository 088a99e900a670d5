"""What the end-to-end tests share: the real processes, as an operator starts them, and a look at the room."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from threadgate_client import Client, Event

BOT_TOKEN = "700000003:end-to-end"
ADA = 1001
PATIENCE_S = 20.0
"""The longest a test waits for anything that should come; a machine may be busy."""
LOOK_S = 0.02
THREADGATE = Path(sys.executable).parent / "threadgate"


@dataclass(slots=True)
class Program:
    """One running process; what it printed is kept."""

    process: asyncio.subprocess.Process
    output: str = ""

    async def printed(self, pattern: str) -> str:
        """Read its output until `pattern` was printed; returns the pattern's first group."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while (found := re.search(pattern, self.output)) is None:
                line = await self.process.stdout.readline()
                assert line, f"it ended without printing {pattern}:\n{self.output}"
                self.output += line.decode()
        return found[1]

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; returns the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        rest, _ = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        self.output += rest.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[Program]:
    """A program for the length of a block; ended with it at the latest. Its two outputs are one."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.returncode is None:
            await program.end(signal.SIGKILL)


@dataclass(slots=True)
class Stage:
    """A data directory, a configuration and an emulator; gateways come and go."""

    directory: Path
    telegram_url: str
    port: int
    token: str = ""

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://127.0.0.1:{self.port}"

    def threadgate(self, *arguments: str | Path) -> list[str | Path]:
        """A command line of the product on this stage."""
        config, data_dir = self.directory / "config.toml", self.directory / "data"
        return [THREADGATE, *arguments, "--config", config, "--data-dir", data_dir]

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Program]:
        """A gateway that is ready."""
        async with running(*self.threadgate("serve")) as program:
            await program.printed(r"listens on (\S+)")
            if not self.token:
                self.token = await program.printed(r"shown this once: (\S+)")
            yield program

    async def type(self, text: str) -> None:
        """Ada writes to the bot."""
        body = {"text": text, "user": {"id": ADA, "first_name": "Ada"}}
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{self.telegram_url}/control/messages", json=body)
        answer.raise_for_status()

    async def answers(self) -> list[str]:
        """What the bot's messages in Ada's chat show now."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{self.telegram_url}/control/chats/{ADA}/messages")
        answer.raise_for_status()
        return [message["text"] for message in answer.json() if message["from"]["is_bot"]]

    async def drafts(self) -> list[str]:
        """What Ada sees of answers that are being written."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{self.telegram_url}/control/chats/{ADA}/drafts")
        answer.raise_for_status()
        return [draft["text"] for draft in answer.json()]

    async def until_answer(self, *, has: str) -> None:
        """Wait until some message of the bot, or one that it is writing, contains `has`."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(has in text for text in [*await self.answers(), *await self.drafts()]):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """A fresh stage with a running emulator."""
    emulator = [sys.executable, "-m", "channels.emulators.telegram", "--port", "0", "--no-flood-limits"]
    async with running(*emulator, "--token", BOT_TOKEN) as program:
        url = await program.printed(r"listening on (\S+)")
        made = Stage(directory, url, free_port())
        (directory / "config.toml").write_text(
            f"""
port = {made.port}
log_level = "warning"
[runs]
shutdown_s = 0.2
[[channels]]
kind = "telegram"
account = "gate"
token = "{BOT_TOKEN}"
api_base_url = "{url}"
dm_policy = "open"
"""
        )
        yield made


async def thread_of_ada(client: Client) -> str:
    """The thread that began when Ada wrote."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for thread in (await client.threads.list()).items:
                if thread.origin.room == str(ADA):
                    return thread.id
            await asyncio.sleep(LOOK_S)


async def until_kind(events: AsyncIterator[Event], seen: list[Event], kind: str) -> None:
    """Read on, keeping what is read, until an event of this kind was read."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            seen.append(event)
            if event.kind == kind:
                return


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
