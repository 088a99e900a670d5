"""Runs through their port: queued, claimed by one owner at a time, taken over, ended once, repeated."""

import asyncio

import pytest
from store_stage import BOOT, CHAT, LEASE_MS, Scene, cancelled, failed, interrupted, read, refused

from gateway.rules.run_states import ENDED
from protocol.errors import ErrorKind
from protocol.records import RunState, Usage
from storage.errors import StaleFence
from storage.run_values import AgentFull
from storage.values import DEFAULT_ORG, ClaimedRun


async def state(scene: Scene, run_id: str) -> RunState:
    return (await scene.store.runs.get(DEFAULT_ORG, run_id)).state


# --- claiming ---------------------------------------------------------------------------------------


async def test_a_claim_gives_what_a_turn_needs(scene: Scene) -> None:
    sent = await scene.say("what is it?", new_title="A question", origin=CHAT)
    run = await scene.store.runs.claim(sent.thread_id, BOOT, scene.now_ms, scene.now_ms + 1, "msg_reply")
    assert run is not None
    assert (run.id, run.thread_id, run.agent_id) == (sent.run_id, sent.thread_id, "demo")
    assert (run.message_text, run.message_seq) == ("what is it?", sent.seq)
    assert (run.attempt, run.reply_id, run.partial, run.recovered) == (1, "msg_reply", "", False)
    assert (run.thread_title, run.origin) == ("A question", CHAT)
    started = (await scene.log(sent.thread_id))[-1]
    assert (started.kind, started.run_id, started.data) == ("run.started", run.id, {"attempt": 1})
    assert await state(scene, run.id) == RunState.RUNNING


async def test_a_thread_has_one_active_run(scene: Scene) -> None:
    first = await scene.say("one")
    second = await scene.say("two", first.thread_id)
    run = await scene.claim(first.thread_id)
    before = await scene.dump()
    assert await scene.store.runs.claim(first.thread_id, "boot-2", scene.now_ms, 0, "msg_x") is None
    assert await scene.dump() == before
    await scene.answer(run)
    assert (await scene.claim(first.thread_id)).id == second.run_id


async def test_of_many_who_claim_one_gets_it(scene: Scene) -> None:
    sent = await scene.say("one")
    await scene.say("two", sent.thread_id)
    claims = [
        scene.store.runs.claim(sent.thread_id, f"owner-{n}", scene.now_ms, scene.now_ms, f"msg_{n}")
        for n in range(10)
    ]
    assert sum(run is not None for run in await asyncio.gather(*claims)) == 1


async def test_nothing_to_claim(scene: Scene) -> None:
    thread_id = await scene.thread()
    assert await scene.store.runs.claim(thread_id, BOOT, scene.now_ms, 0, "msg_x") is None
    assert await scene.store.runs.claim("thr_unknown", BOOT, scene.now_ms, 0, "msg_x") is None


async def test_an_agent_that_is_full_starts_nothing(scene: Scene) -> None:
    sent = await scene.say("one")
    await scene.say("two", sent.thread_id, agent_id="other")
    before = await scene.dump()
    full = frozenset({"demo"})
    waits = await scene.store.runs.claim(sent.thread_id, BOOT, scene.now_ms, 0, "msg_x", full)
    assert waits == AgentFull("demo")
    assert await scene.dump() == before
    run = await scene.store.runs.claim(sent.thread_id, BOOT, scene.now_ms, 0, "msg_x", frozenset({"other"}))
    assert isinstance(run, ClaimedRun)
    assert await scene.store.runs.claim(sent.thread_id, BOOT, scene.now_ms, 0, "msg_x", full) is None


async def test_a_run_is_begun_by_its_reply(scene: Scene) -> None:
    run = await scene.started()
    columns = "step, key, kind, repeatable, attempt, outcome, request"
    reply = (1, "reply", "reply", 1, 1, None, f'{{"message_id":"{run.reply_id}"}}')
    assert await scene.rows(f"SELECT {columns} FROM journal_steps") == [reply]
    assert await scene.store.journal.steps(run.id) == []


async def test_threads_that_wait_are_known(scene: Scene) -> None:
    first, second = await scene.say("one"), await scene.say("two")
    await scene.say("three", second.thread_id)
    assert set(await scene.store.runs.waiting_threads(10)) == {first.thread_id, second.thread_id}
    assert len(await scene.store.runs.waiting_threads(1)) == 1
    await scene.claim(first.thread_id)
    assert await scene.store.runs.waiting_threads(10) == [second.thread_id]


