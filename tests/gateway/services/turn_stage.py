"""Agents that answer as a test says, in a real gateway."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, eventually, words

from gateway.agent_settings import AgentSettings
from gateway.agents import registry
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentOutput, Recovery, RunContext

Answer = Callable[[RunContext], AsyncIterator[AgentOutput]]
Script = Callable[..., None]
ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")


class ScriptedAgent:
    """`gateway.agents.port.AgentAdapter` that answers by a function."""

    def __init__(
        self, settings: AgentSettings, answer: Answer, recovery: Recovery, is_steerable: bool
    ) -> None:
        self.settings = settings
        self.answer = answer
        self.recovery = recovery
        self.is_steerable = is_steerable

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self) -> None:
        """Nothing to let go of."""


def make_script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """What makes the next gateway's agents scripted ones; by id when `others` names some."""

    def make(
        answer: Answer, *, recovery: Recovery = "resume", is_steerable: bool = False, **others: Answer
    ) -> None:
        def factory(settings: AgentSettings, parts: AgentParts) -> ScriptedAgent:
            return ScriptedAgent(settings, others.get(settings.id, answer), recovery, is_steerable)

        monkeypatch.setattr(registry, "_load", lambda settings: {"demo": factory})

    return make


async def ask(wire: Wire, text: str, **params: Any) -> tuple[str, str]:
    """Say something; returns the thread and the run."""
    sent = await wire.call("message.send", content=words(text), **params)
    return sent["thread_id"], sent["run_id"]


async def ended(stage: Stage, thread_id: str, count: int = 1) -> list[Frame]:
    """The log of a thread once so many of its runs have ended."""
    return await logged(stage, thread_id, *ENDINGS, count=count)


async def logged(stage: Stage, thread_id: str, *kinds: str, count: int = 1) -> list[Frame]:
    """The log of a thread once it has so many events of these kinds."""

    async def is_there() -> list[Frame] | None:
        log = await stage.log(thread_id)
        return log if sum(event["kind"] in kinds for event in log) >= count else None

    log: list[Frame] = await eventually(is_there)
    return log
