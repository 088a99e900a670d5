"""kind="remote" with real processes that are killed: runs go on elsewhere, and what was done is not done again."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Frame, Wire, eventually, until
from workers_stage import AGENT, RemoteStage

from storage.values import DEFAULT_ORG

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).parent / "worker_program.py"
EXAMPLE = ROOT / "docs/examples/agent.py"
PATIENCE_S = 30.0
"""A process takes seconds to start on a busy machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Programs:
    """Worker processes of one test and what they have done."""

    def __init__(self, stage: RemoteStage, directory: Path) -> None:
        self._stage = stage
        self._effects = directory / "effects"
        self._hang = directory / "effects.hang"
        self._running: list[Process] = []

    async def start(self) -> Process:
        """One more, connected."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, self._stage.url, self._stage.secret, self._effects
        )
        self._running.append(process)
        crew = self._stage.gateway.runs.workers._served[AGENT].crew(DEFAULT_ORG)
        name = f"program {process.pid}"
        await until(lambda: name in [worker.connection.name for worker in crew.workers.values()], PATIENCE_S)
        return process

    async def kill(self, process: Process) -> None:
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def end(self) -> None:
        for process in self._running:
            if process.returncode is None:
                await self.kill(process)

    def hang(self) -> None:
        self._hang.touch()

    def go_on(self) -> None:
        self._hang.unlink()

    @property
    def effects(self) -> Counter[str]:
        return Counter(self._effects.read_text().splitlines() if self._effects.exists() else ())

    async def saw(self, effect: str) -> None:
        await until(lambda: effect in self.effects, PATIENCE_S)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data", port=free_port())
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def programs(stage: RemoteStage, tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(stage, tmp_path)
    yield made
    await made.end()


async def pending(wire: Wire) -> Frame:
    """The approval that waits, once it is there."""

    async def one() -> Frame | None:
        approvals = (await wire.call("approval.list", state="pending"))["approvals"]
        return approvals[0] if approvals else None

    found: Frame = await eventually(one, PATIENCE_S)
    return found


async def is_open(stage: RemoteStage, run_id: str, key: str) -> bool:
    """Whether a step of a run is under way."""
    steps = await stage.store.journal.read(DEFAULT_ORG, run_id, 1000)
    return any(step.key == key and step.outcome is None for step in steps)


async def test_the_example_of_the_documentation_answers(stage: RemoteStage, wire: Wire) -> None:
    environment = {**os.environ, "THREADGATE_URL": stage.url, "THREADGATE_TOKEN": stage.secret}
    process = await asyncio.create_subprocess_exec(sys.executable, EXAMPLE, env=environment)
    try:
        sent = await stage.ask(wire, "hello")
        assert await stage.answer(sent, PATIENCE_S) == "You said: hello"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0, "it ends by itself"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_the_readme_shows_the_example() -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = EXAMPLE.read_text().split('"""', 2)[2].strip()
    assert code in [found.strip() for found in shown]


async def test_a_worker_killed_in_the_middle_of_an_answer_is_replaced(
    stage: RemoteStage, wire: Wire, programs: Programs
) -> None:
    programs.hang()
    first = await programs.start()
    sent = await stage.ask(wire, "talk")
    await programs.saw("talking")
    other = await programs.start()
    await programs.kill(first)
    await until(lambda: programs.effects["talking"] == 2, PATIENCE_S)
    programs.go_on()
    assert await stage.answer(sent, PATIENCE_S) == "Attempt at talk: all said"
    assert other.returncode is None


async def test_a_worker_killed_in_the_middle_of_a_step_leaves_it_to_a_person(
    stage: RemoteStage, wire: Wire, programs: Programs
) -> None:
    programs.hang()
    first = await programs.start()
    sent = await stage.ask(wire, "pay and wait")
    await programs.saw("pay and wait hangs")
    await programs.start()
    await programs.kill(first)
    approval = await pending(wire)
    assert "second" in approval["title"]
    programs.go_on()
    await wire.call("approval.decide", approval_id=approval["id"], decision="deny", reason="it is paid")
    answer = await stage.answer(sent, PATIENCE_S)
    assert answer == "Attempt at pay and wait: pay and wait first done, (skipped)"
    assert programs.effects == {"pay and wait first": 1, "pay and wait": 1, "pay and wait hangs": 1}


async def test_a_worker_killed_in_a_repeatable_step_is_nobodys_question(
    stage: RemoteStage, wire: Wire, programs: Programs
) -> None:
    programs.hang()
    first = await programs.start()
    sent = await stage.ask(wire, "look")
    await programs.saw("look hangs")
    await programs.start()
    programs.go_on()
    await programs.kill(first)
    assert await stage.answer(sent, PATIENCE_S) == "Attempt at look: look done"


async def test_a_restarted_gateway_finds_its_workers_again_and_steps_happen_once(
    stage: RemoteStage, wire: Wire, programs: Programs
) -> None:
    programs.hang()
    await programs.start()
    talking, paying = await stage.ask(wire, "talk"), await stage.ask(wire, "wait and pay")
    await programs.saw("talking")
    await eventually(lambda: is_open(stage, paying["run_id"], "within/prompt/1/tool/second/1"), PATIENCE_S)
    await stage.restart()
    wire = await stage.connect()
    approval = await pending(wire)
    assert "second" in approval["title"], "nobody knows whether that happened"
    programs.go_on()
    await wire.call("approval.decide", approval_id=approval["id"], decision="approve")
    assert await stage.answer(talking, PATIENCE_S) == "Attempt at talk: all said"
    answer = await stage.answer(paying, PATIENCE_S)
    assert answer == "Attempt at wait and pay: wait and pay first done, wait and pay done"
    assert programs.effects["wait and pay first"] == 1
    assert programs.effects["wait and pay"] == 1


async def test_many_runs_over_workers_that_keep_dying_all_end_and_pay_once(
    stage: RemoteStage, wire: Wire, programs: Programs
) -> None:
    workers = [await programs.start(), await programs.start()]
    sent = {f"pay:{number}": await stage.ask(wire, f"pay:{number}") for number in range(24)}
    await programs.saw("pay:0")
    await programs.kill(workers[0])
    await programs.start()
    decided = set()

    async def all_over() -> bool:
        for approval in (await wire.call("approval.list", state="pending"))["approvals"]:
            if approval["id"] not in decided:
                decided.add(approval["id"])
                await wire.call("approval.decide", approval_id=approval["id"], decision="deny")
        runs = (await wire.call("run.list", limit=100))["runs"]
        return all(run["state"] == "completed" for run in runs)

    await eventually(all_over, PATIENCE_S)
    for text, each in sent.items():
        assert await stage.answer(each) in (
            f"Attempt at {text}: {text} first done, {text} done",
            f"Attempt at {text}: {text} first done, (skipped)",
            f"Attempt at {text}: (skipped), {text} done",
        )
    assert all(count == 1 for count in programs.effects.values()), programs.effects
