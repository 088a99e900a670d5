"""The client's `Agent` against a real gateway: what a handler can do, and what happens to its runs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_stage import AGENT, PATIENCE_S, AgentStage
from threadgate_client import (
    Agent,
    AgentError,
    AgentRun,
    ConnectionClosed,
    Forbidden,
    RunFailed,
    StepFailed,
    Unauthorized,
    limits,
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[AgentStage]:
    made = AgentStage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


# --- answering -------------------------------------------------------------------------------------


async def test_a_generator_answers_piece_by_piece(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> AsyncIterator[str]:
        yield "You said: "
        yield run.text

    async with stage.serving(answer):
        assert await stage.ask("hello") == "You said: hello"


async def test_a_coroutine_answers_with_what_it_returns_or_says(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str | None:
        if run.text == "say":
            await run.say("said")
            return None
        return "returned"

    async with stage.serving(answer):
        assert [await stage.ask("return"), await stage.ask("say")] == ["returned", "said"]


async def test_a_run_knows_its_thread(stage: AgentStage) -> None:
    seen: list[AgentRun] = []

    async def answer(run: AgentRun) -> str:
        seen.append(run)
        return run.text.upper()

    async with stage.serving(answer):
        thread = await stage.client.threads.create(title="Groceries")
        await stage.ask("milk", thread.id)
        await stage.ask("bread", thread.id)
    run = seen[-1]
    assert (run.thread_id, run.agent_id, run.title, run.attempt) == (thread.id, AGENT, "Groceries", 1)
    assert [(past.role, past.text) for past in run.history] == [("user", "milk"), ("assistant", "MILK")]


async def test_text_of_any_length_and_any_characters_arrives(stage: AgentStage) -> None:
    text = '\u0000\u2028é😀\\"' * 12_000

    async def answer(run: AgentRun) -> str:
        return text

    async with stage.serving(answer):
        assert await stage.ask("much") == text


async def test_a_rewind_and_usage_and_notes(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> None:
        await run.say("Wrong.")
        await run.rewind()
        await run.say("Right.")
        await run.usage(input_tokens=10, output_tokens=2, cost_microusd=7)
        await run.note(model="of mine")

    async with stage.serving(answer):
        sent = await stage.client.send("hi")
        assert await stage.reply(sent) == "Right."
    run = await stage.client.runs.get(sent.run_id)
    assert (run.usage.input_tokens, run.usage.output_tokens, run.usage.cost_microusd) == (10, 2, 7)


async def test_runs_are_answered_side_by_side_up_to_what_was_offered(stage: AgentStage) -> None:
    active = 0
    most = 0
    together = asyncio.Event()

    async def answer(run: AgentRun) -> str:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == 3:
            together.set()
        await together.wait()
        active -= 1
        return run.text

    async with stage.serving(answer, concurrent=3):
        answers = await asyncio.gather(*(stage.ask(f"m{number}") for number in range(9)))
    assert (answers, most) == ([f"m{number}" for number in range(9)], 3)


async def test_a_silent_handler_is_alive(tmp_path: Path) -> None:
    stage = AgentStage(tmp_path / "silence", silence_s=1.5, retries=0)
    await stage.start()

    async def answer(run: AgentRun) -> str:
        await asyncio.sleep(3.2)
        return "thought about it"

    try:
        async with stage.serving(answer):
            assert await stage.ask("hm") == "thought about it"
    finally:
        await stage.close()


async def test_a_handler_that_blocks_the_loop_is_not(tmp_path: Path) -> None:
    stage = AgentStage(tmp_path / "hang", silence_s=0.3, retries=0)
    await stage.start()
    released = asyncio.Event()

    async def answer(run: AgentRun) -> str:
        run._outlet._timer.cancel()  # type: ignore[attr-defined]  # as if nothing ran there any more
        await released.wait()
        return "too late"

    try:
        async with stage.serving(answer):
            with pytest.raises(RunFailed, match="sign of life"):
                await stage.ask("hm")
            released.set()
    finally:
        await stage.close()


# --- failing ---------------------------------------------------------------------------------------


async def test_an_exception_is_a_failed_run_and_its_text_stays_in_the_log(
    stage: AgentStage, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(run: AgentRun) -> AsyncIterator[str]:
        yield "so far"
        raise ValueError("secret detail")

    async with stage.serving(answer):
        with caplog.at_level(logging.ERROR), pytest.raises(RunFailed) as failed:
            await stage.ask("hi")
    assert (failed.value.kind, "ValueError" in failed.value.message) == ("agent_error", True)
    assert "secret" not in failed.value.message
    assert "secret detail" in caplog.text


async def test_an_agent_error_says_what_people_are_told(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str:
        raise AgentError("The shop is closed.", kind="content_refused")

    async with stage.serving(answer):
        with pytest.raises(RunFailed) as failed:
            await stage.ask("hi")
    assert (failed.value.kind, failed.value.message) == ("content_refused", "The shop is closed.")


async def test_an_error_that_passes_is_tried_again(stage: AgentStage) -> None:
    tries = 0

    async def answer(run: AgentRun) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise AgentError("slowly", kind="rate_limited", passes=True, retry_after_s=0)
        return f"at the {tries}rd"

    async with stage.serving(answer):
        assert await stage.ask("hi") == "at the 3rd"


async def test_one_failing_run_is_no_others_business(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str:
        await asyncio.sleep(0.05)
        if run.text == "bad":
            raise KeyError
        return run.text

    async with stage.serving(answer, concurrent=4):
        asked = (stage.ask(text) for text in ("bad", "good", "fine"))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(outcomes[0], RunFailed)
    assert outcomes[1:] == ["good", "fine"]


async def test_cancelling_a_run_cancels_its_handler(stage: AgentStage) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def answer(run: AgentRun) -> str:
        began.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            ended.set()
        return "never"

    async with stage.serving(answer):
        sent = await stage.client.send("long")
        async with asyncio.timeout(PATIENCE_S):
            await began.wait()
            await stage.client.runs.cancel(sent.run_id)
        async with asyncio.timeout(1.0):
            await ended.wait()


# --- steps -----------------------------------------------------------------------------------------


async def test_a_step_is_done_once_in_the_life_of_a_run(stage: AgentStage) -> None:
    done: list[int] = []
    tries = 0

    async def charge(amount: int) -> dict[str, int]:
        done.append(amount)
        return {"charged": amount}

    async def answer(run: AgentRun) -> str:
        nonlocal tries
        tries += 1
        receipts = [await run.step("charge", charge, amount) for amount in (5, 6)]
        if tries == 1:
            raise AgentError("again", passes=True, retry_after_s=0)
        return str(receipts)

    async with stage.serving(answer):
        assert await stage.ask("buy") == "[{'charged': 5}, {'charged': 6}]"
    assert (done, tries) == ([5, 6], 2)


async def test_a_plain_function_is_called_in_a_thread(stage: AgentStage) -> None:
    def think(one: int, other: int) -> int:
        assert not asyncio._get_running_loop()
        return one * other

    async def answer(run: AgentRun) -> str:
        return str(await run.step("multiply", think, 6, 7))

    async with stage.serving(answer):
        assert await stage.ask("6 times 7") == "42"


async def test_a_step_that_fails_fails_alike_the_next_time(stage: AgentStage) -> None:
    calls = 0
    told: list[str] = []

    async def fragile() -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError("no route")

    async def answer(run: AgentRun) -> str:
        try:
            await run.step("fragile", fragile)
        except StepFailed as failed:
            told.append(str(failed))
        if len(told) == 1:
            raise AgentError("again", passes=True, retry_after_s=0)
        return "without it"

    async with stage.serving(answer):
        assert await stage.ask("try") == "without it"
    assert (calls, told) == (1, ["ConnectionError: no route"] * 2)


async def test_what_is_not_json_is_no_step(stage: AgentStage) -> None:
    called = False

    async def effect(value: object) -> object:
        nonlocal called
        called = True
        return object()

    async def answer(run: AgentRun) -> str:
        if run.text == "argument":
            with pytest.raises(TypeError):
                await run.step("odd", effect, object())
        else:
            with pytest.raises(StepFailed, match="JSON"):
                await run.step("odd", effect, 1)
        return "noticed"

    async with stage.serving(answer):
        assert await stage.ask("argument") == "noticed"
        assert not called, "nothing was recorded, so nothing was done"
        assert await stage.ask("result") == "noticed"


async def test_a_result_that_is_too_large_is_a_failed_step_and_the_connection_stays(
    stage: AgentStage,
) -> None:
    async def huge() -> str:
        return "x" * 2_000_000

    async def answer(run: AgentRun) -> str:
        try:
            await run.step("huge", huge)
        except StepFailed as failed:
            return str(failed)
        return "it fits"

    async with stage.serving(answer) as agent:
        assert "TooLarge" in await stage.ask("much")
        assert agent.is_connected


async def test_an_output_that_is_too_large_ends_its_run_alone(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str:
        if run.text == "much":
            await run.ask("May I?", "All of this.", {"bytes": "x" * 2_000_000})
        return "fine"

    async with stage.serving(answer):
        with pytest.raises(RunFailed, match="TooLarge"):
            await stage.ask("much")
        assert await stage.ask("little") == "fine"


async def test_keys_tell_steps_apart_whatever_their_order(stage: AgentStage) -> None:
    done: list[str] = []
    tries = 0

    async def look_up(city: str) -> str:
        done.append(city)
        return f"{city}!"

    async def answer(run: AgentRun) -> str:
        nonlocal tries
        tries += 1
        cities = ["Oslo", "Rome"] if tries == 1 else ["Rome", "Oslo"]
        found = await asyncio.gather(
            *(run.step("look up", look_up, city, key=f"look up/{city}") for city in cities)
        )
        if tries == 1:
            raise AgentError("again", passes=True, retry_after_s=0)
        return " ".join(found)

    async with stage.serving(answer):
        assert await stage.ask("weather") == "Rome! Oslo!"
    assert sorted(done) == ["Oslo", "Rome"]


# --- people ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("approves", [True, False])
async def test_asking_ends_the_execution_until_somebody_decided(stage: AgentStage, approves: bool) -> None:
    deployed: list[str] = []

    async def deploy(where: str) -> str:
        deployed.append(where)
        return "ok"

    async def answer(run: AgentRun) -> AsyncIterator[str]:
        yield "I would deploy. "
        try:
            decision = await run.ask("Deploy?", "To *production*.", {"to": "production"})
        except Exception:  # noqa: BLE001 # a handler's own clumsiness must not swallow the wait
            yield "swallowed"
            return
        if decision:
            await run.step("deploy", deploy, "production")
        yield f"{'Did' if decision else 'Did not'}: {decision.reason}"

    async with stage.serving(answer):
        sent = await stage.client.send("deploy")
        approval = await stage.pending()
        assert (approval.title, approval.body) == ("Deploy?", "To *production*.")
        decide = stage.client.approvals.approve if approves else stage.client.approvals.deny
        await decide(approval.id, reason="because")
        assert await stage.reply(sent) == f"I would deploy. {'Did' if approves else 'Did not'}: because"
    assert deployed == (["production"] if approves else [])


async def test_a_decision_counts_for_exactly_what_was_asked(stage: AgentStage) -> None:
    amounts = iter([5, 500, 500])

    async def answer(run: AgentRun) -> str:
        amount = next(amounts)
        await run.ask("Pay?", "Somebody.", {"amount": amount, "note": 'é \u2028 " 1e3', "rate": 0.1})
        return f"paid {amount}"

    async with stage.serving(answer):
        sent = await stage.client.send("pay")
        first = await stage.pending()
        await stage.client.approvals.approve(first.id)
        second = await stage.pending()
        assert second.id != first.id, "another amount is another question"
        await stage.client.approvals.approve(second.id)
        assert await stage.reply(sent) == "paid 500"


async def test_two_things_may_be_asked_at_once(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str:
        both = await asyncio.gather(
            run.ask("A?", "a", key="a"), run.ask("B?", "b", key="b"), return_exceptions=True
        )
        assert all(not isinstance(one, Exception) for one in both)
        for one in both:
            if isinstance(one, BaseException):
                raise one
        return "both"

    async with stage.serving(answer):
        sent = await stage.client.send("two")
        await stage.event(sent, "run.waiting")
        titles = set()
        async for approval in stage.client.approvals.list(state="pending"):
            titles.add(approval.title)
            await stage.client.approvals.approve(approval.id)
        assert titles == {"A?", "B?"}
        assert await stage.reply(sent) == "both"


async def test_a_question_is_answered_in_the_thread(stage: AgentStage) -> None:
    async def answer(run: AgentRun) -> str:
        when = await run.question("When?")
        return f"Booked for {when}."

    async with stage.serving(answer):
        sent = await stage.client.send("book")
        await stage.event(sent, "run.waiting")
        await stage.client.send("tomorrow", sent.thread_id)
        assert await stage.reply(sent) == "Booked for tomorrow."


# --- the life of an agent --------------------------------------------------------------------------


async def test_stopping_takes_nothing_new_and_lets_the_rest_end(stage: AgentStage) -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def answer(run: AgentRun) -> str:
        began.set()
        await release.wait()
        return f"{run.text} by the first"

    async def other(run: AgentRun) -> str:
        return f"{run.text} by the second"

    async with stage.serving(answer) as leaving:
        sent = await stage.client.send("old")
        await began.wait()
        leaving.stop()
        async with stage.serving(other):
            assert await stage.ask("new") == "new by the second"
            release.set()
            assert await stage.reply(sent) == "old by the first"


async def test_what_does_not_end_in_time_goes_on_elsewhere(stage: AgentStage) -> None:
    began = asyncio.Event()

    async def endless(run: AgentRun) -> str:
        began.set()
        await asyncio.sleep(PATIENCE_S)
        return "never"

    async def other(run: AgentRun) -> str:
        return "here"

    async with stage.serving(endless, stop_timeout_s=0.05):
        sent = await stage.client.send("hi")
        await began.wait()
    async with stage.serving(other):
        assert await stage.reply(sent) == "here"


async def test_a_lost_connection_cancels_what_ran_and_comes_back(
    stage: AgentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(limits, "BACKOFF_LAST_S", 0.05)
    began = asyncio.Event()
    tries, cancelled = 0, 0

    async def answer(run: AgentRun) -> str:
        nonlocal tries, cancelled
        tries += 1
        if tries == 1:
            began.set()
            try:
                await asyncio.sleep(PATIENCE_S)
            except asyncio.CancelledError:
                cancelled += 1
                raise
        return f"the {tries}nd time"

    async with stage.serving(answer) as agent:
        sent = await stage.client.send("hi")
        await began.wait()
        assert agent._engine._socket is not None
        agent._engine._socket.transport.abort()
        assert await stage.reply(sent) == "the 2nd time"
    assert cancelled == 1


async def test_a_token_that_is_none_is_final(stage: AgentStage) -> None:
    agent = Agent(stage.url, token="tgate_nonsense")
    agent.on_run(_unused)
    with pytest.raises(Unauthorized):
        await agent.run()


async def test_a_token_of_another_role_is_final_and_says_what_to_do(stage: AgentStage) -> None:
    made = await stage.client.tokens.create("operator")
    agent = Agent(stage.url, token=made.secret)
    agent.on_run(_unused)
    with pytest.raises(Forbidden, match="--role agent") as refused:
        await agent.run()
    assert isinstance(refused.value.__cause__, ConnectionClosed)


async def test_a_gateway_that_is_not_there_yet_is_waited_for(
    stage: AgentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("http://127.0.0.1:9", token=stage.secret)
    agent.on_run(_unused)
    task = asyncio.create_task(agent.run())
    await asyncio.sleep(0.1)
    assert not task.done()
    agent.stop()
    async with asyncio.timeout(PATIENCE_S):
        await task


async def _unused(run: AgentRun) -> str:
    return ""


def test_a_handler_is_an_async_function() -> None:
    agent = Agent("http://127.0.0.1:9")
    with pytest.raises(TypeError, match="async def"):
        agent.on_run(lambda run: "hi")  # type: ignore[arg-type, return-value]


async def test_without_a_handler_there_is_no_agent() -> None:
    with pytest.raises(RuntimeError, match="on_run"):
        await Agent("http://127.0.0.1:9").run()
