"""kind="acp" in a real gateway: what followers see, who decides, and what is left when something dies."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from acp_stage import PATIENCE_S, Stopwatch, make_agent, processes_in
from gateway_stage import Frame, Stage, Wire, eventually, until, words

ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")


class AcpStage(Stage):
    """A gateway whose one agent is the test agent, at work in `room`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.room = directory / "room"
        self.room.mkdir()
        agent = make_agent(self.room, retries=1, **settings).settings
        super().__init__(directory / "data", agents=(agent,), default_agent=agent.id)

    async def ask(self, wire: Wire, *lines: str, **params: Any) -> tuple[str, str]:
        """Say something; returns the thread and the run."""
        sent = await wire.call("message.send", content=words("\n".join(lines)), **params)
        return sent["thread_id"], sent["run_id"]

    async def logged(self, thread_id: str, *kinds: str, count: int = 1) -> list[Frame]:
        """The log of a thread once it has so many events of these kinds."""

        async def is_there() -> list[Frame] | None:
            log = await self.log(thread_id)
            return log if sum(event["kind"] in kinds for event in log) >= count else None

        log: list[Frame] = await eventually(is_there, PATIENCE_S)
        return log

    async def ended(self, thread_id: str, count: int = 1) -> list[Frame]:
        return await self.logged(thread_id, *ENDINGS, count=count)

    async def asked(self, thread_id: str, count: int = 1) -> Frame:
        """The newest approval, once the run waits for it."""
        log = await self.logged(thread_id, "run.waiting", count=count)
        approval: Frame = [e for e in log if e["kind"] == "approval.requested"][-1]["data"]["approval"]
        return approval


@asynccontextmanager
async def opened(directory: Path, **settings: Any) -> AsyncIterator[AcpStage]:
    """A running gateway; nothing of its programs is left when it is closed."""
    made = AcpStage(directory, **settings)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
    assert processes_in(made.room) == []


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[AcpStage]:
    async with opened(tmp_path) as made:
        yield made


def answers(log: list[Frame]) -> list[str]:
    """What the agent said."""
    return [
        event["data"]["message"]["content"][0]["text"]
        for event in log
        if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant"
    ]


def error_of(log: list[Frame]) -> Frame:
    (failed,) = [event for event in log if event["kind"] == "run.failed"]
    error: Frame = failed["data"]["error"]
    return error


async def test_an_answer_its_calls_and_its_session(stage: AcpStage, wire: Wire) -> None:
    thread_id, run_id = await stage.ask(
        wire, "plan look", "tool c1 Read notes", "stream 3", "consume 10 5 0.5"
    )

    log = await stage.ended(thread_id)
    assert answers(log) == ["word-1 word-2 word-3 "]
    kinds = [event["kind"] for event in log]
    assert kinds.index("tool.started") < kinds.index("tool.finished") < kinds.index("run.completed")
    run = (await wire.call("run.get", run_id=run_id))["run"]
    assert run["facts"]["acp_session"].startswith("ses-")
    assert (run["usage"]["input_tokens"], run["usage"]["cost_microusd"]) == (10, 500_000)
    steps = (await wire.call("run.steps", run_id=run_id))["steps"]
    assert [step["key"] for step in steps if step["kind"] != "reply"] == [
        "session/1",
        "prompt/1",
        "within/1/plan/1",
        "within/1/tool/c1",
    ]


async def test_a_recorded_run_is_replayed_without_a_program(stage: AcpStage, wire: Wire) -> None:
    thread_id, run_id = await stage.ask(wire, "tool c1 Read notes", "effect done.txt once", "say done")
    await stage.ended(thread_id)

    replayed = await wire.call("run.replay", run_id=run_id)

    assert replayed["replay"]["verified"], replayed
    assert (stage.room / "done.txt").read_text() == "once\n"


async def test_a_thread_goes_on_in_its_session(stage: AcpStage, wire: Wire) -> None:
    thread_id, _ = await stage.ask(wire, "say one")
    await stage.ended(thread_id)

    await stage.ask(wire, "recall", thread_id=thread_id)

    assert answers(await stage.ended(thread_id, 2)) == ["one", "say one"]


