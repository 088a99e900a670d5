"""The registry: kinds are loaded when configured, a broken agent stops nobody, a reload is all or nothing."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from agents_stage import attempt, make_context
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway.agent_settings import AGENT_SETTINGS, AgentSettings, DemoSettings, HttpSettings
from gateway.agents import registry
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure, AgentOutput, AgentText, Recovery, RunContext
from gateway.agents.registry import KINDS, Agents, Changes, problem_of
from gateway.settings import SettingsError
from protocol.errors import ErrorKind, Fault

log: list[str] = []
kept: list["Living"] = []
"""So that no two agents of a test have one id()."""


class Living:
    """An agent that writes down its life. Its name says what goes wrong with it."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: AgentSettings, parts: AgentParts) -> None:
        if settings.name == "unmakeable":
            raise AgentFailure("missing_secret", "the environment variable KEY is not set")
        self.settings = settings

    @property
    def label(self) -> str:
        return f"{self.settings.id} v{self.settings.version}"

    async def start(self) -> None:
        if self.settings.name == "unstartable":
            raise AgentFailure("bad_configuration", "the script has no scenario")
        if self.settings.name == "hanging":
            await asyncio.Event().wait()
        if self.settings.name == "buggy":
            raise ZeroDivisionError
        log.append(f"start {self.label}")

    async def stop(self) -> None:
        log.append(f"stop {self.label}")

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText(self.label)


@pytest.fixture(autouse=True)
def living(monkeypatch: pytest.MonkeyPatch) -> None:
    log.clear()
    monkeypatch.setattr(registry, "KINDS", {**registry.KINDS, "demo": f"{__name__}:Living"})


def no_secret(reference: SecretStr) -> str:
    raise AssertionError("nobody has a secret here")


PARTS = AgentParts(Path(), no_secret)


def an(agent_id: str, **told: Any) -> AgentSettings:
    return DemoSettings(id=agent_id, **told)


async def started(*settings: AgentSettings) -> Agents:
    agents = Agents(settings, settings[0].id, PARTS)
    await agents.start()
    return agents


async def test_agents_are_listed_in_the_order_of_the_configuration_and_found_by_id() -> None:
    agents = await started(an("zoe"), an("ada"))
    assert [agent.settings.id for agent in agents.all()] == ["zoe", "ada"]
    assert agents.get("ada").settings.id == "ada" and agents.default_id == "zoe"
    with pytest.raises(Fault) as unknown:
        agents.get("bob")
    assert unknown.value.kind is ErrorKind.NOT_FOUND
    await agents.stop()
    assert log == ["start zoe v1", "start ada v1", "stop zoe v1", "stop ada v1"]


@pytest.mark.parametrize("place", ["no.such.module:create", f"{__name__}:nothing"])
async def test_a_kind_that_cannot_be_loaded_is_an_error_that_names_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "KINDS", {"demo": f"{__name__}:Living", "http": place})
    with pytest.raises(SettingsError, match="the kind 'http' cannot be loaded: "):
        Agents([an("demo"), HttpSettings(id="a", kind="http", url="http://127.0.0.1")], "demo", PARTS)
    assert Agents([an("demo")], "demo", PARTS).get("demo"), "what nobody configured is not loaded"


def test_every_kind_of_the_settings_has_a_factory() -> None:
    assert list(AGENT_SETTINGS) == list(KINDS)


def test_the_registry_loads_no_kind_by_itself() -> None:
    program = (
        "import sys, gateway.agents.registry; "
        "sys.exit(any(name in sys.modules for name in ('gateway.agents.demo', 'pydantic_ai', 'acp', 'mcp')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- what is broken --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("unmakeable", "missing_secret", "the environment variable KEY is not set"),
        ("unstartable", "bad_configuration", "the script has no scenario"),
        ("buggy", "internal", "an internal error (ZeroDivisionError)"),
    ],
)
async def test_a_broken_agent_is_listed_and_its_runs_fail_while_the_others_work(
    name: str, kind: str, text: str
) -> None:
    agents = await started(an("bad", name=name), an("good"))
    assert [problem_of(agent) for agent in agents.all()] == [text, None]
    with pytest.raises(AgentFailure) as failed:
        await attempt(agents.get("bad"), make_context())
    assert (failed.value.kind, str(failed.value)) == (kind, text)
    assert not failed.value.passes
    assert (await attempt(agents.get("good"), make_context())).text == "good v1"


async def test_an_agent_that_hangs_while_starting_is_broken_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "START_S", 0.01)
    agents = await started(an("slow", name="hanging"), an("good"))
    assert problem_of(agents.get("slow")) == "it was not ready within 0.01 s"
    assert log == ["stop slow v1", "start good v1"]


# --- reload ----------------------------------------------------------------------------------------


async def test_a_reload_starts_what_is_new_before_it_stops_what_it_replaces() -> None:
    agents = await started(an("same"), an("changed"), an("removed"))
    log.clear()
    changes = await agents.reload([an("added"), an("changed", version="2"), an("same")], "same")
    assert changes == Changes(added=("added",), changed=("changed",), removed=("removed",))
    assert [agent.settings.id for agent in agents.all()] == ["added", "changed", "same"]
    assert agents.default_id == "same"
    await agents.stop()
    assert log[:2] == ["start added v1", "start changed v2"]
    assert sorted(log[2:]) == [
        "stop added v1",
        "stop changed v1",
        "stop changed v2",
        "stop removed v1",
        "stop same v1",
    ]


