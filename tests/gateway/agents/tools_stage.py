"""A stage for tools: parts of an agent, settings with the effect-counting server, and waiting for what must happen."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import effect_server
from agents_stage import make_context
from pydantic import SecretStr

from gateway.agent_settings import McpSettings, ScriptSettings, ToolSettings
from gateway.agents.parts import AgentParts
from gateway.agents.port import Json, Recorded, RunContext
from gateway.agents.tools.toolbox import Toolbox
from gateway.agents.tools.use import use

EFFECT_SERVER = Path(effect_server.__file__)
WAIT_S = 10.0


def make_parts(directory: Path) -> AgentParts:
    """Parts in which a secret is its own reference."""
    return AgentParts(directory=directory, secret=SecretStr.get_secret_value)


def tool_settings(**changes: Any) -> ToolSettings:
    """An agent with tools."""
    return ToolSettings.model_validate({"id": "worker", "kind": "script", **changes})


def script_settings(script: Path, **changes: Any) -> ScriptSettings:
    """An agent that plays a file."""
    return ScriptSettings.model_validate({"id": "player", "kind": "script", "script": script, **changes})


def effects_at(file: Path, **changes: Any) -> dict[str, Any]:
    """The settings of the server whose effects can be counted; they are lines of `file`."""
    command = (sys.executable, str(EFFECT_SERVER))
    return {"name": "till", "command": command, "env": {"EFFECTS": str(file)}, **changes}


def effects(file: Path) -> list[str]:
    """What has been done."""
    return file.read_text().split() if file.exists() else []


@asynccontextmanager
async def toolbox(directory: Path, *servers: dict[str, Any], **changes: Any) -> AsyncIterator[Toolbox]:
    """A started toolbox with these MCP servers."""
    mcp = tuple(McpSettings.model_validate(server) for server in servers)
    box = Toolbox.of(tool_settings(mcp=mcp, **changes), make_parts(directory))
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


async def call(
    box: Toolbox,
    name: str,
    arguments: Json,
    context: RunContext | None = None,
    *,
    key: str = "1",
    in_s: float = WAIT_S,
) -> Recorded:
    """Use a tool of the box, by name."""
    return await use((await box.tools()).named(name), key, arguments, context or make_context(), in_s)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that happens in another process, where no event tells of it."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert condition(), what


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that is dead but not collected does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
