"""What is said to a run while it is running, through the ports: it takes it at a step, or it is queued afterwards."""

import pytest
from store_stage import CHAT, Scene, cancelled, failed, interrupted, refused

from protocol.errors import ErrorKind
from protocol.records import RunState
from protocol.requests import MessageSendResult
from storage.channel_values import Amendment, Telling
from storage.run_values import Repetition, Steered
from storage.values import DEFAULT_ORG, ClaimedRun

DEMO = frozenset({"demo"})


async def steer(scene: Scene, run: ClaimedRun, text: str, **choices) -> MessageSendResult:
    return await scene.say(text, run.thread_id, on_busy="steer", steerable=DEMO, **choices)


async def take(scene: Scene, run: ClaimedRun, key: str = "steer-1") -> tuple[Steered, ...]:
    return await scene.store.journal.take_steers(run, key, scene.now_ms)


async def queued(scene: Scene, thread_id: str) -> list[tuple[str, str, bool]]:
    """The runs that were queued for what nobody took, as the log tells it."""
    return [
        (event.run_id or "", event.data["message_id"], event.actor.name == "ada")
        for event in await scene.log(thread_id)
        if event.kind == "run.queued" and event.data.get("was_steered")
    ]


async def steered_from_chat(scene: Scene, text: str) -> tuple[ClaimedRun, str]:
    """A running run that was told something in its room, and what the room calls that message."""
    await scene.receive(scene.delivery("begin"))
    ((thread_id,),) = await scene.rows("SELECT id FROM threads")
    run = await scene.claim(thread_id)
    message = scene.message(text, origin=CHAT, on_busy="steer", steerable=DEMO)
    said = scene.delivery(message=message)
    await scene.receive(said)
    assert said.ref is not None
    return run, said.ref


async def amend(scene: Scene, ref: str, text: str | None) -> None:
    author = scene.act("grace").actor.id if text is not None else None
    change = Amendment(text, scene.now_ms, author_id=author, cancel=cancelled())
    assert await scene.receive(scene.delivery(ref=ref, message=None, amendment=change)) == 1


# --- said and taken ---------------------------------------------------------------------------------


async def test_a_running_run_is_told(scene: Scene) -> None:
    run = await scene.started()
    before = await scene.kinds(run.thread_id)
    sent = await steer(scene, run, "shorter, please")
    assert (sent.run_id, sent.run_state, sent.steered) == (run.id, RunState.RUNNING, True)
    assert await scene.kinds(run.thread_id) == [*before, "message.created"]
    assert (await scene.audited())[-1] == "message.send"
    assert await scene.store.runs.waiting_threads(10) == []


async def test_a_step_takes_all_that_was_said_in_order(scene: Scene) -> None:
    run = await scene.started()
    sent = [await steer(scene, run, text) for text in ("one", "two")]
    taken = await take(scene, run)
    assert taken == tuple(
        Steered(one.message_id, text, "ada") for one, text in zip(sent, ("one", "two"), strict=True)
    )
    (step,) = await scene.store.journal.steps(run.id)
    assert (step.key, step.kind, step.outcome) == ("steer-1", "steer", "ok")
    assert step.closed_at_ms == scene.now_ms


async def test_the_same_step_takes_the_same_again(scene: Scene) -> None:
    """Also in a later attempt, and although more was said meanwhile."""
    run = await scene.started()
    await steer(scene, run, "one")
    taken = await take(scene, run)
    await steer(scene, run, "two")
    again = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms + 1, "restart")
    assert again is not None
    assert await take(scene, again) == taken
    assert [one.text for one in await take(scene, again, "steer-2")] == ["two"]


async def test_nothing_said_is_no_step(scene: Scene) -> None:
    run = await scene.started()
    assert await take(scene, run) == ()
    assert await scene.store.journal.steps(run.id) == []


async def test_what_was_edited_meanwhile_is_taken_as_it_is_now(scene: Scene) -> None:
    run, ref = await steered_from_chat(scene, "one")
    await amend(scene, ref, "other")
    assert [one.text for one in await take(scene, run)] == ["other"]


async def test_what_was_taken_back_meanwhile_is_not_taken(scene: Scene) -> None:
    run, ref = await steered_from_chat(scene, "one")
    await amend(scene, ref, None)
    assert await take(scene, run) == ()
    await scene.answer(run)
    assert await queued(scene, run.thread_id) == []


# --- who cannot be steered --------------------------------------------------------------------------


