"""How runs end, through the ports: events, journal, deliveries, usage and audit in one transaction."""

import pytest
from store_stage import CHAT, ROOM, SEAL, USAGE, Scene, cancelled, failed, interrupted, read, refused

from gateway.rules import delivery_states as states
from gateway.rules.run_states import ENDED, TRANSITIONS, RunEvent
from protocol.errors import ErrorKind
from protocol.records import RunState, Usage
from storage.run_values import Repetition
from storage.values import DEFAULT_ORG, Ending, OutboxChanged


async def journal(scene: Scene, run_id: str) -> tuple[str | None, str | None]:
    """What the journal holds of an answer: its text so far, and what became of it."""
    (row,) = await scene.rows("SELECT partial, result FROM journal_steps WHERE run_id = :id", id=run_id)
    return row


async def owed(scene: Scene) -> list[tuple]:
    return await scene.rows("SELECT id, run_id, part, phase, content FROM outbox ORDER BY created_at, part")


# --- with an answer ---------------------------------------------------------------------------------


async def test_an_answer_is_one_transaction(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    before = scene.store.engine.stats.groups
    parts = scene.parts("part one", "part two")
    await scene.answer(run, "the whole answer", parts)
    assert scene.store.engine.stats.groups == before + 1
    message, completed = (await scene.log(run.thread_id))[-2:]
    assert message.kind == "message.created"
    assert message.data["message"]["id"] == run.reply_id
    assert message.data["message"]["role"] == "assistant"
    assert message.data["message"]["run_id"] == message.run_id == run.id
    assert message.data["message"]["content"][0]["text"] == "the whole answer"
    assert (message.actor.id, message.actor.kind) == ("demo", "agent")
    assert completed.data == {"message_id": run.reply_id, "usage": USAGE.model_dump()}
    assert await owed(scene) == [(part.id, run.id, part.part, "idle", part.content) for part in parts]
    assert await scene.rows("SELECT run_id, step, input_tokens FROM usage") == [(run.id, 1, 7)]
    assert (await scene.audited())[-1] == "run.complete"
    assert scene.told(OutboxChanged) == [ROOM]


async def test_an_agent_may_have_nothing_to_say(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run, "")
    completed = (await scene.log(run.thread_id))[-1]
    assert (completed.kind, "message_id" in completed.data) == ("run.completed", False)
    assert (await scene.kinds(run.thread_id)).count("message.created") == 1
    assert scene.told(OutboxChanged) == []


async def test_the_journal_is_closed(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.journal.checkpoint(run.id, run.fence, "half an ans")
    assert await journal(scene, run.id) == ("half an ans", None)
    await scene.answer(run)
    assert await journal(scene, run.id) == (None, '{"state":"completed"}')


async def test_an_answer_is_sealed(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).journal_hash == SEAL
    entries, _ = await scene.store.audit.page(DEFAULT_ORG, 0, "run.complete", 10)
    assert [entry.detail for entry in entries] == [{"journal": SEAL}]


async def test_a_run_costs_what_its_steps_and_its_ending_cost(scene: Scene) -> None:
    run = await scene.started()
    await scene.open(run, scene.step("ask", "model", name="small-1"))
    await scene.close(run, "ask", usage=USAGE)
    await scene.answer(run)
    twice = Usage(input_tokens=14, output_tokens=6, cost_microusd=22)
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).usage == twice
    assert (await scene.log(run.thread_id))[-1].data["usage"] == twice.model_dump()
    rows = await scene.rows("SELECT step, model, agent_id, input_tokens FROM usage ORDER BY step")
    assert rows == [(1, "", "demo", 7), (2, "small-1", "demo", 7)]


async def test_a_run_that_fails_costs_too(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.runs.end(run, failed(), scene.now_ms, None, USAGE)
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).usage == USAGE
    assert await scene.rows("SELECT step, cost_microusd FROM usage") == [(1, 11)]


@pytest.mark.parametrize("how", ["complete", "end", "cancel", "interrupt", "delete"])
async def test_what_a_run_leaves_open_is_cut_off(scene: Scene, how: str) -> None:
    run = await scene.started()
    await scene.open(run, scene.step("open"))
    await scene.open(run, scene.step("closed"))
    await scene.close(run, "closed")
    endings = {
        "complete": lambda: scene.answer(run),
        "end": lambda: scene.end(run, failed()),
        "cancel": lambda: scene.store.runs.cancel(scene.act(), run.id, cancelled()),
        "interrupt": lambda: scene.say("newer", run.thread_id, on_busy="interrupt"),
        "delete": lambda: scene.store.threads.delete(scene.act(), run.thread_id),
    }
    await endings[how]()
    steps = await scene.rows("SELECT key, outcome, closed_at IS NULL FROM journal_steps ORDER BY step")
    outcomes = [("reply", "ok", 0), ("open", "unknown", 0), ("closed", "ok", 0)]
    assert steps == ([] if how == "delete" else outcomes)


async def test_another_agent_takes_the_place_of_a_run_that_failed(scene: Scene) -> None:
    run, row = await live(scene)
    await scene.store.runs.end(run, failed(), scene.now_ms, Repetition("run_next", "other"))
    queued = (await scene.log(run.thread_id))[-1]
    assert (queued.kind, queued.run_id) == ("run.queued", "run_next")
    assert (queued.data["agent_id"], queued.data["retry_of"]) == ("other", run.id)
    again = await scene.claim(run.thread_id)
    assert (again.id, again.agent_id, again.message_text) == ("run_next", "other", run.message_text)
    assert again.requested_by == run.requested_by, "whoever asked still does"
    assert (await scene.store.runs.get(DEFAULT_ORG, "run_next")).retry_of == run.id
    same = await scene.store.outbox.open_live(again, "dlv_other", scene.now_ms)
    assert same.id == row.id, "it goes on in the message that the room sees"


# --- without an answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "kind", "data"),
    [
        (failed("it broke"), "run.failed", {"error": {"kind": "agent_error", "message": "it broke"}}),
        (cancelled("no more"), "run.cancelled", {"reason": "no more"}),
        (interrupted(will_retry=False), "run.interrupted", {"reason": "restarted", "will_retry": False}),
        (interrupted(will_retry=True), "run.interrupted", {"reason": "restarted", "will_retry": True}),
    ],
)
async def test_an_ending_says_why(scene: Scene, ending: Ending, kind: str, data: dict) -> None:
    run = await scene.started()
    await scene.store.journal.checkpoint(run.id, run.fence, "half")
    await scene.end(run, ending)
    event = (await scene.log(run.thread_id))[-1]
    assert (event.kind, event.run_id, event.data) == (kind, run.id, data)
    done = await scene.store.runs.get(DEFAULT_ORG, run.id)
    assert done.state == ending.move.target
    assert (done.error.message if done.error else None) == ("it broke" if kind == "run.failed" else None)
    assert await journal(scene, run.id) == (None, f'{{"state":"{ending.move.target}"}}')
    assert (await scene.audited())[-1] == kind