async def test_a_reload_of_the_same_changes_nothing() -> None:
    agents = await started(an("same"))
    before = agents.get("same")
    assert await agents.reload([an("same")], "same") == Changes()
    assert agents.get("same") is before and log == ["start same v1"]


async def test_a_reload_with_an_agent_that_cannot_answer_changes_nothing_and_names_all_of_them() -> None:
    agents = await started(an("one"))
    log.clear()
    with pytest.raises(SettingsError) as refused:
        await agents.reload(
            [an("one", version="2"), an("b", name="unmakeable"), an("c", name="unstartable")], "b"
        )
    assert "'b' cannot answer: the environment variable KEY" in str(refused.value)
    assert "'c' cannot answer: the script has no scenario" in str(refused.value)
    assert (agents.default_id, [agent.settings.version for agent in agents.all()]) == ("one", ["1"])
    assert sorted(log) == ["start one v2", "stop c v1", "stop one v2"], "none of the new ones is left behind"


async def test_a_reload_mends_what_was_broken_without_a_change_of_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agents = await started(an("a", name="unstartable"))
    with pytest.raises(SettingsError, match="'a' cannot answer"):
        await agents.reload([an("a", name="unstartable")], "a")
    monkeypatch.setattr(Living, "start", Living.stop)  # now it starts
    assert await agents.reload([an("a", name="unstartable")], "a") == Changes(changed=("a",))
    assert problem_of(agents.get("a")) is None


async def test_a_replaced_agent_is_stopped_when_its_last_run_has_ended() -> None:
    agents = await started(an("a"))
    log.clear()
    with agents.use("a") as first:
        with agents.use("a") as second:
            assert first is second
            await agents.reload([an("a", version="2")], "a")
            with agents.use("a") as fresh:
                assert fresh.settings.version == "2"
        await asyncio.sleep(0)
        assert log == ["start a v2"], "somebody still uses the old one"
    await agents.stop()
    assert log == ["start a v2", "stop a v1", "stop a v2"] or log == ["start a v2", "stop a v2", "stop a v1"]


async def test_an_agent_that_hangs_while_stopping_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(self: Living) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(registry, "STOP_S", 0.01)
    monkeypatch.setattr(Living, "stop", hang)
    agents = await started(an("a"))
    async with asyncio.timeout(5):
        await agents.stop()


async def test_an_agent_that_breaks_while_stopping_is_logged_and_the_others_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stop(self: Living) -> None:
        log.append(f"stop {self.label}")
        if self.settings.id == "a":
            raise ZeroDivisionError

    monkeypatch.setattr(Living, "stop", stop)
    agents = await started(an("a"), an("b"))
    with capture_logs() as logs:
        await agents.stop()
    assert [entry["agent_id"] for entry in logs if entry["action"] == "agent_stop_broke"] == ["a"]
    assert log[-2:] == ["stop a v1", "stop b v1"]


IDS = ("a", "b", "c")
configurations = st.lists(
    st.builds(
        an,
        st.sampled_from(IDS),
        version=st.sampled_from(["1", "2"]),
        name=st.sampled_from(["", "", "", "unstartable", "unmakeable"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.id,
)
acts = st.lists(
    st.tuples(st.just("reload"), configurations)
    | st.tuples(st.sampled_from(["use", "leave"]), st.integers(0, 2)),
    max_size=12,
)


@given(configurations, acts)
def test_every_agent_is_stopped_once_and_never_while_a_run_uses_it(
    first: list[AgentSettings], doing: list[tuple[str, Any]]
) -> None:
    lives: dict[int, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "KINDS", {"demo": f"{__name__}:Living"})
        patch.setattr(Living, "start", partialmethod(_begin, lives))
        patch.setattr(Living, "stop", partialmethod(_end, lives))
        asyncio.run(_live(first, doing, lives))
    assert set(lives.values()) <= {"stopped"}


async def _begin(agent: Living, lives: dict[int, str]) -> None:
    if agent.settings.name:
        raise AgentFailure("bad_configuration", "no")
    lives[id(agent)] = "started"
    kept.append(agent)


async def _end(agent: Living, lives: dict[int, str]) -> None:
    if agent.settings.name:
        return
    assert lives[id(agent)] == "started", "stopped twice"
    lives[id(agent)] = "stopped"


async def _live(first: list[AgentSettings], doing: list[tuple[str, Any]], lives: dict[int, str]) -> None:
    agents = Agents(first, first[0].id, PARTS)
    await agents.start()
    in_force = [one.id for one in first]
    runs: list[tuple[ExitStack, Any]] = []
    for act, what in doing:
        if act == "reload":
            if any(one.name for one in what):
                with pytest.raises(SettingsError):
                    await agents.reload(what, what[0].id)
            else:
                await agents.reload(what, what[0].id)
                in_force = [one.id for one in what]
        elif act == "use":
            stack = ExitStack()
            runs.append((stack, stack.enter_context(agents.use(in_force[what % len(in_force)]))))
        elif runs:
            stack, _ = runs.pop(what % len(runs))
            stack.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert [agent.settings.id for agent in agents.all()] == in_force
        assert all(lives.get(id(agent), "started") == "started" for _, agent in runs)
        live = [agent for agent in agents.all() if problem_of(agent) is None]
        assert all(lives[id(agent)] == "started" for agent in live)
    for stack, _ in runs:
        stack.close()
    await agents.stop()
