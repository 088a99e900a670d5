"""Reloading: agents and routes change while the gateway runs, all of them or none, from a file that is watched."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Stage, Wire, eventually, until, words
from structlog.testing import capture_logs

from gateway.services import reloading
from gateway.settings import load
from protocol.records import Role

ONE = '[[agents]]\nid = "demo"\n'
TWO = f'{ONE}[[agents]]\nid = "spare"\n'


class FileStage(Stage):
    """A gateway whose configuration is a file."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "data")
        self.path = directory / "config.toml"

    async def start(self, **changes: Any) -> None:
        self._given.update(changes)
        await self.start_with(load(self.path, self._given, {}))

    def write(self, text: str) -> None:
        """As an editor does that does not want to lose anything: a new file in the place of the old one."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is applied by itself while a test asks for it."""
    monkeypatch.setattr(reloading, "WATCH_S", 3600.0)


@pytest.fixture
async def filed(tmp_path: Path) -> AsyncIterator[FileStage]:
    made = FileStage(tmp_path)
    made.write(ONE)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def soon(unwatched: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "WATCH_S", 0.02)


async def ids(wire: Wire) -> list[str]:
    return [agent["id"] for agent in (await wire.call("agent.list"))["agents"]]


async def is_valid(stage: Stage) -> bool:
    text = (await stage.http().get("/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("threadgate_config_valid ")]
    return float(line.split()[1]) == 1.0


async def reload_entries(wire: Wire) -> list[dict[str, Any]]:
    entries = (await wire.call("audit.list", action="agent.reload"))["entries"]
    return [entry["detail"] for entry in entries]


async def test_somebody_asks_and_is_told_what_changed(filed: FileStage) -> None:
    wire = await filed.connect(await filed.token(Role.OPERATOR))
    filed.write(f'compression = true\n{TWO}[[routes]]\nagent = "spare"\n')
    told = (await wire.call("agent.reload"))["changes"]
    assert told == {"added": ["spare"], "changed": [], "removed": [], "restart_needed": ["compression"]}
    assert await ids(wire) == ["demo", "spare"]
    again = (await wire.call("agent.reload"))["changes"]
    assert (again["added"], again["restart_needed"]) == ([], ["compression"])
    first, *_ = await reload_entries(wire)
    assert first == {**told, "settings": ["agents", "routes"]}


async def test_another_default_agent_is_in_force_at_once(filed: FileStage) -> None:
    wire = await filed.connect()
    filed.write(f'default_agent = "spare"\n{TWO}')
    await wire.call("agent.reload")
    assert (await wire.call("server.info"))["default_agent_id"] == "spare"
    assert (await wire.call("thread.create"))["thread"]["agent_id"] == "spare"


async def test_a_viewer_may_not(filed: FileStage) -> None:
    wire = await filed.connect(await filed.token(Role.VIEWER))
    assert (await wire.refusal("agent.reload")).kind == "forbidden"


async def test_a_gateway_without_a_file_says_so(stage: Stage, wire: Wire) -> None:
    refused = await wire.refusal("agent.reload")
    assert refused.kind == "invalid_state" and "--config" in refused.data["hint"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ONE}modle = 1", "agents.0.modle: there is no such setting"),
        (f"{ONE}[[agents]]", "agents.1.id: field required"),
        ("port = = 1", "is not valid TOML"),
        (f'{ONE}[[routes]]\nagent = "nobody"', "routes.0.agent: 'nobody' is none of the agents"),
        (None, "cannot be read: No such file"),
    ],
)
async def test_what_is_not_valid_changes_nothing(filed: FileStage, text: str | None, problem: str) -> None:
    wire = await filed.connect()
    if text is None:
        filed.path.unlink()
    else:
        filed.write(text)
    refused = await wire.refusal("agent.reload")
    assert refused.kind == "invalid_state"
    assert any(problem in one for one in refused.data["problems"])
    assert await ids(wire) == ["demo"] and not await is_valid(filed)
    assert await reload_entries(wire) == []
    filed.write(ONE)
    assert (await wire.call("agent.reload"))["changes"]["changed"] == []
    assert await is_valid(filed)