async def test_a_run_ends_exactly_once(scene: Scene) -> None:
    run = await scene.started()
    await scene.answer(run)
    before = await scene.dump()
    await refused(scene.store.runs.cancel(scene.act(), run.id, cancelled()), ErrorKind.INVALID_STATE)
    assert await scene.dump() == before
    endings = [
        kind for kind in await scene.kinds(run.thread_id) if kind in {f"run.{state}" for state in ENDED}
    ]
    assert endings == ["run.completed"]


async def test_a_queued_run_is_cancelled_by_who_asks(scene: Scene) -> None:
    sent = await scene.say("never mind")
    answer = await scene.store.runs.cancel(scene.act("grace"), sent.run_id, cancelled("changed my mind"))
    assert (read(answer)["run"]["id"], read(answer)["run"]["state"]) == (sent.run_id, "cancelled")
    event = (await scene.log(sent.thread_id))[-1]
    assert (event.kind, event.actor.name) == ("run.cancelled", "grace")
    assert await scene.store.runs.claim(sent.thread_id, "boot-1", scene.now_ms, 0, "msg_x") is None
    await refused(scene.store.runs.cancel(scene.act(), sent.run_id, cancelled()), ErrorKind.INVALID_STATE)
    await refused(scene.store.runs.cancel(scene.act(), "run_unknown", cancelled()), ErrorKind.NOT_FOUND)


