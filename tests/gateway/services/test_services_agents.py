"""Agents as operators see them: what the configuration says, how each fares, and what is wrong with it."""

from pathlib import Path

import pytest
from gateway_stage import Stage, Wire, eventually, words
from pydantic import SecretStr

from gateway.agent_settings import (
    AgentSettings,
    DemoSettings,
    FetchSettings,
    McpSettings,
    RemoteSettings,
    ScriptSettings,
)
from gateway.agents import registry
from gateway.agents.demo import DemoAgent
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentAdapter, AgentFailure
from gateway.agents.registry import Agents
from gateway.rules.breaker import BreakerState
from gateway.services.agents import AgentsView
from protocol.records import Agent
from protocol.scopes import Scope
from storage.values import DEFAULT_ORG


def working(settings: AgentSettings, parts: AgentParts) -> AgentAdapter:
    return DemoAgent(settings)


def broken(settings: AgentSettings, parts: AgentParts) -> AgentAdapter:
    raise AgentFailure("missing_secret", "the environment variable KEY is not set")


def secret(reference: SecretStr) -> str:
    raise AssertionError("nobody has a secret here")


def view(monkeypatch: pytest.MonkeyPatch, *settings: AgentSettings, kinds: str = "working") -> AgentsView:
    monkeypatch.setattr(registry, "KINDS", {kind: f"{__name__}:{kinds}" for kind in registry.KINDS})
    agents = Agents(settings, settings[0].id, AgentParts(Path(), secret))
    return AgentsView(
        agents,
        running=lambda agent_id: 2,
        breaker=lambda agent_id: BreakerState.HALF_OPEN,
        workers=lambda agent_id: 3 if agent_id == "far" else None,
    )


def test_everything_that_is_configured_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = view(
        monkeypatch,
        ScriptSettings(
            id="a",
            kind="script",
            script=Path("a.yaml"),
            name="Ada",
            version="7",
            state="draft",
            scopes=(Scope.THREAD_READ,),
            fallback="b",
            concurrent=4,
            tools=("clock",),
            mcp=(McpSettings(name="files", command=("x",)),),
            fetch=FetchSettings(),
        ),
    ).get(DEFAULT_ORG, "a")
    assert shown == Agent(
        id="a",
        name="Ada",
        kind="script",
        state="draft",
        description="Plays a scenario from a YAML file: deterministic, the stand-in for tests and demonstrations.",
        version="7",
        tools=["clock", "files.*"],
        scopes=["thread.read"],
        fallback="b",
        breaker="half_open",
        running=2,
        concurrent=4,
    )


def test_workers_are_those_of_remote_agents_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = view(monkeypatch, DemoSettings(id="a"), RemoteSettings(id="far", kind="remote"))
    assert [agent.workers for agent in made.all(DEFAULT_ORG)] == [None, 3]


def test_a_broken_agent_is_shown_with_its_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = view(monkeypatch, DemoSettings(id="a", description="Mine"), kinds="broken").all(DEFAULT_ORG)
    assert (shown.problem, shown.description) == ("the environment variable KEY is not set", "Mine")


async def test_a_broken_agent_does_not_stop_the_gateway_and_its_runs_say_why(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "KINDS", {**registry.KINDS, "remote": f"{__name__}:broken"})
    await stage.restart(agents=(DemoSettings(id="demo"), RemoteSettings(id="far", kind="remote")))
    wire = await stage.connect()
    assert [one.get("problem") for one in (await wire.call("agent.list"))["agents"]] == [
        None,
        "the environment variable KEY is not set",
    ]
    sent = await wire.call("message.send", agent_id="far", content=words("say hello"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    failed = await wire.event("run.failed")
    assert failed["data"]["error"] == {
        "kind": "missing_secret",
        "message": "the environment variable KEY is not set",
    }


async def test_running_counts_the_runs_of_an_agent(wire: Wire) -> None:
    await wire.call("message.send", content=words("sleep 60"))

    async def is_running() -> bool:
        return bool((await wire.call("agent.get", agent_id="demo"))["agent"]["running"] == 1)

    await eventually(is_running)
