"""kind="remote": steps that are journalled once, things that people decide, questions that they answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stage import Frame, Wire, eventually
from workers_stage import RemoteStage

from protocol.canonical import digest
from storage.values import DEFAULT_ORG


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


async def steps_of(stage: RemoteStage, run_id: str) -> dict[str, tuple[str | None, Any]]:
    """What the worker did, in the journal of a run: key → outcome and result."""
    steps = await stage.store.journal.read(DEFAULT_ORG, run_id, 100_000)
    return {step.key: (step.outcome, step.result) for step in steps if step.kind not in ("reply", "prompt")}


async def state_of(stage: RemoteStage, run_id: str) -> str:
    return (await stage.store.runs.get(DEFAULT_ORG, run_id)).state.value


async def pending(wire: Wire) -> Frame:
    """The one approval that waits, once it is there."""

    async def one() -> Frame | None:
        approvals = (await wire.call("approval.list", state="pending"))["approvals"]
        return approvals[0] if approvals else None

    found: Frame = await eventually(one)
    return found


# --- steps -----------------------------------------------------------------------------------------


async def test_a_step_is_recorded_before_it_is_done_and_after(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await worker.execute()
    begun = await worker.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    assert begun == {"is_recorded": False}
    assert await steps_of(stage, sent["run_id"]) == {"within/prompt/1/tool/pay/1": (None, None)}
    ended = await worker.step(
        run, "pay/1", "end", result={"receipt": 7}, usage={"input_tokens": 2, "cost_microusd": 9}
    )
    assert ended == {"is_recorded": True, "outcome": "ok", "result": {"receipt": 7}}
    assert await steps_of(stage, sent["run_id"]) == {"within/prompt/1/tool/pay/1": ("ok", {"receipt": 7})}
    await worker.say(run, "paid")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "paid"
    usage = (await stage.ended(sent["run_id"]))["usage"]
    assert (usage["input_tokens"], usage["cost_microusd"]) == (2, 9)
    (started,) = await stage.events(sent["thread_id"], "tool.started")
    assert (started["data"]["name"], started["data"]["arguments"]) == ("pay", {"amount": 5})


async def test_a_step_of_a_lost_worker_that_was_done_is_not_done_again(
    stage: RemoteStage, wire: Wire
) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await one.execute()
    await one.step(run, "pay/1", "begin", name="pay", request={})
    await one.step(run, "pay/1", "end", result="receipt 7")
    two = await stage.worker()
    one.vanish()
    run = await two.execute()
    known = await two.step(run, "pay/1", "begin", name="pay", request={})
    assert known == {"is_recorded": True, "outcome": "ok", "result": "receipt 7"}
    await two.say(run, known["result"])
    await two.output(run, "done")
    assert await stage.answer(sent) == "receipt 7"


async def test_a_step_that_a_lost_worker_left_open_is_a_persons_to_decide(
    stage: RemoteStage, wire: Wire
) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await one.execute()
    await one.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    two = await stage.worker()
    one.vanish()
    approval = await pending(wire)
    assert "pay" in approval["title"]
    assert await state_of(stage, sent["run_id"]) == "waiting"
    await wire.call("approval.decide", approval_id=approval["id"], decision="deny", reason="I saw it happen")
    run = await two.execute()
    known = await two.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    assert (known["is_recorded"], known["outcome"]) == (True, "skipped")
    await two.say(run, "so be it")
    await two.output(run, "done")
    assert await stage.answer(sent) == "so be it"


async def test_a_person_may_let_it_be_done_again(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker()
    await stage.ask(wire, "pay")
    run = await one.execute()
    await one.step(run, "pay/1", "begin", name="pay", request={})
    two = await stage.worker()
    one.vanish()
    await wire.call("approval.decide", approval_id=(await pending(wire))["id"], decision="approve")
    run = await two.execute()
    assert await two.step(run, "pay/1", "begin", name="pay", request={}) == {"is_recorded": False}


async def test_a_repeatable_step_is_simply_done_again(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "look")
    run = await one.execute()
    await one.step(run, "look/1", "begin", name="look", repeatable=True)
    two = await stage.worker()
    one.vanish()
    run = await two.execute()
    assert await two.step(run, "look/1", "begin", name="look", repeatable=True) == {"is_recorded": False}
    await two.step(run, "look/1", "end", result=[1, 2])
    await two.output(run, "done")
    assert (await stage.ended(sent["run_id"]))["state"] == "completed"


async def test_a_failed_step_is_recorded_as_such(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await one.execute()
    await one.step(run, "pay/1", "begin", name="pay")
    await one.step(run, "pay/1", "end", outcome="error", result={"error": "no money"})
    assert await steps_of(stage, sent["run_id"]) == {
        "within/prompt/1/tool/pay/1": ("error", {"error": "no money"})
    }


async def test_a_step_that_asks_for_something_else_than_recorded_ends_the_run(
    stage: RemoteStage, wire: Wire
) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await one.execute()
    await one.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    await one.step(run, "pay/1", "end", result=1)
    two = await stage.worker()
    one.vanish()
    run = await two.execute()
    refused = await two.wire.refusal(
        "run.step",
        run_id=run["run_id"],
        fence=run["fence"],
        key="pay/1",
        phase="begin",
        request={"amount": 6},
    )
    assert refused.kind == "invalid_state"
    assert (await stage.ended(sent["run_id"]))["error"]["kind"] == "journal_mismatch"


async def test_steps_have_an_order_and_their_keys(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    await stage.ask(wire, "pay")
    run = await worker.execute()
    here = {"run_id": run["run_id"], "fence": run["fence"]}
    refused = await worker.wire.refusal("run.step", **here, key="a", phase="end", result=1)
    assert (refused.kind, "not under way" in str(refused)) == ("invalid_state", True)
    await worker.step(run, "a", "begin")
    refused = await worker.wire.refusal("run.step", **here, key="a", phase="begin")
    assert (refused.kind, "already" in str(refused)) == ("invalid_state", True)
    await worker.step(run, "b", "begin")
    await worker.step(run, "b", "end")
    await worker.step(run, "a", "end")
    refused = await worker.wire.refusal("run.step", **here, key="a", phase="end")
    assert refused.kind == "invalid_state"
    assert (await worker.step(run, "a", "begin"))["is_recorded"] is True


async def test_only_the_connection_that_executes_a_run_may_journal_its_steps(
    stage: RemoteStage, wire: Wire
) -> None:
    worker, stranger = await stage.worker(), await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await worker.execute()
    here = {"run_id": run["run_id"], "fence": run["fence"], "key": "a", "phase": "begin"}
    assert (await stranger.wire.refusal("run.step", **here)).kind == "not_found"
    old = {**here, "fence": run["fence"] - 1}
    assert (await worker.wire.refusal("run.step", **old)).kind == "not_found"
    owner = await wire.refusal("run.step", **here)
    assert (owner.kind, owner.data["scope"]) == ("forbidden", "agent.serve")
    over_http = await stage.http(stage.secret).post("/v1/run.step", json=here)
    assert (over_http.status_code, over_http.json()["kind"]) == (409, "invalid_state")
    assert await steps_of(stage, sent["run_id"]) == {}


async def test_after_the_end_there_is_nothing_to_journal(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await worker.execute()
    await worker.output(run, "done")
    await stage.ended(sent["run_id"])
    gone = await worker.wire.refusal(
        "run.step", run_id=run["run_id"], fence=run["fence"], key="a", phase="begin"
    )
    assert gone.kind == "not_found"


async def test_a_step_that_takes_too_long_is_a_timeout(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "slow", agent={"step_timeout_s": 0.1, "retries": 0})
    await stage.start()
    try:
        worker = await stage.worker()
        sent = await stage.ask(await stage.connect(), "look")
        run = await worker.execute()
        await worker.step(run, "look/1", "begin", name="look", repeatable=True)
        error = (await stage.ended(sent["run_id"]))["error"]
        assert (error["kind"], "look" in error["message"]) == ("timeout", True)
        assert (await worker.cancelled())["run_id"] == sent["run_id"]
    finally:
        await stage.close()


async def test_text_and_steps_keep_their_order(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "count")
    run = await worker.execute()
    for number in range(20):
        await worker.say(run, f"{number} ")
        await worker.step(run, f"s{number}", "begin")
        await worker.step(run, f"s{number}", "end", result=number)
    await worker.output(run, "done")
    assert await stage.answer(sent) == "".join(f"{number} " for number in range(20))
    assert list(await steps_of(stage, sent["run_id"])) == [
        f"within/prompt/1/tool/s{number}" for number in range(20)
    ]


# --- people ----------------------------------------------------------------------------------------


async def test_what_a_worker_asks_waits_as_data_and_comes_back_with_the_decision(
    stage: RemoteStage, wire: Wire
) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "deploy")
    run = await one.execute()
    await one.say(run, "I would like to deploy.")
    asked = {"title": "Deploy?", "body": "To production.", "subject": {"to": "production"}}
    await one.output(run, "ask", key="ask/1", **asked)
    await one.output(run, "done")
    approval = await pending(wire)
    assert (approval["title"], approval["body"]) == ("Deploy?", "To production.")
    one.vanish()
    await stage.restart()
    wire, two = await stage.connect(), await stage.worker()
    await wire.call("approval.decide", approval_id=approval["id"], decision="approve", reason="go")
    run = await two.execute()
    (known,) = run["decisions"]
    assert (known["key"], known["approved"], known["reason"]) == ("ask/1", True, "go")
    assert known["subject_hash"] == digest(["Deploy?", "To production.", {"to": "production"}])
    await two.say(run, "I would like to deploy. Done.")
    await two.output(run, "done")
    assert await stage.answer(sent) == "I would like to deploy. Done."


async def test_a_question_is_answered_by_the_next_message(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "book")
    run = await worker.execute()
    await worker.output(run, "question", key="when", text="When?")
    await worker.output(run, "done")

    async def waits() -> bool:
        return await state_of(stage, sent["run_id"]) == "waiting"

    await eventually(waits)
    await stage.ask(wire, "Tomorrow", sent["thread_id"])
    run = await worker.execute()
    (known,) = run["answers"]
    assert (known["key"], known["text"]) == ("when", "Tomorrow")
    await worker.say(run, "Booked for tomorrow.")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "Booked for tomorrow."


async def test_who_waits_for_a_person_has_room_for_another_run(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker(concurrent=1)
    await stage.ask(wire, "deploy")
    run = await worker.execute()
    await worker.output(run, "ask", key="k", title="t", body="b")
    await worker.output(run, "done")
    await stage.ask(wire, "something else")
    assert (await worker.execute())["text"] == "something else"


async def test_a_run_is_executed_again_without_any_worker(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "pay")
    run = await worker.execute()
    await worker.step(run, "pay/1", "begin", name="pay", request={"amount": 5})
    await worker.step(run, "pay/1", "end", result={"receipt": 7})
    await worker.say(run, "paid")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "paid"
    await worker.wire.close()
    replay = (await wire.call("run.replay", run_id=sent["run_id"]))["replay"]
    assert (replay["verified"], replay["differences"], replay["steps"]) == (True, [], 2)