async def test_the_queue_is_in_the_order_of_the_log(scene: Scene) -> None:
    """Also when ids, made within one millisecond, sort the other way."""
    thread_id = await scene.thread()
    for run_id in ("run_c", "run_a", "run_b"):
        await scene.say(run_id, thread_id, run_id=run_id)
    claimed = []
    for _ in range(3):
        run = await scene.claim(thread_id)
        claimed.append(run.message_text)
        await scene.answer(run)
    assert claimed == ["run_c", "run_a", "run_b"]


# --- the fence --------------------------------------------------------------------------------------


async def lose(scene: Scene, run: ClaimedRun, how: str) -> None:
    """Take a driven run from its owner."""
    if how == "taken over":
        assert await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms, "restart")
    elif how == "cancelled":
        await scene.store.runs.cancel(scene.act(), run.id, cancelled())
    elif how == "interrupted":
        await scene.say("newer", run.thread_id, on_busy="interrupt")
    elif how == "completed":
        await scene.answer(run)
    elif how == "deleted":
        await scene.store.threads.delete(scene.act(), run.thread_id)


@pytest.mark.parametrize("how", ["taken over", "cancelled", "interrupted", "completed", "deleted"])
async def test_who_lost_a_run_changes_nothing_any_more(scene: Scene, how: str) -> None:
    run = await scene.started(origin=CHAT)
    await scene.store.journal.checkpoint(run.id, run.fence, "half")
    await lose(scene, run, how)
    before, signals = await scene.dump(), len(scene.signals)
    late = (
        scene.store.journal.checkpoint(run.id, run.fence, "more"),
        scene.answer(run, parts=scene.parts("late")),
        scene.end(run, failed()),
        scene.end(run, interrupted(will_retry=True), "run_again"),
        scene.store.outbox.open_live(run, "dlv_late", scene.now_ms),
    )
    for attempt in late:
        with pytest.raises(StaleFence):
            await attempt
    assert await scene.dump() == before
    assert len(scene.signals) == signals


async def test_an_unknown_run_is_nobodys(scene: Scene) -> None:
    with pytest.raises(StaleFence):
        await scene.store.journal.checkpoint("run_unknown", 1, "x")


async def test_a_run_is_taken_over_where_it_was(scene: Scene) -> None:
    run = await scene.started("question")
    await scene.store.journal.checkpoint(run.id, run.fence, "half an ans")
    taken = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms + 5, "restart")
    assert taken is not None
    assert taken.fence > run.fence
    assert (taken.attempt, taken.partial, taken.recovered) == (2, "half an ans", True)
    assert (taken.reply_id, taken.message_text) == (run.reply_id, "question")
    resumed = (await scene.log(run.thread_id))[-1]
    assert (resumed.kind, resumed.data) == ("run.resumed", {"attempt": 2, "reason": "restart"})
    await scene.answer(taken, "half an answer")
    events = await scene.log(run.thread_id)
    assert events[-2].data["message"]["id"] == run.reply_id, "the answer has one id in every attempt"


async def test_only_a_running_run_is_taken_over(scene: Scene) -> None:
    queued = await scene.say("one")
    ended = await scene.started()
    await scene.answer(ended)
    before = await scene.dump()
    for run_id in (queued.run_id, ended.id, "run_unknown"):
        assert await scene.store.runs.take_over(run_id, "boot-2", scene.now_ms, 0, "restart") is None
    assert await scene.dump() == before


async def test_runs_of_the_dead_are_abandoned(scene: Scene) -> None:
    mine, theirs = await scene.started(), await scene.say("x")
    other = await scene.claim(theirs.thread_id, "boot-0")
    now = scene.now_ms

    async def abandoned(owner: str, now_ms: int) -> list[str]:
        return [run.id for run in await scene.store.runs.abandoned(owner, now_ms)]

    assert await abandoned(BOOT, now) == [other.id], "another boot's"
    assert await abandoned(BOOT, now + LEASE_MS + 1) == [mine.id, other.id], "and a lease that ran out"
    await scene.store.runs.renew_leases(BOOT, now + 10 * LEASE_MS)
    assert await abandoned(BOOT, now + LEASE_MS + 1) == [other.id]
    await scene.answer(other)
    assert await abandoned(BOOT, now) == []