async def test_agents_that_cannot_be_steered_get_it_queued(scene: Scene) -> None:
    run = await scene.started()
    sent = await scene.say("shorter", run.thread_id, on_busy="steer", steerable=frozenset({"other"}))
    assert (sent.run_state, sent.queue_position, sent.steered) == (RunState.QUEUED, 1, False)


async def test_a_run_that_has_not_begun_is_not_steered(scene: Scene) -> None:
    first = await scene.say("hello")
    sent = await scene.say("more", first.thread_id, on_busy="steer", steerable=DEMO)
    assert (sent.run_state, sent.queue_position) == (RunState.QUEUED, 1)


async def test_a_run_that_waits_for_a_decision_is_not_steered(scene: Scene) -> None:
    run = await scene.started()
    await scene.ask(run)
    assert (await steer(scene, run, "more")).run_state == RunState.QUEUED


async def test_steering_needs_no_room_in_the_queue(scene: Scene) -> None:
    run = await scene.started()
    assert (await steer(scene, run, "more", queue_max=1)).steered


# --- not taken --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["complete", "fail", "cancel", "interrupt"])
async def test_what_was_not_taken_is_queued_when_the_run_ends(scene: Scene, how: str) -> None:
    run = await scene.started()
    await steer(scene, run, "taken")
    await take(scene, run)
    sent = [await steer(scene, run, text) for text in ("one", "two")]
    endings = {
        "complete": lambda: scene.answer(run),
        "fail": lambda: scene.end(run, failed()),
        "cancel": lambda: scene.store.runs.cancel(scene.act("grace"), run.id, cancelled()),
        "interrupt": lambda: scene.say("newest", run.thread_id, on_busy="interrupt"),
    }
    await endings[how]()
    told = await queued(scene, run.thread_id)
    assert [(message_id, is_ada) for _, message_id, is_ada in told] == [
        (one.message_id, True) for one in sent
    ]
    for text, run_id in zip(("one", "two"), (run_id for run_id, _, _ in told), strict=True):
        next_run = await scene.claim(run.thread_id)
        assert (next_run.id, next_run.message_text, next_run.requested_by) == (run_id, text, "prn_ada")
        await scene.answer(next_run)
    if how == "interrupt":
        assert (await scene.claim(run.thread_id)).message_text == "newest"


async def test_who_interrupts_is_told_how_many_are_ahead(scene: Scene) -> None:
    run = await scene.started()
    await steer(scene, run, "one")
    sent = await scene.say("newest", run.thread_id, on_busy="interrupt")
    assert sent.queue_position == 1


async def test_a_repetition_comes_before_what_was_not_taken(scene: Scene) -> None:
    run = await scene.started()
    behind = await scene.say("behind", run.thread_id)
    await steer(scene, run, "one")
    ending = interrupted(will_retry=True)
    await scene.store.runs.end(run, ending, scene.now_ms, Repetition("run_again"))
    order = []
    for _ in range(3):
        next_run = await scene.claim(run.thread_id)
        order.append(next_run.message_text)
        await scene.answer(next_run)
    assert order == ["hello", "behind", "one"], "in the order they were said"
    assert (await scene.store.runs.get(DEFAULT_ORG, behind.run_id)).state == "completed"


async def test_a_deleted_thread_queues_nothing(scene: Scene) -> None:
    run = await scene.started()
    await steer(scene, run, "one")
    await scene.store.threads.delete(scene.act(), run.thread_id)
    assert await scene.rows("SELECT * FROM steers") == []
    assert await scene.store.runs.waiting_threads(10) == []


# --- how much a thread may hold ---------------------------------------------------------------------


async def test_a_thread_has_as_many_messages_as_it_may(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    await scene.say("three", run.thread_id, messages_max=3)
    before = await scene.dump()
    fault = await refused(scene.say("four", run.thread_id, messages_max=3), ErrorKind.TOO_LARGE)
    assert "3 messages" in fault.message
    assert "another thread" in fault.data["hint"]
    assert await scene.dump() == before


async def test_a_conversation_that_is_too_long_is_told_so_in_its_room(scene: Scene) -> None:
    await scene.receive(scene.delivery("one"))
    told = scene.notice("Begin again")
    late = scene.delivery(
        "two", message=scene.message("two", origin=CHAT, messages_max=1), too_long=Telling(notice=told)
    )
    assert await scene.receive(late) == 1
    (row,) = await scene.rows(
        "SELECT outcome, reason FROM inbox WHERE delivery_id = :id", id=late.delivery_id
    )
    assert row == ("hinted", "the conversation is too long")
    assert (await scene.next_delivery()).content == told.content
