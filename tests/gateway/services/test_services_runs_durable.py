"""A run is a durable thing: steps are done once, doubts are put to people, questions are answered, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from gateway_stage import Frame, Stage, Wire, until, words
from turn_stage import Script, ask, ended, logged, make_script

from gateway.agent_settings import DemoSettings
from gateway.agents.port import (
    AgentAsk,
    AgentFacts,
    AgentFailure,
    AgentOutput,
    AgentQuestion,
    AgentRewind,
    AgentText,
    RunContext,
    Step,
    perform,
)
from gateway.services import answering
from gateway.settings import RunSettings
from protocol.errors import Fault
from protocol.records import Usage

PATIENT = RunSettings(shutdown_s=0)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return make_script(monkeypatch)


def text_of(log: list[Frame]) -> str:
    """The one answer."""
    (answer,) = [
        event["data"]["message"]["content"][0]["text"]
        for event in log
        if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant"
    ]
    assert isinstance(answer, str)
    return answer


def kinds(log: list[Frame]) -> list[str]:
    return [event["kind"] for event in log]


class Payments:
    """A tool with an effect: it counts."""

    def __init__(self, *, repeatable: bool = False) -> None:
        self.repeatable = repeatable
        self.paid: list[str] = []
        self.hangs = False

    async def pay(self, context: RunContext, what: str) -> str:
        async def effect() -> dict[str, str]:
            self.paid.append(what)
            if self.hangs:
                await asyncio.sleep(600)
            return {"receipt": f"r-{len(self.paid)}"}

        step = Step(f"tool/{what}", "tool", "pay", {"arguments": {"what": what}}, self.repeatable)
        done = await perform(context.journal, step, effect)
        return str(done.result.get("receipt") or done.result["error"])


# --- steps -----------------------------------------------------------------------------------------


async def test_a_completed_step_is_not_repeated_after_a_restart(stage: Stage, script: Script) -> None:
    payments, holds = Payments(), [True]
    holding: list[bool] = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText(f"Paid: {await payments.pay(context, 'rent')}. ")
        if holds:
            holding.append(True)
            await asyncio.sleep(600)
        yield AgentText("All done.")

    script(answer)
    await stage.restart(runs=PATIENT)
    thread_id, _ = await ask(await stage.connect(), "pay")
    await until(lambda: holding)
    holds.clear()
    await stage.restart()
    log = await ended(stage, thread_id)
    assert payments.paid == ["rent"]
    assert text_of(log) == "Paid: r-1. All done."
    assert kinds(log).count("tool.started") == 1
    started = next(event for event in log if event["kind"] == "tool.started")
    assert (started["data"]["name"], started["data"]["arguments"]) == ("pay", {"what": "rent"})


@pytest.mark.parametrize(
    ("decision", "paid", "said"), [("approve", 2, "r-2"), ("deny", 1, "may or may not have happened")]
)
async def test_a_step_of_unknown_outcome_is_put_to_a_person(
    stage: Stage, script: Script, decision: str, paid: int, said: str
) -> None:
    payments = Payments()
    payments.hangs = True

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText(f"Paid: {await payments.pay(context, 'rent')}")

    script(answer)
    await stage.restart(runs=PATIENT)
    thread_id, _ = await ask(await stage.connect(), "pay")
    await until(lambda: payments.paid)
    payments.hangs = False
    await stage.restart()
    log = await logged(stage, thread_id, "run.waiting")
    asked = next(event for event in log if event["kind"] == "approval.requested")["data"]["approval"]
    assert "may have happened" in asked["title"]
    assert "rent" in asked["body"]
    wire = await stage.connect()
    await wire.call("approval.decide", approval_id=asked["id"], decision=decision)
    assert said in text_of(await ended(stage, thread_id))
    assert len(payments.paid) == paid


async def test_a_repeatable_step_is_simply_done_again(stage: Stage, script: Script) -> None:
    payments = Payments(repeatable=True)
    payments.hangs = True

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText(await payments.pay(context, "look"))

    script(answer)
    await stage.restart(runs=PATIENT)
    thread_id, _ = await ask(await stage.connect(), "look")
    await until(lambda: payments.paid)
    payments.hangs = False
    await stage.restart()
    assert text_of(await ended(stage, thread_id)) == "r-2"


async def test_a_step_that_is_recorded_with_other_arguments_ends_the_run(
    stage: Stage, script: Script
) -> None:
    places = iter(["first", "second"])
    holds = [True]
    holding: list[bool] = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        async def effect() -> str:
            return "done"

        request = {"arguments": {"place": next(places)}}
        await perform(context.journal, Step("tool/1", "tool", "go", request), effect)
        if holds:
            holding.append(True)
            await asyncio.sleep(600)
        yield AgentText("there")

    script(answer)
    await stage.restart(runs=PATIENT)
    thread_id, _ = await ask(await stage.connect(), "go")
    await until(lambda: holding)
    holds.clear()
    await stage.restart()
    assert (await ended(stage, thread_id))[-1]["data"]["error"]["kind"] == "journal_mismatch"


async def test_what_steps_cost_is_added_to_what_the_answer_cost(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        for number in (1, 2):
            key = f"model/{number}"
            if await context.journal.begin(Step(key, "model", "m", {}, repeatable=True)) is None:
                await context.journal.finish(key, "…", usage=Usage(input_tokens=number, cost_microusd=10))
        yield AgentText("x")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "hi")
    await ended(stage, thread_id)
    usage = (await wire.call("run.get", run_id=run_id))["run"]["usage"]
    assert (usage["input_tokens"], usage["cost_microusd"]) == (3, 20)


# --- failures that may pass ------------------------------------------------------------------------


def flaky(failures: int, text: str = "at last", after: float = 0.0) -> tuple[list[int], Script]:
    tried: list[int] = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        tried.append(len(tried))
        yield AgentText("Well, ")
        if len(tried) <= failures:
            yield AgentText("hmm")
            raise AgentFailure("provider_error", "The provider is down", passes=True, retry_after_s=after)
        yield AgentText(text)

    return tried, answer


async def test_an_attempt_that_failed_in_passing_is_made_again(stage: Stage, script: Script) -> None:
    tried, answer = flaky(2)
    script(answer)
    await stage.restart(agents=(DemoSettings(id="demo", retries=2),))
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "hi")
    log = await ended(stage, thread_id)
    assert (len(tried), text_of(log)) == (3, "Well, at last")
    assert kinds(log).count("run.started") == 1


async def test_followers_see_what_takes_the_place_of_what_was_said(stage: Stage, script: Script) -> None:
    go_on = asyncio.Event()

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("one two")
        await go_on.wait()
        yield AgentRewind(4)
        yield AgentText("three")
        await asyncio.sleep(600)

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "hi")
    await wire.call("thread.subscribe", thread_id=thread_id, **{"from": "tail"}, deltas=True)
    await wire.note(lambda frame: frame["method"] in ("delta", "snapshot"))
    go_on.set()
    snapshot = await wire.note(
        lambda frame: frame["method"] == "snapshot" and frame["params"]["text"] == "one three"
    )
    assert snapshot["next_index"] >= 1


async def test_after_the_last_retry_the_error_is_shown(stage: Stage, script: Script) -> None:
    tried, answer = flaky(99)
    script(answer)
    await stage.restart(agents=(DemoSettings(id="demo", retries=1),))
    thread_id, _ = await ask(await stage.connect(), "hi")
    log = await ended(stage, thread_id)
    assert log[-1]["data"]["error"] == {"kind": "provider_error", "message": "The provider is down"}
    assert len(tried) == 2


async def test_a_pause_that_is_too_long_is_an_error_at_once(stage: Stage, script: Script) -> None:
    tried, answer = flaky(99, after=3600.0)
    script(answer)
    await stage.restart()
    thread_id, _ = await ask(await stage.connect(), "hi")
    await ended(stage, thread_id)
    assert len(tried) == 1


async def test_another_agent_answers_when_this_one_cannot(stage: Stage, script: Script) -> None:
    _, fails = flaky(99)
    _, works = flaky(0, "here I am")
    script(fails, second=works)
    agents = (DemoSettings(id="demo", retries=0, fallback="second"), DemoSettings(id="second"))
    await stage.restart(agents=agents)
    thread_id, run_id = await ask(await stage.connect(), "hi")
    log = await ended(stage, thread_id, 2)
    assert text_of(log) == "Well, here I am"
    assert kinds(log)[2:] == [
        "run.queued", "run.started", "run.interrupted", "run.queued", "run.started", "message.created", "run.completed",
    ]  # fmt: skip
    queued = [event["data"] for event in log if event["kind"] == "run.queued"]
    assert (queued[1]["agent_id"], queued[1]["retry_of"]) == ("second", run_id)
    assert "second does" in next(e for e in log if e["kind"] == "run.interrupted")["data"]["reason"]


async def test_an_agent_that_failed_too_often_is_left_alone(stage: Stage, script: Script) -> None:
    tried, answer = flaky(99)
    script(answer)
    await stage.restart(agents=(DemoSettings(id="demo", retries=0),))
    wire = await stage.connect()
    for _ in range(6):
        thread_id, _ = await ask(wire, "hi")
        log = await ended(stage, thread_id)
    assert len(tried) == 5
    assert log[-1]["data"]["error"]["kind"] == "agent_unavailable"
    (agent,) = (await wire.call("agent.list"))["agents"]
    assert agent["breaker"] == "open"


@pytest.mark.parametrize(("state", "works"), [("suspended", False), ("draft", True), ("released", True)])
async def test_who_may_be_talked_to(stage: Stage, state: str, works: bool) -> None:
    await stage.restart(agents=(DemoSettings(id="demo", state=state),))  # type: ignore[arg-type]
    thread_id, _ = await ask(await stage.connect(), "say hello")
    last = (await ended(stage, thread_id))[-1]
    assert last["kind"] == ("run.completed" if works else "run.failed")


async def test_a_silent_agent_fails(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("and then")
        await asyncio.sleep(600)

    script(answer)
    await stage.restart(agents=(DemoSettings(id="demo", silence_s=0.1),))
    thread_id, _ = await ask(await stage.connect(), "hi")
    error = (await ended(stage, thread_id))[-1]["data"]["error"]
    assert error == {"kind": "timeout", "message": "no sign of life for 0.1 s"}


# --- people ----------------------------------------------------------------------------------------


async def test_a_question_is_answered_by_the_next_message(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        question = AgentQuestion("colour", "Which colour?")
        yield AgentText("Let me see. ")
        answered = context.answered(question)
        if answered is None:
            yield question
        else:
            yield AgentText(f"{answered.by} wants {answered.text}.")

    script(answer)
    await stage.restart(runs=PATIENT)
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "paint it")
    waiting = (await logged(stage, thread_id, "run.waiting"))[-1]
    assert waiting["data"] == {"reason": "input", "prompt": "Which colour?"}
    assert (await wire.call("run.get", run_id=run_id))["run"]["waiting_for"] == "input"
    await stage.restart()
    wire = await stage.connect()
    sent = await wire.call("message.send", thread_id=thread_id, content=words("blue"))
    assert (sent["run_id"], sent["run_state"]) == (run_id, "waiting")
    log = await ended(stage, thread_id)
    assert text_of(log).endswith("wants blue.")
    assert kinds(log).count("run.queued") == 1


async def test_an_approval_is_bound_to_the_exact_action(stage: Stage, script: Script) -> None:
    amounts = iter([10, 10_000, 10_000])

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        amount = next(amounts)
        wish = AgentAsk("pay", "Pay?", f"{amount}", {"amount": amount})
        decided = context.decided(wish)
        yield wish if decided is None else AgentText(f"paid {amount}")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "pay")
    for count in (1, 2):
        log = await logged(stage, thread_id, "approval.requested", count=count)
        asked = [event["data"]["approval"] for event in log if event["kind"] == "approval.requested"]
        await wire.call("approval.decide", approval_id=asked[-1]["id"], decision="approve")
    assert text_of(await ended(stage, thread_id)) == "paid 10000"
    assert [one["body"] for one in asked] == ["10", "10000"]


async def test_several_things_are_asked_at_once(stage: Stage, script: Script) -> None:
    wishes = [AgentAsk(f"w{n}", f"Wish {n}", "…", n) for n in (1, 2)]

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        for wish in wishes:
            decided = context.decided(wish)
            yield wish if decided is None else AgentText(f"{wish.key}={decided.approved} ")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "go")
    log = await logged(stage, thread_id, "run.waiting")
    asked = [event["data"]["approval"] for event in log if event["kind"] == "approval.requested"]
    for approval, decision in zip(asked, ("approve", "deny"), strict=True):
        await wire.call("approval.decide", approval_id=approval["id"], decision=decision)
    assert text_of(await ended(stage, thread_id)) == "w1=True w2=False "


async def test_an_agent_may_hold_while_a_person_decides(stage: Stage, script: Script) -> None:
    alive: list[bool] = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        alive.append(True)
        yield AgentText("May I? ")
        decided = await context.ask(AgentAsk("may", "May I?", "Really?"))
        yield AgentText(f"{decided.approved} by {decided.by}")

    script(answer)
    await stage.restart(runs=RunSettings(concurrent=1))
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "hi")
    log = await logged(stage, thread_id, "run.waiting")
    other, _ = await ask(wire, "hi again")
    await logged(stage, other, "run.waiting")  # a turn that only waits leaves its place to another
    asked = next(event for event in log if event["kind"] == "approval.requested")["data"]["approval"]
    await wire.call("approval.decide", approval_id=asked["id"], decision="approve")
    log = await ended(stage, thread_id)
    assert text_of(log).startswith("May I? True by ")
    assert len(alive) == 2, "one attempt each: the agent went on living"
    assert "run.resumed" in kinds(log)


async def test_a_held_run_can_be_cancelled(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        await context.ask(AgentAsk("may", "May I?", "Really?"))
        yield AgentText("never")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "hi")
    await logged(stage, thread_id, "run.waiting")
    await wire.call("run.cancel", run_id=run_id)
    assert "run.cancelled" in kinds(await ended(stage, thread_id))
    await until(lambda: stage.gateway.runs.scheduler.active == 0)


# --- steering --------------------------------------------------------------------------------------


async def test_a_steered_message_reaches_the_running_agent_at_its_next_step(
    stage: Stage, script: Script
) -> None:
    next_step = asyncio.Event()

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("Working. ")
        await next_step.wait()
        for steered in await context.journal.steered("steer/1"):
            yield AgentText(f"You said: {steered.text}")

    script(answer, is_steerable=True)
    await stage.restart()
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "go")
    await logged(stage, thread_id, "run.started")
    sent = await wire.call("message.send", thread_id=thread_id, content=words("left"), on_busy="steer")
    assert (sent["steered"], sent["run_id"], sent["run_state"]) == (True, run_id, "running")
    next_step.set()
    log = await ended(stage, thread_id)
    assert text_of(log) == "Working. You said: left"
    assert kinds(log).count("run.queued") == 1


async def test_what_the_run_did_not_take_is_answered_by_a_run_of_its_own(
    stage: Stage, script: Script
) -> None:
    done = asyncio.Event()

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        await done.wait()
        yield AgentText(f"answer to {context.text}")

    script(answer, is_steerable=True)
    await stage.restart()
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "go")
    await logged(stage, thread_id, "run.started")
    await wire.call("message.send", thread_id=thread_id, content=words("left"), on_busy="steer")
    done.set()
    log = await ended(stage, thread_id, 2)
    queued = [event["data"] for event in log if event["kind"] == "run.queued"]
    assert queued[1]["was_steered"] is True
    said = [
        e["data"]["message"]["content"][0]["text"] for e in log if e["data"].get("message", {}).get("run_id")
    ]
    assert said == ["answer to go", "answer to left"]


async def test_an_agent_that_cannot_be_steered_gets_it_afterwards(stage: Stage, wire: Wire) -> None:
    thread_id, _ = await ask(wire, "sleep 0.3")
    await logged(stage, thread_id, "run.started")
    sent = await wire.call("message.send", thread_id=thread_id, content=words("say x"), on_busy="steer")
    assert (sent["steered"], sent["run_state"], sent["queue_position"]) == (False, "queued", 1)


# --- limits ----------------------------------------------------------------------------------------


async def test_an_agent_runs_no_more_than_it_may_and_others_go_ahead(stage: Stage, script: Script) -> None:
    running, most, done = 0, 0, asyncio.Event()

    async def slow(context: RunContext) -> AsyncIterator[AgentOutput]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await done.wait()
        running -= 1
        yield AgentText("slow")

    async def quick(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentText("quick")

    script(slow, quick=quick)
    await stage.restart(agents=(DemoSettings(id="demo", concurrent=2), DemoSettings(id="quick")))
    wire = await stage.connect()
    threads = [(await ask(wire, "hi"))[0] for _ in range(6)]
    await until(lambda: running == 2)
    other, _ = await ask(wire, "hi", agent_id="quick")
    await ended(stage, other)
    done.set()
    for thread_id in threads:
        await ended(stage, thread_id)
    assert most == 2


async def test_a_thread_has_an_end(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(messages_max=3))
    wire = await stage.connect()
    thread_id, _ = await ask(wire, "say one")
    await ended(stage, thread_id)
    await ask(wire, "say two", thread_id=thread_id)
    await ended(stage, thread_id, 2)
    refused = await wire.refusal("message.send", thread_id=thread_id, content=words("say three"))
    assert refused.kind == "too_large"


async def test_an_agent_that_asks_without_end_fails(
    stage: Stage, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ASKS_MAX", 3)

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        for number in range(1000):
            yield AgentAsk(f"{number}", "May I?", "…")

    script(answer)
    await stage.restart()
    thread_id, _ = await ask(await stage.connect(), "hi")
    assert (await ended(stage, thread_id))[-1]["data"]["error"]["kind"] == "bad_output"


async def test_what_an_agent_says_about_itself_is_in_the_runs_record(stage: Stage, script: Script) -> None:
    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        yield AgentFacts({"packs": ["a"]})
        yield AgentFacts({"worker": "w1"})
        yield AgentText("x")

    script(answer)
    await stage.restart(agents=(DemoSettings(id="demo", version="7"),))
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "hi")
    await ended(stage, thread_id)
    run = (await wire.call("run.get", run_id=run_id))["run"]
    assert (run["facts"], run["agent_version"]) == ({"packs": ["a"], "worker": "w1"}, "7")


# --- replay ----------------------------------------------------------------------------------------


async def test_a_run_that_is_executed_again_does_the_same_and_nothing_outside(
    stage: Stage, script: Script
) -> None:
    payments, words_now = Payments(), ["Done."]

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        wish = AgentAsk("pay", "Pay?", "rent")
        if context.decided(wish) is None:
            yield wish
            return
        yield AgentText(f"{await payments.pay(context, 'rent')} {words_now[0]}")

    script(answer)
    await stage.restart()
    wire = await stage.connect()
    thread_id, run_id = await ask(wire, "pay")
    log = await logged(stage, thread_id, "run.waiting")
    asked = next(event for event in log if event["kind"] == "approval.requested")["data"]["approval"]
    await wire.call("approval.decide", approval_id=asked["id"], decision="approve")
    await ended(stage, thread_id)
    replays = stage.gateway.runs.replays
    again = await replays.replay("org_default", run_id)
    assert (again.verified, again.differences, again.steps) == (True, [], 1)
    assert again.hash == again.recorded_hash
    words_now[0] = "Something else."
    other = await replays.replay("org_default", run_id)
    assert (other.verified, other.differences) == (False, ["it said something else"])
    assert payments.paid == ["rent"]


async def test_only_what_was_completed_can_be_executed_again(stage: Stage, wire: Wire) -> None:
    thread_id, run_id = await ask(wire, "fail")
    await ended(stage, thread_id)
    with pytest.raises(Fault, match="completed"):
        await stage.gateway.runs.replays.replay("org_default", run_id)


async def test_what_was_cut_off_inside_a_prompt_is_sealed_as_it_is_recorded(
    stage: Stage, script: Script
) -> None:
    attempts = []

    async def answer(context: RunContext) -> AsyncIterator[AgentOutput]:
        attempts.append(context.attempt)
        if len(attempts) == 1:
            await context.journal.begin(
                Step("within/1/a", "note", "read", {"path": "notes"}, repeatable=True)
            )
            raise AgentFailure("provider_error", "the program died", passes=True, retry_after_s=0)
        yield AgentText("Done without it.")

    script(answer)
    await stage.restart(runs=PATIENT)
    thread_id, run_id = await ask(await stage.connect(), "go")
    await ended(stage, thread_id)
    again = await stage.gateway.runs.replays.replay("org_default", run_id)
    assert (again.verified, again.differences) == (True, [])