async def test_renewing_does_not_touch_what_ended(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    before = await scene.dump()
    await scene.store.runs.renew_leases(BOOT, scene.now_ms + 5)
    assert await scene.dump() == before


# --- repeating --------------------------------------------------------------------------------------


async def test_a_retry_is_a_new_run_with_the_same_input(scene: Scene) -> None:
    run = await scene.started("the question")
    await scene.end(run, failed())
    waiting = await scene.say("another", run.thread_id)
    answer = await scene.store.runs.retry(scene.act("grace"), run.id, "run_again", 10)
    assert (read(answer)["run"]["id"], read(answer)["run"]["state"]) == ("run_again", "queued")
    queued = (await scene.log(run.thread_id))[-1]
    assert (queued.kind, queued.run_id, queued.data["retry_of"]) == ("run.queued", "run_again", run.id)
    assert queued.actor.name == "grace"
    assert (await scene.audited())[-1] == "run.retry"
    first = await scene.claim(run.thread_id)
    assert first.id == waiting.run_id, "it waits behind what was asked for before"
    await scene.answer(first)
    again = await scene.claim(run.thread_id)
    assert (again.id, again.message_text, again.attempt) == ("run_again", "the question", 1)
    assert again.message_seq == run.message_seq


async def test_only_what_ended_is_retried(scene: Scene) -> None:
    queued = await scene.say("one")
    before = await scene.dump()
    await refused(scene.store.runs.retry(scene.act(), queued.run_id, "run_x", 10), ErrorKind.INVALID_STATE)
    await refused(scene.store.runs.retry(scene.act(), "run_unknown", "run_x", 10), ErrorKind.NOT_FOUND)
    assert await scene.dump() == before
    run = await scene.claim(queued.thread_id)
    await refused(scene.store.runs.retry(scene.act(), run.id, "run_x", 10), ErrorKind.INVALID_STATE)


async def test_a_retry_finds_the_queue_full_or_the_thread_gone(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    await scene.say("one", run.thread_id)
    before = await scene.dump()
    await refused(scene.store.runs.retry(scene.act(), run.id, "run_x", 1), ErrorKind.BUSY)
    assert await scene.dump() == before
    await scene.store.threads.delete(scene.act(), run.thread_id)
    await refused(scene.store.runs.retry(scene.act(), run.id, "run_x", 10), ErrorKind.NOT_FOUND)


async def test_a_repetition_keeps_the_place_in_the_queue(scene: Scene) -> None:
    run = await scene.started("first")
    later = await scene.say("second", run.thread_id)
    await scene.end(run, interrupted(will_retry=True), "run_zzz_again")
    again = await scene.claim(run.thread_id)
    assert (again.id, again.message_text) == ("run_zzz_again", "first")
    kinds = await scene.kinds(run.thread_id)
    assert kinds[-3:] == ["run.interrupted", "run.queued", "run.started"]
    await scene.end(again, interrupted(will_retry=True), "run_zzzz_again")
    assert (await scene.claim(run.thread_id)).id == "run_zzzz_again", "however often"
    assert await state(scene, later.run_id) == RunState.QUEUED


# --- lists ------------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first(scene: Scene) -> None:
    first = await scene.say("one")
    second = await scene.say("two", first.thread_id)
    third = await scene.say("three")
    run = await scene.claim(first.thread_id)
    await scene.answer(run)

    async def ids(thread_id: str | None = None, wanted: RunState | None = None) -> list[str]:
        seen, cursor = [], None
        while True:
            page, cursor = await scene.store.runs.page(DEFAULT_ORG, thread_id, wanted, 1, cursor)
            seen += [run.id for run in page]
            if cursor is None:
                return seen

    assert await ids() == [third.run_id, second.run_id, first.run_id]
    assert await ids(first.thread_id) == [second.run_id, first.run_id]
    assert await ids(wanted=RunState.QUEUED) == [third.run_id, second.run_id]
    assert await ids(first.thread_id, RunState.COMPLETED) == [first.run_id]
    assert await ids("thr_unknown") == []


async def test_a_run_tells_its_whole_life(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run, usage=Usage(input_tokens=5, output_tokens=6, cost_microusd=7))
    done = await scene.store.runs.get(DEFAULT_ORG, run.id)
    assert done.state in ENDED
    assert done.usage == Usage(input_tokens=5, output_tokens=6, cost_microusd=7)
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.queued_at <= done.started_at <= done.ended_at
    assert done.error is None


async def test_runs_are_counted_by_state(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    await scene.say("x")
    await scene.say("y")
    assert await scene.store.runs.count_by_state() == {"completed": 1, "queued": 2}