async def test_a_move_that_the_table_does_not_have_changes_nothing(scene: Scene) -> None:
    sent = await scene.say("queued")
    before = await scene.dump()
    fault = await refused(
        scene.store.runs.cancel(scene.act(), sent.run_id, failed()), ErrorKind.INVALID_STATE
    )
    assert fault.data["state"] == RunState.QUEUED
    assert await scene.dump() == before
    run = await scene.claim(sent.thread_id)
    before = await scene.dump()
    with pytest.raises(ValueError, match="not an ending"):
        await scene.end(run, Ending(TRANSITIONS[RunEvent.COMPLETE], "no"))
    assert await scene.dump() == before


async def test_a_notice_is_owed_to_the_room(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    notice = scene.notice("This did not work")
    await scene.end(run, failed(notice=notice))
    assert await owed(scene) == [(notice.delivery_id, run.id, 1, "idle", notice.content)]
    assert scene.told(OutboxChanged) == [ROOM]


# --- the live message -------------------------------------------------------------------------------


async def live(scene: Scene):
    """A driven run with a live message that stands on the platform."""
    run = await scene.started(origin=CHAT)
    row = await scene.store.outbox.open_live(run, scene.new_id("dlv"), scene.now_ms)
    row = await scene.store.outbox.step(row.id, states.confirmed("platform-1"), scene.now_ms)
    return run, row


async def test_an_answer_goes_into_the_live_message(scene: Scene) -> None:
    run, row = await live(scene)
    first, second = scene.parts("part one", "part two")
    scene.signals.clear()
    await scene.answer(run, parts=[first, second])
    assert await owed(scene) == [
        (row.id, run.id, 1, "idle", first.content),
        (second.id, run.id, 2, "idle", second.content),
    ]
    turn = await scene.next_delivery()
    assert (turn.id, turn.ref) == (row.id, "platform-1")
    assert scene.told(OutboxChanged) == [ROOM]


async def test_a_notice_goes_into_the_live_message(scene: Scene) -> None:
    run, row = await live(scene)
    notice = scene.notice("Stopped.")
    await scene.store.runs.cancel(scene.act(), run.id, cancelled(notice=notice))
    assert await owed(scene) == [(row.id, run.id, 1, "idle", notice.content)]


async def test_a_live_message_without_an_end_to_show_is_given_up(scene: Scene) -> None:
    run, row = await live(scene)
    await scene.end(run, failed())
    assert await owed(scene) == [(row.id, run.id, 1, "failed", None)]
    assert await scene.store.outbox.counts() == {}


async def test_a_repetition_goes_on_in_the_live_message(scene: Scene) -> None:
    run, row = await live(scene)
    await scene.end(run, interrupted(will_retry=True), "run_again")
    again = await scene.claim(run.thread_id)
    same = await scene.store.outbox.open_live(again, "dlv_other", scene.now_ms)
    assert (same.id, same.ref, same.run_id) == (row.id, "platform-1", "run_again")
    first, second = scene.parts("the answer", "its rest")
    await scene.answer(again, parts=[first, second])
    assert [(row_id, content) for row_id, _, _, _, content in await owed(scene)] == [
        (row.id, first.content),
        (second.id, second.content),
    ]


async def test_the_parts_of_an_answer_keep_their_order(scene: Scene) -> None:
    """Also when ids, made within one millisecond, sort the other way, and when the clock was set back."""
    run, row = await live(scene)
    parts = [part.__class__(f"dlv_{9 - part.part}", part.part, part.content) for part in scene.parts(*"abcd")]
    scene.now_ms -= 60_000
    await scene.answer(run, parts=parts)
    shown = []
    while (turn := await scene.store.outbox.next_in_room(ROOM)) is not None:
        shown.append((turn.part, turn.content))
        await scene.store.outbox.step(turn.id, states.delivered(f"p{turn.part}"), scene.now_ms)
    assert shown == [(part.part, part.content) for part in parts]
    assert row.part == 1
