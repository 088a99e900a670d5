"""A stage for agents of kind "acp": the test agent as a real program, in a directory of the test."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents_stage import Given, MemoryJournal, attempt, decided, make_context
from pydantic import SecretStr

from gateway.agent_settings import AcpSettings
from gateway.agents.acp.agent import AcpAgent, create
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentAsk, AgentFailure
from storage.values import Decided

PROGRAM = Path(__file__).with_name("acp_agent.py")
PATIENCE_S = 40.0
"""A program takes a second of processor time to start; a machine may be busy."""


def make_agent(directory: Path, *options: str, **settings: Any) -> AcpAgent:
    """The test agent, not started; `options` are those of its program."""
    given: dict[str, Any] = {
        "id": "coder",
        "kind": "acp",
        "command": (sys.executable, str(PROGRAM), *options),
        "cwd": directory,
        **settings,
    }
    agent = create(AcpSettings(**given), AgentParts(directory, SecretStr.get_secret_value))
    assert isinstance(agent, AcpAgent)
    return agent


@asynccontextmanager
async def running(directory: Path, *options: str, **settings: Any) -> AsyncIterator[AcpAgent]:
    """The test agent, started; stopped afterwards."""
    agent = make_agent(directory, *options, **settings)
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


async def told(agent: AcpAgent, *lines: str, journal: MemoryJournal | None = None, **context: Any) -> Given:
    """What one attempt of the agent gave for a message of these commands."""
    return await attempt(agent, make_context(journal, "\n".join(lines), **context))


async def failed(
    agent: AcpAgent, *lines: str, journal: MemoryJournal | None = None, **context: Any
) -> AgentFailure:
    """How one attempt of the agent failed."""
    try:
        given = await told(agent, *lines, journal=journal, **context)
    except AgentFailure as failure:
        return failure
    raise AssertionError(f"it did not fail: {given}")


def deciding(approved: bool, asked: list[AgentAsk]) -> Callable[[AgentAsk], Awaitable[Decided]]:
    """People who decide at once; what they were asked is in `asked`."""

    async def ask(one: AgentAsk) -> Decided:
        asked.append(one)
        return decided(one, approved)

    return ask


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def processes_in(directory: Path) -> list[int]:
    """Processes whose working directory this is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory and is_alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class Stopwatch:
    """How long something took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def s(self) -> float:
        return time.monotonic() - self._began