@pytest.mark.parametrize(("decision", "said", "done"), [("approve", "once", True), ("deny", "no", False)])
async def test_a_person_decides_while_the_program_waits(
    stage: AcpStage, wire: Wire, decision: str, said: str, done: bool
) -> None:
    thread_id, _ = await stage.ask(wire, "say May I?", "ask c1 done.txt it")
    approval = await stage.asked(thread_id)
    assert '"do": "done.txt it"' in approval["body"]

    await wire.call("approval.decide", approval_id=approval["id"], decision=decision)

    assert answers(await stage.ended(thread_id)) == [f"May I?\n\npermission: {said}"]
    assert (stage.room / "done.txt").exists() == done


async def test_several_permissions_one_after_the_other(stage: AcpStage, wire: Wire) -> None:
    thread_id, _ = await stage.ask(wire, "ask c1 done.txt a", "ask c2 done.txt b")
    for count in (1, 2):
        approval = await stage.asked(thread_id, count)
        await wire.call("approval.decide", approval_id=approval["id"], decision="approve")

    await stage.ended(thread_id)

    assert (stage.room / "done.txt").read_text() == "a\nb\n"


@pytest.mark.parametrize("last", ["hang", "hang-deaf", "ask c1 done.txt it"])
async def test_a_cancelled_run_is_over_within_a_second(stage: AcpStage, wire: Wire, last: str) -> None:
    pid = stage.room / "pid"
    thread_id, run_id = await stage.ask(wire, f"grandchild {pid} away", "effect ready now", last)
    await until((stage.room / "ready").exists, PATIENCE_S)
    if last.startswith("ask"):
        await stage.asked(thread_id)

    watch = Stopwatch()
    await wire.call("run.cancel", run_id=run_id)
    await until(lambda: not processes_in(stage.room))

    assert watch.s < 1.0
    assert "run.cancelled" in [event["kind"] for event in await stage.ended(thread_id)]
    assert not (stage.room / "done.txt").exists()


async def test_a_silent_program_is_given_up(tmp_path: Path) -> None:
    async with opened(tmp_path, silence_s=4.0) as stage:
        thread_id, _ = await stage.ask(await stage.connect(), "hang")

        error = error_of(await stage.ended(thread_id))

        assert error["kind"] == "timeout"
        assert processes_in(stage.room) == []


def kill_program(room: Path) -> None:
    """Kill what does the work, and not what supervises it."""
    for pid in processes_in(room):
        if b"supervisor.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


async def test_a_question_outlives_the_program_that_asked_it(stage: AcpStage, wire: Wire) -> None:
    thread_id, _ = await stage.ask(wire, "effect tries.txt x", "ask c1 done.txt it")
    permission = await stage.asked(thread_id)
    kill_program(stage.room)
    await until(lambda: not processes_in(stage.room))

    await wire.call("approval.decide", approval_id=permission["id"], decision="approve")
    repetition = await stage.asked(thread_id, 2)
    assert "may have happened" in repetition["title"]
    await wire.call("approval.decide", approval_id=repetition["id"], decision="approve")

    assert answers(await stage.ended(thread_id)) == ["permission: once"], "the decision about it still holds"
    assert (stage.room / "tries.txt").read_text() == "x\nx\n"
    assert (stage.room / "done.txt").read_text() == "it\n"


@pytest.mark.parametrize(("decision", "effects"), [("approve", 2), ("deny", 1)])
async def test_nobody_knows_what_a_killed_program_has_done(
    stage: AcpStage, wire: Wire, decision: str, effects: int
) -> None:
    ready = stage.room / "ready"
    thread_id, _ = await stage.ask(wire, "effect done.txt x", f"wait-once {ready}", "say done")
    await until(ready.exists, PATIENCE_S)
    kill_program(stage.room)
    approval = await stage.asked(thread_id)
    assert "may have happened" in approval["title"]

    await wire.call("approval.decide", approval_id=approval["id"], decision=decision)

    log = await stage.ended(thread_id)
    assert (stage.room / "done.txt").read_text() == "x\n" * effects
    if decision == "approve":
        assert answers(log) == ["done"]
    else:
        assert "not to do it again" in error_of(log)["message"]


async def test_the_gateway_stops_while_a_program_is_at_work(tmp_path: Path) -> None:
    async with opened(tmp_path, idempotent=True) as stage:
        ready = stage.room / "ready"
        lines = ("effect done.txt x", f"wait-once {ready}", "say done")
        thread_id, _ = await stage.ask(await stage.connect(), *lines)
        await until(ready.exists, PATIENCE_S)

        await stage.stop()
        assert processes_in(stage.room) == []
        await stage.start()

        assert answers(await stage.ended(thread_id)) == ["done"], "it may be given again"
        assert (stage.room / "done.txt").read_text() == "x\nx\n"
