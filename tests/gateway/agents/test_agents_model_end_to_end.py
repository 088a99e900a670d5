"""kind="model" in a real gateway: a client's message, the stand-in's answer, restarts, approvals, steering, replay."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_stage import Frame, Stage, Wire, eventually, until, words
from model_stage import KEY, model_settings

from channels.emulators.openai import Answer, OpenAiEmulator, tokens

ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")


@pytest.fixture
async def endpoint() -> AsyncIterator[OpenAiEmulator]:
    async with OpenAiEmulator(key=KEY) as made:
        yield made


async def start(stage: Stage, endpoint: OpenAiEmulator, **more: Any) -> Wire:
    """The gateway anew, with nobody but this agent in it."""
    await stage.restart(agents=(model_settings(endpoint, **more),), default_agent="m")
    return await stage.connect()


async def ask(wire: Wire, text: str, **params: Any) -> tuple[str, str]:
    sent = await wire.call("message.send", content=words(text), **params)
    return sent["thread_id"], sent["run_id"]


async def logged(stage: Stage, thread_id: str, *kinds: str, count: int = 1) -> list[Frame]:
    """The log of a thread once it has so many events of these kinds."""

    async def is_there() -> list[Frame] | None:
        log = await stage.log(thread_id)
        return log if sum(event["kind"] in kinds for event in log) >= count else None

    log: list[Frame] = await eventually(is_there)
    return log


def answers(log: list[Frame]) -> list[str]:
    messages = [event["data"]["message"] for event in log if event["kind"] == "message.created"]
    return [one["content"][0]["text"] for one in messages if one["role"] == "assistant"]


async def test_a_message_is_answered_and_counted_and_the_next_one_knows_of_it(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    wire = await start(stage, endpoint)
    thread_id, run_id = await ask(wire, "tokens 16")
    log = await logged(stage, thread_id, *ENDINGS)
    assert answers(log)[0].split() == [f"word-{number}" for number in range(1, 17)]
    run = (await wire.call("run.get", run_id=run_id))["run"]
    assert run["usage"]["output_tokens"] == 16
    assert run["usage"]["cost_microusd"] == run["usage"]["input_tokens"] + 2 * 16
    await ask(wire, "and again", thread_id=thread_id)
    await logged(stage, thread_id, *ENDINGS, count=2)
    told = [message["role"] for message in endpoint.requests[-1]["messages"]]
    assert told == ["system", "user", "assistant", "user"]


async def test_an_approval_outlives_the_gateway_and_nothing_is_asked_twice(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    tools = {"tools": ("calculator", "clock"), "requires_approval": ("calculator",)}
    wire = await start(stage, endpoint, **tools)
    thread_id, run_id = await ask(wire, 'use clock then use calculator {"expression": "6*7"} then say done')
    log = await logged(stage, thread_id, "run.waiting")
    (asked,) = [event["data"]["approval"] for event in log if event["kind"] == "approval.requested"]
    assert "6*7" in asked["body"]
    wire = await start(stage, endpoint, **tools)
    await wire.call("approval.decide", approval_id=asked["id"], decision="approve")
    log = await logged(stage, thread_id, *ENDINGS)
    assert answers(log) == ["done"]
    assert len(endpoint.requests) == 3, "one per step of the model, restart or not"
    assert "42" in str(endpoint.requests[-1]["messages"][-1]["content"])
    assert [event["data"]["name"] for event in log if event["kind"] == "tool.started"] == [
        "clock",
        "calculator",
    ]
    # The whole run again, with nobody there to be asked.
    await endpoint.stop()
    replay = (await wire.call("run.replay", run_id=run_id))["replay"]
    assert replay["verified"], replay["differences"]


async def test_a_restart_in_the_middle_of_an_answer_goes_on(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(tokens(1000, delay_s=0.02), Answer("another answer"))
    wire = await start(stage, endpoint)
    thread_id, _ = await ask(wire, "hello")
    await until(lambda: endpoint.requests)
    await start(stage, endpoint)
    log = await logged(stage, thread_id, *ENDINGS)
    assert answers(log) == ["another answer"]
    assert log[-1]["kind"] == "run.completed"


async def test_a_provider_that_recovers_is_asked_again(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.faults.add("error", code=503)
    endpoint.say(Answer("one two three", cut_after=2, delay_s=0.01), Answer("whole"))
    wire = await start(stage, endpoint, retries=2)
    thread_id, _ = await ask(wire, "hello")
    log = await logged(stage, thread_id, *ENDINGS)
    assert answers(log) == ["whole"]


async def test_a_failure_is_shown_with_its_kind_and_without_the_key(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    wire = await start(stage, endpoint, api_key="sk-wrong-key")
    thread_id, _ = await ask(wire, "hello")
    log = await logged(stage, thread_id, *ENDINGS)
    assert log[-1]["data"]["error"]["kind"] == "unauthorized"
    assert "sk-wrong" not in str(log)


async def test_a_cancelled_run_ends_the_request(stage: Stage, endpoint: OpenAiEmulator) -> None:
    endpoint.say(Answer("late", first_delay_s=600))
    wire = await start(stage, endpoint)
    thread_id, run_id = await ask(wire, "hello")
    await until(lambda: endpoint.requests)
    await wire.call("run.cancel", run_id=run_id)
    log = await logged(stage, thread_id, *ENDINGS)
    assert log[-1]["kind"] == "run.cancelled"


async def test_what_is_said_meanwhile_reaches_the_model_at_its_next_step(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    wire = await start(stage, endpoint, tools=("clock",))
    endpoint.faults.add("slow", delay_s=0.3)
    thread_id, _ = await ask(wire, "use clock then say done")
    await until(lambda: endpoint.requests)
    sent = await wire.call("message.send", thread_id=thread_id, content=words("hurry"), on_busy="steer")
    assert sent["steered"]
    await logged(stage, thread_id, *ENDINGS)
    assert any("hurry" in str(message["content"]) for message in endpoint.requests[1]["messages"])


async def test_an_agent_without_its_key_says_so_and_the_gateway_runs(
    stage: Stage, endpoint: OpenAiEmulator
) -> None:
    wire = await start(stage, endpoint, model="openai:gpt-x", base_url=None, api_key="env:NO_SUCH_KEY_HERE")
    thread_id, _ = await ask(wire, "hello")
    log = await logged(stage, thread_id, *ENDINGS)
    assert log[-1]["data"]["error"]["kind"] == "missing_secret"