async def test_a_file_that_is_saved_is_applied_by_itself(soon: None, filed: FileStage) -> None:
    wire = await filed.connect()
    filed.write(TWO)

    async def is_there() -> bool:
        return await ids(wire) == ["demo", "spare"]

    await eventually(is_there)
    await filed.restart()
    assert await ids(await filed.connect()) == ["demo", "spare"]


async def test_a_file_that_is_still_being_written_is_left_alone(soon: None, filed: FileStage) -> None:
    wire = await filed.connect()
    applied = []
    with capture_logs() as logs:
        for number in range(30):
            filed.path.write_text(f"{ONE}# {'x' * number}\n[[agents]]\nid =")
            os.utime(filed.path, ns=(number, number))
            await asyncio.sleep(0.01)
            applied += [entry for entry in logs if entry["action"] == "config_invalid"]
        filed.write(TWO)
        await eventually(lambda: _has(wire, "spare"))
    assert len(applied) == 0, "it changed with every look"


async def _has(wire: Wire, agent_id: str) -> bool:
    return agent_id in await ids(wire)


async def test_a_file_that_is_not_valid_is_logged_once_with_every_problem(
    soon: None, filed: FileStage
) -> None:
    with capture_logs() as logs:
        filed.write(f"{ONE}retries = 99\nsilence_s = 0")
        await until(lambda: any(entry["action"] == "config_invalid" for entry in logs))
        os.utime(filed.path)
        filed.gateway.reloading.ask()
        await asyncio.sleep(0.2)
    (entry,) = [entry for entry in logs if entry["action"] == "config_invalid"]
    assert len(entry["problems"]) == 2
    assert not await is_valid(filed)


async def test_a_run_goes_on_with_the_agent_it_began_with(filed: FileStage) -> None:
    wire = await filed.connect()
    sent = await wire.call("message.send", content=words("stream 40 100"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    await wire.event("run.started")
    filed.write('[[agents]]\nid = "demo"\nversion = "2"\n')
    assert (await wire.call("agent.reload"))["changes"]["changed"] == ["demo"]
    await wire.event("run.completed")
    first = (await wire.call("run.get", run_id=sent["run_id"]))["run"]
    again = await wire.call("message.send", thread_id=sent["thread_id"], content=words("say hello"))
    await wire.event("run.completed")
    second = (await wire.call("run.get", run_id=again["run_id"]))["run"]
    assert (first["agent_version"], second["agent_version"]) == ("1", "2")
    assert (first["state"], second["state"]) == ("completed", "completed")


async def test_an_agent_that_was_mended_is_not_left_alone_any_more(filed: FileStage) -> None:
    wire = await filed.connect()

    async def breaker() -> str:
        found: str = (await wire.call("agent.get", agent_id="demo"))["agent"]["breaker"]
        return found

    for number in range(10):
        filed.gateway.runs.breakers.failed("demo", f"run_{number}")
    assert await breaker() == "open"
    filed.write(f"{ONE}retries = 1\n")
    await wire.call("agent.reload")
    assert await breaker() == "closed"


async def test_runs_do_not_notice_reloads(filed: FileStage) -> None:
    wire = await filed.connect()
    sent = [await wire.call("message.send", content=words("stream 30 100")) for _ in range(20)]
    for one in sent:
        await wire.call("thread.subscribe", thread_id=one["thread_id"], from_="start")
    for version in range(10):
        filed.write(f'[[agents]]\nid = "demo"\nversion = "{version}"\n')
        await wire.call("agent.reload")
        await asyncio.sleep(0.03)
    for one in sent:
        await wire.event("run.completed", run_id=one["run_id"])
    agents = filed.gateway.runs.agents
    await until(lambda: not agents._stopping)
    assert [slot.users for slot in agents._slots.values()] == [0]


async def test_a_suspended_agent_answers_nobody_and_says_so(filed: FileStage) -> None:
    wire = await filed.connect()
    filed.write(f'{ONE}state = "suspended"\n')
    await wire.call("agent.reload")
    sent = await wire.call("message.send", content=words("say hello"))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    failed = await wire.event("run.failed")
    assert failed["data"]["error"]["kind"] == "agent_suspended"
