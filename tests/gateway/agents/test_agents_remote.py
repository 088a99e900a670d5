"""kind="remote", told with a real gateway and real connections: what workers say, and what becomes of their runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_stage import Wire, until
from workers_stage import AGENT, RemoteStage

from gateway.settings import RunSettings


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[RemoteStage]:
    made = RemoteStage(tmp_path / "data")
    await made.start()
    yield made
    await made.close()


async def test_a_worker_is_given_the_run_and_what_it_says_is_the_answer(
    stage: RemoteStage, wire: Wire
) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "How are you?")
    run = await worker.execute()
    assert (run["run_id"], run["thread_id"], run["agent_id"]) == (sent["run_id"], sent["thread_id"], AGENT)
    assert (run["text"], run["history"], run["attempt"]) == ("How are you?", [], 1)
    await worker.say(run, "I am ", "fine.")
    await worker.output(run, "usage", usage={"input_tokens": 3, "output_tokens": 5})
    await worker.output(run, "done")
    assert await stage.answer(sent) == "I am fine."
    record = await stage.ended(sent["run_id"])
    assert (record["usage"]["input_tokens"], record["usage"]["output_tokens"]) == (3, 5)
    assert record["facts"]["worker"]["name"] == "raw"


async def test_the_worker_is_told_what_was_said_before(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    first = await stage.ask(wire, "one")
    run = await worker.execute()
    await worker.say(run, "1")
    await worker.output(run, "done")
    await stage.answer(first)
    await stage.ask(wire, "two", first["thread_id"])
    run = await worker.execute()
    assert run["history"] == [{"role": "user", "text": "one"}, {"role": "assistant", "text": "1"}]
    assert run["text"] == "two"


async def test_runs_go_to_workers_with_room_and_wait_in_order_for_the_next(
    stage: RemoteStage, wire: Wire
) -> None:
    one, two = await stage.worker(), await stage.worker()
    sent = [await stage.ask(wire, f"m{number}") for number in range(4)]
    first, second = await one.execute(), await two.execute()
    assert {first["text"], second["text"]} == {"m0", "m1"}
    await two.output(second, "done")
    third = await two.execute()
    await two.output(third, "done")
    fourth = await two.execute()
    assert (third["text"], fourth["text"]) == ("m2", "m3")
    for worker, run in ((one, first), (two, fourth)):
        await worker.say(run, "done")
        await worker.output(run, "done")
    assert [(await stage.ended(each["run_id"]))["state"] for each in sent] == ["completed"] * 4


async def test_a_thread_stays_with_its_worker(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker(concurrent=4)
    sent = await stage.ask(wire, "first")
    run = await one.execute()
    await one.say(run, "hello")
    await one.output(run, "done")
    await stage.answer(sent)
    await stage.ask(wire, "elsewhere")
    await one.execute()
    await stage.worker(concurrent=4)
    await stage.ask(wire, "second", sent["thread_id"])
    assert (await one.execute())["text"] == "second", "though the other one has nothing to do"


async def test_without_a_worker_a_run_waits_for_one(stage: RemoteStage, wire: Wire) -> None:
    sent = await stage.ask(wire, "anybody?")
    await wire.call("run.get", run_id=sent["run_id"])
    worker = await stage.worker()
    run = await worker.execute()
    await worker.say(run, "here")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "here"


async def test_nobody_for_too_long_is_agent_unavailable(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "lonely", agent={"worker_wait_s": 0.05, "retries": 0})
    await stage.start()
    try:
        sent = await stage.ask(await stage.connect(), "anybody?")
        error = (await stage.ended(sent["run_id"]))["error"]
        assert (error["kind"], "crew" in error["message"]) == ("agent_unavailable", True)
    finally:
        await stage.close()


async def test_a_busy_worker_is_waited_for_longer_than_a_missing_one(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "busy", agent={"worker_wait_s": 0.05, "retries": 0})
    await stage.start()
    try:
        wire, worker = await stage.connect(), await stage.worker()
        busy = await stage.ask(wire, "long")
        run = await worker.execute()
        waiting = await stage.ask(wire, "short")
        await asyncio.sleep(0.3)
        await worker.output(run, "done")
        run = await worker.execute()
        await worker.say(run, "now")
        await worker.output(run, "done")
        assert await stage.answer(waiting) == "now"
        assert (await stage.ended(busy["run_id"]))["state"] == "completed"
    finally:
        await stage.close()


@pytest.mark.parametrize("kind", ["busy", "unavailable", "internal"])
async def test_a_worker_that_does_not_take_a_run_is_skipped(
    stage: RemoteStage, wire: Wire, kind: str
) -> None:
    unwilling = await stage.worker()
    sent = await stage.ask(wire, "who?")
    asked = await unwilling.asked()
    willing = await stage.worker()
    await unwilling.refuse(asked["id"], kind)
    run = await willing.execute()
    assert run["fence"] > asked["params"]["fence"]
    await willing.say(run, "me")
    await willing.output(run, "done")
    assert await stage.answer(sent) == "me"
    assert (await stage.ended(sent["run_id"]))["attempt"] == 1, "that is no attempt of its own"


async def test_a_worker_that_does_not_answer_is_skipped_and_left_alone_for_a_while(
    stage: RemoteStage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agents.remote.agent.TAKE_TIMEOUT_S", 0.5)
    hanging = await stage.worker(concurrent=5)
    sent = await stage.ask(wire, "who?")
    asked = await hanging.asked()
    willing = await stage.worker(concurrent=5)
    run = await willing.execute()
    assert (await hanging.cancelled())["fence"] == asked["params"]["fence"], "it need not begin any more"
    await stage.ask(wire, "another")
    other = await willing.execute()
    assert other["text"] == "another", "though the other one has less to do"
    await willing.output(run, "done", index=0)
    assert (await stage.ended(sent["run_id"]))["state"] == "completed"


async def test_nobody_who_takes_it_is_agent_unavailable(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "unwilling", agent={"worker_wait_s": 0.05, "retries": 0})
    await stage.start()
    try:
        worker = await stage.worker()
        sent = await stage.ask(await stage.connect(), "who?")
        await worker.refuse((await worker.asked())["id"], "busy")
        error = (await stage.ended(sent["run_id"]))["error"]
        assert (error["kind"], "takes" in error["message"]) == ("agent_unavailable", True)
    finally:
        await stage.close()


# --- outputs ---------------------------------------------------------------------------------------


async def test_a_repeated_output_counts_once(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await worker.output(run, "text", text="once", index=0)
    await worker.output(run, "text", text="once", index=0)
    await worker.output(run, "done", index=1)
    assert await stage.answer(sent) == "once"


async def test_a_rewind_takes_back_what_was_said(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await worker.say(run, "It is Monday.")
    await worker.output(run, "rewind", chars=6)
    await worker.say(run, "Tuesday.")
    await worker.output(run, "done")
    assert await stage.answer(sent) == "It is Tuesday."


NONSENSE = [
    {"type": "text", "text": "x", "index": 7},
    {"type": "text"},
    {"type": "text", "text": 5},
    {"type": "dance"},
    {"type": "rewind", "chars": 1},
    {"type": "rewind", "chars": -1},
    {"type": "usage", "usage": {"input_tokens": -1}},
    {"type": "usage", "usage": {"input_tokens": 1e99}},
    {"type": "ask", "key": "k", "title": "t"},
    {"type": "ask", "key": "", "title": "t", "body": "b"},
    {"type": "question", "key": "k"},
    {"type": "facts", "facts": {"much": "x" * 20_000}},
    {"type": "facts", "facts": []},
    {"type": "failed"},
    {"type": "failed", "error": {"kind": "x", "message": "m"}, "retry_after_s": -1},
    {"type": "text", "text": "x", "index": -1},
    {"type": "text", "text": "x", "index": None},
    {"type": None},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
async def test_nonsense_ends_its_run_and_no_other(
    stage: RemoteStage, wire: Wire, nonsense: dict[str, object]
) -> None:
    worker = await stage.worker(concurrent=2)
    spoilt, good = await stage.ask(wire, "spoilt"), await stage.ask(wire, "good")
    runs = {run["text"]: run for run in (await worker.execute(), await worker.execute())}
    await worker.output(runs["spoilt"], **{"index": 0, "type_": nonsense.get("type"), **_but_type(nonsense)})
    error = (await stage.ended(spoilt["run_id"]))["error"]
    assert error["kind"] == "bad_output", error
    assert "xxx" not in error["message"], "what it was is not repeated"
    if nonsense.get("type") != "failed":
        assert (await worker.cancelled())["run_id"] == spoilt["run_id"]
    await worker.output(runs["good"], "text", text="fine", index=0)
    await worker.output(runs["good"], "done", index=1)
    assert await stage.answer(good) == "fine"


def _but_type(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != "type"}


async def test_an_agent_that_floods_ends_its_own_run(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "flood", agent={"output_bytes": 50_000})
    await stage.start()
    try:
        wire, worker = await stage.connect(), await stage.worker(concurrent=2)
        sent, other = await stage.ask(wire, "much"), await stage.ask(wire, "little")
        runs = {run["text"]: run for run in (await worker.execute(), await worker.execute())}
        for index in range(100):
            await worker.output(runs["much"], "text", text="x" * 1000, index=index)
        error = (await stage.ended(sent["run_id"]))["error"]
        assert (error["kind"], "50000 bytes" in error["message"]) == ("too_large", True)
        assert (await worker.cancelled())["run_id"] == sent["run_id"]
        await worker.output(runs["little"], "text", text="ok", index=0)
        await worker.output(runs["little"], "done", index=1)
        assert await stage.answer(other) == "ok"
    finally:
        await stage.close()


async def test_what_a_worker_says_of_runs_it_does_not_have_is_dropped(stage: RemoteStage, wire: Wire) -> None:
    worker, stranger = await stage.worker(), await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await stranger.output(run, "text", text="I say!", index=0)
    await stranger.output(run, "done", index=1)
    await worker.output({**run, "fence": run["fence"] - 1}, "text", text="of old", index=0)
    await stranger.output({"run_id": None, "fence": []}, "done", index=0)
    assert await stranger.wire.call("server.info"), "its connection goes on"
    await worker.output(run, "text", text="mine", index=0)
    await worker.output(run, "done", index=1)
    assert await stage.answer(sent) == "mine"


async def test_a_failure_is_the_agents_own_word(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await worker.output(run, "failed", error={"kind": "content_refused", "message": "I will not."})
    error = (await stage.ended(sent["run_id"]))["error"]
    assert (error["kind"], error["message"]) == ("content_refused", "I will not.")


async def test_kinds_of_the_gateway_are_not_the_agents_to_use(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await worker.output(run, "failed", error={"kind": "agent_suspended", "message": "so there"})
    assert (await stage.ended(sent["run_id"]))["error"]["kind"] == "agent_error"


async def test_a_failure_that_passes_is_tried_again(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await worker.execute()
    await worker.say(run, "I beg")
    error = {"kind": "rate_limited", "message": "slowly"}
    await worker.output(run, "failed", error=error, passes=True, retry_after_s=0)
    again = await worker.execute()
    assert again["fence"] > run["fence"]
    await worker.say(again, "I begin")
    await worker.output(again, "done")
    assert await stage.answer(sent) == "I begin"


# --- the end of a run from outside -----------------------------------------------------------------


async def test_cancelling_tells_the_worker_at_once_and_frees_it(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    sent = await stage.ask(wire, "long")
    run = await worker.execute()
    await worker.say(run, "well")
    began = time.monotonic()
    await wire.call("run.cancel", run_id=sent["run_id"])
    notice = await worker.cancelled()
    assert time.monotonic() - began < 1.0
    assert (notice["run_id"], notice["fence"]) == (run["run_id"], run["fence"])
    await worker.output(run, "text", text="too late")
    await stage.ask(wire, "next")
    assert (await worker.execute())["text"] == "next"
    assert (await stage.ended(sent["run_id"]))["state"] == "cancelled"


async def test_a_run_that_waits_for_a_worker_can_be_cancelled(stage: RemoteStage, wire: Wire) -> None:
    worker = await stage.worker()
    await stage.ask(wire, "busy")
    await worker.execute()
    sent, behind = await stage.ask(wire, "waits"), await stage.ask(wire, "behind it")
    await wire.call("run.cancel", run_id=sent["run_id"])
    assert (await stage.ended(sent["run_id"]))["state"] == "cancelled"
    other = await stage.worker()
    assert (await other.execute())["run_id"] == behind["run_id"]


# --- a worker that is lost -------------------------------------------------------------------------


async def test_another_worker_goes_on_when_one_is_lost(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker()
    sent = await stage.ask(wire, "hi")
    run = await one.execute()
    await one.say(run, "I was ab")
    two = await stage.worker()
    one.vanish()
    again = await two.execute()
    assert (again["run_id"], again["fence"] > run["fence"]) == (run["run_id"], True)
    await two.say(again, "I am somebody else")
    await two.output(again, "done")
    assert await stage.answer(sent) == "I am somebody else"


async def test_one_lost_worker_with_many_runs_fails_none_of_them(stage: RemoteStage, wire: Wire) -> None:
    one = await stage.worker(concurrent=12)
    sent = [await stage.ask(wire, f"m{number}") for number in range(12)]
    for _ in sent:
        await one.execute()
    one.vanish()
    two = await stage.worker(concurrent=12)
    for _ in sent:
        run = await two.execute()
        await two.output(run, "text", text=run["text"], index=0)
        await two.output(run, "done", index=1)
    assert [await stage.answer(each) for each in sent] == [f"m{number}" for number in range(12)]
    (agent,) = (await wire.call("agent.list"))["agents"]
    assert agent["breaker"] == "closed"


async def test_other_runs_do_not_notice_a_lost_worker(stage: RemoteStage, wire: Wire) -> None:
    one, two = await stage.worker(), await stage.worker()
    sent = [await stage.ask(wire, "a"), await stage.ask(wire, "b")]
    lost, kept = await one.execute(), await two.execute()
    await two.say(kept, "half")
    one.vanish()
    await two.say(kept, " and half")
    await two.output(kept, "done")
    (mine,) = [each for each in sent if each["run_id"] == kept["run_id"]]
    assert await stage.answer(mine) == "half and half"
    assert (await two.execute())["run_id"] == lost["run_id"]


async def test_too_many_lost_workers_are_an_error(stage: RemoteStage, wire: Wire) -> None:
    sent = await stage.ask(wire, "poison")
    for _ in range(3):
        worker = await stage.worker()
        await worker.execute()
        worker.vanish()
    assert (await stage.ended(sent["run_id"]))["error"]["kind"] == "worker_lost"


async def test_agents_show_how_many_workers_there_are(stage: RemoteStage, wire: Wire) -> None:
    assert (await wire.call("agent.get", agent_id=AGENT))["agent"]["workers"] == 0
    worker = await stage.worker()
    await stage.worker()
    assert (await wire.call("agent.get", agent_id=AGENT))["agent"]["workers"] == 2
    worker.vanish()
    await until(lambda: stage.gateway.runs.workers.count(AGENT) == 1)


async def test_a_stopping_gateway_lets_workers_finish(tmp_path: Path) -> None:
    stage = RemoteStage(tmp_path / "stopping", runs=RunSettings(shutdown_s=5.0))
    await stage.start()
    try:
        worker = await stage.worker()
        sent = await stage.ask(await stage.connect(), "hi")
        run = await worker.execute()
        await worker.say(run, "nearly ")
        stopping = asyncio.create_task(stage.stop())
        await until(lambda: stage.gateway._server._is_draining)
        await worker.say(run, "there")
        await worker.output(run, "done")
        await stopping
        _, code = await worker.wire.ended()
        assert code // 100 == 42, "come back soon"
        await stage.start()
        assert await stage.answer(sent) == "nearly there"
    finally:
        await stage.close()
