"""What operators see of runs over the wire: journals, and recorded runs executed again."""

import hashlib
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, words

from gateway.agent_settings import AgentSettings, DemoSettings
from gateway.agents import registry
from gateway.agents.demo import DemoAgent
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentAdapter, AgentOutput, AgentText, RunContext, Step, perform
from protocol.canonical import canonical
from protocol.records import Role

said: list[str] = []
"""What the agent of these tests says, and how often it did something outside."""
done: list[str] = []


class Doing(DemoAgent):
    """An agent with one tool, whose request is as large as its message."""

    async def answer(self, context: RunContext) -> Any:
        async def effect() -> str:
            done.append(context.text)
            return "done"

        step = Step("tool/1", "tool", "do", {"text": context.text})
        result = await perform(context.journal, step, effect)
        output: AgentOutput = AgentText(f"{result.result} {''.join(said)}")
        yield output


def create(settings: AgentSettings, parts: AgentParts) -> AgentAdapter:
    return Doing(settings)


@pytest.fixture
async def doing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Wire:
    said.clear()
    done.clear()
    monkeypatch.setattr(registry, "KINDS", {"demo": f"{__name__}:create"})
    await stage.restart(agents=(DemoSettings(id="demo"),))
    return await stage.connect()


async def run_of(wire: Wire, text: str, ending: str = "run.completed") -> str:
    """The id of a run that has ended."""
    sent = await wire.call("message.send", content=words(text))
    await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
    await wire.event(ending)
    run_id: str = sent["run_id"]
    return run_id


async def replay(wire: Wire, run_id: str) -> Frame:
    found: Frame = (await wire.call("run.replay", run_id=run_id))["replay"]
    return found


async def test_a_journal_is_shown_in_order(doing: Wire) -> None:
    steps = (await doing.call("run.steps", run_id=await run_of(doing, "it")))["steps"]
    (tool,) = [step for step in steps if step["kind"] == "tool"]
    assert (tool["key"], tool["name"], tool["request"]) == ("tool/1", "do", {"text": "it"})
    assert (tool["outcome"], tool["result"], tool["attempt"], tool["repeatable"]) == ("ok", "done", 1, False)
    assert tool["opened_at"] <= tool["closed_at"]
    assert [step["step"] for step in steps] == sorted(step["step"] for step in steps)


async def test_what_is_large_is_shown_by_its_digest(doing: Wire) -> None:
    text = "x" * 5_000
    steps = (await doing.call("run.steps", run_id=await run_of(doing, text)))["steps"]
    (tool,) = [step for step in steps if step["kind"] == "tool"]
    whole = canonical({"text": text}).encode()
    assert tool["request"] == {"sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}


async def test_a_completed_run_is_verified_by_executing_it_again(doing: Wire) -> None:
    run_id = await run_of(doing, "it")
    told = await replay(doing, run_id)
    sealed = (await doing.call("run.get", run_id=run_id))["run"]["journal_hash"]
    assert told["verified"] and told["hash"] == told["recorded_hash"] == sealed
    assert (told["steps"], told["differences"]) == (1, [])
    assert done == ["it"], "its effect was not done again"


async def test_a_run_that_would_be_another_now_says_where(doing: Wire) -> None:
    run_id = await run_of(doing, "it")
    said.append("differently")
    told = await replay(doing, run_id)
    assert not told["verified"] and told["hash"] != told["recorded_hash"]
    assert "it said something else" in told["differences"]
    assert done == ["it"]


async def test_a_run_that_did_not_complete_cannot_be_executed_again(stage: Stage, wire: Wire) -> None:
    run_id = await run_of(wire, "fail", "run.failed")
    assert (await wire.refusal("run.replay", run_id=run_id)).kind == "invalid_state"


@pytest.mark.parametrize("method", ["run.steps", "run.replay", "run.diagnose"])
async def test_an_unknown_run_is_refused_and_a_viewer_may_look(stage: Stage, method: str) -> None:
    viewer = await stage.connect(await stage.token(Role.VIEWER))
    assert (await viewer.refusal(method, run_id="run_nope")).kind == "not_found"
