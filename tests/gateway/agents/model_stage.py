"""Agents of kind="model" over the stand-in or a model of pydantic-ai's own, and a tool that counts its effects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr
from pydantic_ai.models import Model

from channels.emulators.openai import OpenAiEmulator
from gateway.agent_settings import ModelSettings
from gateway.agents.model.agent import ModelAgent, create
from gateway.agents.model.connection import open_client
from gateway.agents.model.packs import Packs
from gateway.agents.model.provider import Connected, connect
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure, Json, StepFailed
from gateway.agents.tools.port import Schema, Tool, ToolContext
from gateway.agents.tools.toolbox import Toolbox
from gateway.policy_settings import Risk

KEY = "sk-very-secret-key"


def resolve(reference: SecretStr) -> str:
    """As the composition root does it, without an environment."""
    value = reference.get_secret_value()
    if value.startswith("env:"):
        raise AgentFailure("missing_secret", f"{value} is not set")
    return value


PARTS = AgentParts(Path("/nowhere"), resolve)


def model_settings(emulator: OpenAiEmulator | None = None, **more: Any) -> ModelSettings:
    """Settings that lead to the stand-in."""
    address = {} if emulator is None else {"base_url": emulator.base_url, "api_key": KEY}
    known = {"id": "m", "kind": "model", "model": "demo", "input_price": 1.0, "output_price": 2.0, **address}
    return ModelSettings.model_validate(known | more)


@dataclass
class Counter:
    """A tool that adds numbers and counts how often it really did."""

    name: str = "count"
    requires_approval: bool = False
    is_repeatable: bool = False
    risk: Risk = "medium"
    kind: Literal["tool", "device"] = "tool"
    fails: str | None = None
    effects: list[Json] = field(default_factory=list)
    description: str = "Counts."
    parameters: Schema = field(
        default_factory=lambda: {
            "type": "object",
            "properties": {"by": {"type": "integer"}},
            "additionalProperties": False,
        }
    )

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        if self.fails is not None:
            raise StepFailed(self.fails)
        self.effects.append(arguments)
        return {"effects": len(self.effects)}


@asynccontextmanager
async def running(agent: ModelAgent) -> AsyncIterator[ModelAgent]:
    """The agent, started."""
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


def over(emulator: OpenAiEmulator, *tools: Tool, parts: AgentParts = PARTS, **more: Any) -> ModelAgent:
    """An agent that asks the stand-in, with these tools."""
    settings = model_settings(emulator, **more)
    if not tools:
        return create(settings, parts)
    packs = Packs(settings.context_packs, parts.path)
    return ModelAgent(settings, _box(tools), packs, lambda: connect(settings, parts))


def over_model(model: Model, *tools: Tool, **more: Any) -> ModelAgent:
    """An agent that asks a model of pydantic-ai's own."""
    settings = model_settings(None, **more)
    open_model: Callable[[], Connected] = lambda: Connected(model, open_client(1.0))  # noqa: E731
    return ModelAgent(settings, _box(tools), Packs((), PARTS.path), open_model)


def _box(tools: tuple[Tool, ...]) -> Toolbox:
    known: Mapping[str, Tool] = {tool.name: tool for tool in tools}
    return Toolbox(known, (), PARTS)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens on another connection, which gives no event here."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
