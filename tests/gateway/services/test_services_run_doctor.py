"""The doctor of runs over a real gateway: each unfinished run has its reason, and a stuck one is counted and told."""

import pytest
from gateway_stage import Frame, Stage, Wire, eventually, words
from structlog.testing import capture_logs

from gateway.agent_settings import DemoSettings
from gateway.rules import diagnosis
from gateway.settings import RunSettings
from protocol.records import Role


async def send(wire: Wire, text: str, **more: object) -> Frame:
    return await wire.call("message.send", content=words(text), **more)


async def finding(wire: Wire, run_id: str) -> Frame | None:
    """What is found about one run; None when it has ended."""
    found: list[Frame] = (await wire.call("run.diagnose", run_id=run_id))["findings"]
    return found[0] if found else None


async def reason(wire: Wire, sent: Frame, words: str) -> Frame:
    """The finding about a run, once it has this reason."""

    async def has_it() -> Frame | None:
        found = await finding(wire, sent["run_id"])
        return found if found is not None and words in found["reason"] else None

    found: Frame = await eventually(has_it)
    assert not found["is_stuck"]
    return found


async def stuck_metric(stage: Stage) -> float:
    text = (await stage.http().get("/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("threadgate_runs_stuck ")]
    return float(line.split()[1])


async def test_a_run_at_work_and_one_behind_it(wire: Wire) -> None:
    first = await send(wire, "sleep 60")
    found = await reason(wire, first, "Its agent is answering; the last sign of life was")
    assert (found["state"], found["agent_id"]) == ("running", "demo")
    behind = await send(wire, "say hello", thread_id=first["thread_id"])
    assert "behind another run of its thread" in (await reason(wire, behind, "behind"))["reason"]
    all_of_them = (await wire.call("run.diagnose"))["findings"]
    assert [one["run_id"] for one in all_of_them] == [first["run_id"], behind["run_id"]]


async def test_runs_that_wait_for_people(wire: Wire) -> None:
    asked = await reason(wire, await send(wire, "approve a release"), "It waits for approval apr_")
    assert "until 20" in asked["reason"] and asked["state"] == "waiting"
    await reason(wire, await send(wire, "ask Which one?"), "It waits for an answer to: Which one? until 20")


async def test_runs_that_wait_for_room(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(concurrent=1, shutdown_s=0))
    wire = await stage.connect()
    await reason(wire, await send(wire, "sleep 60"), "answering")
    found = await reason(wire, await send(wire, "say hello"), "The gateway has as many runs as it may")
    assert "runs.concurrent" in found["hint"]


async def test_runs_that_wait_for_their_agent(stage: Stage) -> None:
    await stage.restart(agents=(DemoSettings(id="demo", concurrent=1),))
    wire = await stage.connect()
    await reason(wire, await send(wire, "sleep 60"), "answering")
    await reason(wire, await send(wire, "say hello"), "Its agent demo has as many runs as it may")


async def test_a_run_that_has_ended_needs_no_finding_and_an_unknown_one_is_refused(wire: Wire) -> None:
    sent = await send(wire, "say hello")
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    await wire.event("run.completed")
    assert await finding(wire, sent["run_id"]) is None
    assert (await wire.refusal("run.diagnose", run_id="run_nope")).kind == "not_found"


async def test_a_viewer_may_look(stage: Stage) -> None:
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    assert await viewer.call("run.diagnose") == {"findings": [], "more": False}


async def test_a_run_that_nobody_drives_is_stuck_when_that_lasts(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = await send(wire, "sleep 60")
    lost = await send(wire, "sleep 60")
    for sent in (healthy, lost):
        await reason(wire, sent, "answering")
    stage.gateway.runs.scheduler._driving[
        lost["run_id"]
    ].cancel()  # a turn that broke off; its sweep comes later
    await reason(wire, lost, "This gateway owns it, but nobody drives it")
    monkeypatch.setattr(diagnosis, "GRACE_MS", 0)
    with capture_logs() as logs:
        await stage.gateway.runs.doctor.check()
        await stage.gateway.runs.doctor.check()
    (told,) = [entry for entry in logs if entry["action"] == "run_stuck"]
    assert told["run_id"] == lost["run_id"] and "nobody drives it" in told["reason"]
    assert await stuck_metric(stage) == 1
    first, second = (await wire.call("run.diagnose"))["findings"]
    assert (first["run_id"], first["is_stuck"]) == (lost["run_id"], True), "those that are stuck come first"
    assert (second["run_id"], second["is_stuck"]) == (healthy["run_id"], False)
    await wire.call("run.cancel", run_id=lost["run_id"])
    await stage.gateway.runs.doctor.check()
    assert await stuck_metric(stage) == 0


async def test_a_suspicion_that_is_over_begins_anew(stage: Stage, wire: Wire) -> None:
    doctor = stage.gateway.runs.doctor
    sent = await send(wire, "sleep 60")
    await reason(wire, sent, "answering")
    doctor._suspicions[sent["run_id"], diagnosis.Cause.UNDRIVEN] = 0
    await doctor.check()
    assert doctor._suspicions == {}
