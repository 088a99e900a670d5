"""A turn ends in an answer, a visible error, or goes on at the next start; never in silence (PROTOCOL.md §5, §7)."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_stage import Stage, Wire, eventually, until, words
from turn_stage import Script, ask, ended, make_script

from gateway.agent_settings import DemoSettings
from gateway.agents.port import AgentFailure, AgentOutput, AgentText, AgentUsage, RunContext
from gateway.services import patience
from gateway.settings import RunSettings
from protocol.records import Usage
from storage.errors import StoreUnavailable


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return make_script(monkeypatch)


async def test_an_answer_is_one_message_with_the_whole_text(stage: Stage, wire: Wire) -> None:
    thread_id, run_id = await ask(wire, "say hello there")
    log = await ended(stage, thread_id)
    assert [event["kind"] for event in log] == [
        "thread.created", "message.created", "run.queued", "run.started", "message.created", "run.completed",
    ]  # fmt: skip
    message = log[4]["data"]["message"]
    assert (message["role"], message["content"], message["run_id"]) == (
        "assistant",
        words("hello there"),
        run_id,
    )
    assert (message["author"]["kind"], message["author"]["id"]) == ("agent", "demo")
    assert log[5]["data"]["message_id"] == message["id"]
    run = (await wire.call("run.get", run_id=run_id))["run"]
    assert (run["state"], run["attempt"]) == ("completed", 1)
    assert run["queued_at"] <= run["started_at"] <= run["ended_at"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("fail", "agent_error"), ("stream many", "bad_command")],
)
async def test_an_agent_that_cannot_answer_fails_visibly(
    stage: Stage, wire: Wire, text: str, kind: str
) -> None:
    thread_id, run_id = await ask(wire, text)
    last = (await ended(stage, thread_id))[-1]
    assert (last["kind"], last["data"]["error"]["kind"]) == ("run.failed", kind)
    assert last["data"]["error"]["message"]
    assert (await wire.call("run.get", run_id=run_id))["run"]["error"] == last["data"]["error"]


async def test_a_run_that_failed_can_be_retried(stage: Stage, wire: Wire) -> None:
    thread_id, run_id = await ask(wire, "fail")
    await ended(stage, thread_id)
    again = (await wire.call("run.retry", run_id=run_id))["run"]
    log = await ended(stage, thread_id, 2)
    (queued,) = [event for event in log if event["data"].get("retry_of")]
    assert (queued["run_id"], queued["data"]["retry_of"]) == (again["id"], run_id)
    assert [event["data"].get("message", {}).get("role") for event in log].count("user") == 1


async def test_an_agent_that_takes_too_long_fails_with_timeout(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(turn_timeout_s=0.1, shutdown_s=0))
    thread_id, _ = await ask(await stage.connect(), "sleep 600")
    error = (await ended(stage, thread_id))[-1]["data"]["error"]
    assert (error["kind"], "0.1 s" in error["message"]) == ("timeout", True)


async def test_an_agent_that_breaks_shows_an_incident_and_nothing_else(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("a beginning ")
        raise ZeroDivisionError("the private story")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "hi")
    log = await ended(stage, thread_id)
    assert (log[-1]["kind"], log[-1]["data"]["error"]["kind"]) == ("run.failed", "internal")
    assert "inc_" in log[-1]["data"]["error"]["message"]
    assert "private" not in json.dumps(log)
    assert "ZeroDivision" not in json.dumps(log)


async def test_a_failure_after_some_text_leaves_no_half_message(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("a beginning ")
        raise AgentFailure("overloaded", "The model is overloaded")

    script(answer)
    await stage.restart()
    thread_id, _ = await ask(await stage.connect(), "hi")
    log = await ended(stage, thread_id)
    assert log[-1]["data"]["error"] == {"kind": "overloaded", "message": "The model is overloaded"}
    assert [event["kind"] for event in log].count("message.created") == 1


async def test_an_agent_with_nothing_to_say_completes_without_a_message(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentUsage(Usage(input_tokens=3))

    script(answer)
    await stage.restart()
    thread_id, _ = await ask(await stage.connect(), "hi")
    log = await ended(stage, thread_id)
    assert log[-1]["kind"] == "run.completed"
    assert "message_id" not in log[-1]["data"]
    assert [event["kind"] for event in log].count("message.created") == 1


async def test_what_an_answer_cost_is_added_up(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentUsage(Usage(input_tokens=10, cost_microusd=5))
        yield AgentText("text")
        yield AgentUsage(Usage(input_tokens=1, output_tokens=2, cost_microusd=7))

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "hi")
    usage = {"input_tokens": 11, "output_tokens": 2, "cost_microusd": 12}
    assert (await ended(stage, thread_id))[-1]["data"]["usage"] == usage
    assert (await wire.call("run.get", run_id=run_id))["run"]["usage"] == usage


async def test_an_agent_sees_the_thread_up_to_its_own_message(stage: Stage, script: Script) -> None:
    seen: list[list[tuple[str, str]]] = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        seen.append([(said.role, said.text) for said in await context.said(10)])
        yield AgentText(f"answer to {context.text}")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "one")
    await wire.call("message.send", thread_id=thread_id, content=words("two"))
    await ended(stage, thread_id, 2)
    assert seen[0] == [("user", "one")]
    assert seen[1][-1] == ("user", "two")


@pytest.mark.parametrize("where", ["complete", "end"])
async def test_an_ending_waits_for_a_store_that_does_not_take_it(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(patience, "STORE_RETRY_S", 0.01)
    real, attempts = getattr(stage.store.runs, where), 0

    async def flaky(*args: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 3:
            raise StoreUnavailable("disk full")
        await real(*args)

    monkeypatch.setattr(stage.store.runs, where, flaky)
    thread_id, _ = await ask(wire, "say kept" if where == "complete" else "fail")
    log = await ended(stage, thread_id)
    assert log[-1]["kind"] == ("run.completed" if where == "complete" else "run.failed")
    assert attempts == 4


async def test_a_checkpoint_that_is_not_taken_changes_nothing(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.limits.CHECKPOINT_INTERVAL_S", 0.01)

    async def refuses(*args: Any) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(stage.store.journal, "checkpoint", refuses)
    thread_id, _ = await ask(wire, "stream 30 300")
    assert (await ended(stage, thread_id))[-1]["kind"] == "run.completed"


async def journalled(stage: Stage, run_id: str) -> str:
    def partial(tx: Any) -> str:
        return tx.value("SELECT partial FROM journal_steps WHERE run_id = :id", id=run_id) or ""

    return await stage.store.engine.read(partial)


async def test_what_was_said_is_journalled_about_every_half_second(stage: Stage, wire: Wire) -> None:
    _, run_id = await ask(wire, "stream 500 100")
    text = await eventually(lambda: journalled(stage, run_id), 1.0)
    assert text.startswith("word-1 word-2 ")
    assert 30 < len(text.split()) < 90


async def test_a_restart_goes_on_behind_what_was_said(stage: Stage, wire: Wire) -> None:
    thread_id, run_id = await ask(wire, "stream 60 100")
    await wire.call("thread.subscribe", thread_id=thread_id)
    await wire.note(lambda frame: frame["method"] == "delta" and frame["params"]["index"] >= 2)
    await stage.restart()
    log = await ended(stage, thread_id)
    kinds = [event["kind"] for event in log]
    assert kinds[3:] == ["run.started", "run.resumed", "message.created", "run.completed"]
    answer = log[-2]["data"]["message"]["content"][0]["text"]
    assert answer == " ".join(f"word-{number}" for number in range(1, 61))
    run = (await (await stage.connect()).call("run.get", run_id=run_id))["run"]
    assert (run["state"], run["attempt"]) == ("completed", 2)


async def test_a_run_is_given_up_after_so_many_attempts(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(attempts_max=2, shutdown_s=0))
    thread_id, _ = await ask(await stage.connect(), "sleep 600")
    for _ in range(2):
        await until(lambda: stage.gateway.runs.scheduler._driving)
        await stage.restart()
    log = await ended(stage, thread_id)
    assert (log[-1]["kind"], log[-1]["data"]["error"]["kind"]) == ("run.failed", "gave_up")
    assert [event["kind"] for event in log].count("run.resumed") == 2


@pytest.mark.parametrize("retries", [True, False])
async def test_an_agent_that_cannot_continue_is_interrupted_and_perhaps_asked_again(
    stage: Stage, script: Script, retries: bool
) -> None:
    calls = 0

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        nonlocal calls
        calls += 1
        yield AgentText("a ")
        if calls == 1:
            await asyncio.sleep(600)
        yield AgentText("whole answer")

    script(answer, recovery="interrupt")
    await stage.restart(agents=(DemoSettings(id="demo", retry_interrupted=retries),))
    thread_id, run_id = await ask(await stage.connect(), "hi")
    await until(lambda: calls)
    await stage.restart()
    log = await ended(stage, thread_id, 2 if retries else 1)
    (interrupted,) = [event for event in log if event["kind"] == "run.interrupted"]
    assert (interrupted["run_id"], interrupted["data"]["will_retry"]) == (run_id, retries)
    answers = [
        event["data"]["message"]["content"] for event in log if event["data"].get("message", {}).get("run_id")
    ]
    assert answers == ([words("a whole answer")] if retries else [])
    assert calls == (2 if retries else 1)


async def test_a_turn_that_finishes_within_the_shutdown_time_is_not_interrupted(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(shutdown_s=3.0))
    thread_id, _ = await ask(await stage.connect(), "sleep 0.2")
    await until(lambda: stage.gateway.runs.scheduler._driving)
    await stage.restart()
    assert "run.resumed" not in await stage.kinds(thread_id)
    assert (await stage.kinds(thread_id))[-1] == "run.completed"


async def test_an_agent_that_was_removed_fails_what_it_was_asked(stage: Stage) -> None:
    await stage.restart(agents=(DemoSettings(id="demo"), DemoSettings(id="gone")))
    wire = await stage.connect()
    sent = await wire.call("message.send", content=words("sleep 600"), agent_id="gone")
    await until(lambda: stage.gateway.runs.scheduler._driving)
    await stage.restart(agents=(DemoSettings(id="demo"),))
    error = (await ended(stage, sent["thread_id"]))[-1]["data"]["error"]
    assert error["kind"] == "unknown_agent"


async def test_an_unknown_agent_is_refused_before_anything_is_stored(wire: Wire) -> None:
    for method, params in (("message.send", {"content": words("hi")}), ("thread.create", {})):
        assert (await wire.refusal(method, agent_id="nobody", **params)).kind == "not_found"
    assert (await wire.call("thread.list"))["threads"] == []


@pytest.mark.parametrize("pieces", [["half \ud83d", " more"], ["begins well ", "half \ud83d"]])
async def test_text_that_is_no_unicode_ends_in_a_visible_error(
    stage: Stage, script: Script, pieces: list[str]
) -> None:
    """Half a surrogate pair cannot be stored or sent; a run must not hang because of it."""

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        for piece in pieces:
            yield AgentText(piece)

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "hi")
    log = await ended(stage, thread_id)
    assert log[-1]["data"]["error"]["kind"] == "internal"
    await wire.call("message.send", thread_id=thread_id, content=words("again"))
    await ended(stage, thread_id, 2)
