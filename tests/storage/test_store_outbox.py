"""What we owe chat networks, through the port: whose turn it is, what became of it, what the thread is told."""

import pytest
from store_stage import CHAT, ROOM, Scene, refused

from gateway.rules import delivery_states as states
from protocol.errors import ErrorKind
from storage.values import DeliveryCounts, DeliveryStep, OutboxChanged


async def step(scene: Scene, delivery_id: str, taken: DeliveryStep):
    scene.now_ms += 1
    return await scene.store.outbox.step(delivery_id, taken, scene.now_ms)


async def delivery_events(scene: Scene, thread_id: str) -> list[tuple[str, dict]]:
    return [
        (event.kind, event.data) for event in await scene.log(thread_id) if event.kind.startswith("delivery.")
    ]


# --- turns ------------------------------------------------------------------------------------------


async def test_a_room_is_served_in_order(scene: Scene) -> None:
    _, parts = await scene.owed("one", "two")
    _, later = await scene.owed("three")
    assert await scene.store.outbox.pending_rooms() == [ROOM]
    for part in [*parts, *later]:
        turn = await scene.next_delivery()
        assert (turn.id, turn.content, turn.phase, turn.attempt) == (part.id, part.content, "idle", 0)
        await step(scene, turn.id, states.BEGIN_SEND)
        await step(scene, turn.id, states.delivered(f"ref of {part.id}"))
    assert await scene.store.outbox.next_in_room(ROOM) is None
    assert await scene.store.outbox.pending_rooms() == []


async def test_rooms_do_not_wait_for_each_other(scene: Scene) -> None:
    await scene.owed("here")
    elsewhere = CHAT.model_copy(update={"room": "43", "topic": "5"})
    run = await scene.started(origin=elsewhere)
    (part,) = scene.parts("there")
    await scene.answer(run, parts=[part])
    other = OutboxChanged(ROOM.channel, ROOM.account, "43")
    assert set(await scene.store.outbox.pending_rooms()) == {ROOM, other}
    row = await scene.store.outbox.next_in_room(other)
    assert row is not None
    assert (row.id, row.topic) == (part.id, "5")


async def test_an_unwritten_answer_does_not_block_the_room(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    row = await scene.store.outbox.open_live(run, "dlv_live", scene.now_ms)
    await step(scene, row.id, states.confirmed("ref-1"))
    assert await scene.store.outbox.next_in_room(ROOM) is None
    assert await scene.store.outbox.pending_rooms() == []
    await scene.owed("somebody else's answer")
    assert (await scene.next_delivery()).content == '{"text":"somebody else\'s answer"}'


async def test_what_waits_for_its_time_keeps_its_turn(scene: Scene) -> None:
    _, (first, _) = await scene.owed("one", "two")
    await step(scene, first.id, states.BEGIN_SEND)
    await step(scene, first.id, states.postponed(scene.now_ms + 5000, "slow down"))
    turn = await scene.next_delivery()
    assert (turn.id, turn.next_attempt_at_ms) == (first.id, scene.now_ms + 4999)


# --- live messages ----------------------------------------------------------------------------------


async def test_a_live_message_is_being_sent(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    row = await scene.store.outbox.open_live(run, "dlv_live", scene.now_ms)
    assert (row.id, row.phase, row.attempt, row.content, row.part) == ("dlv_live", "sending", 1, None, 1)
    assert (row.run_id, row.thread_id, row.room) == (run.id, run.thread_id, ROOM.room)
    again = await scene.store.outbox.open_live(run, "dlv_other", scene.now_ms)
    assert again == row, "a run has one"


async def test_the_next_attempt_finds_the_live_message(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    row = await scene.store.outbox.open_live(run, "dlv_live", scene.now_ms)
    assert await scene.store.outbox.doubt_interrupted_sends(scene.now_ms) == 1
    taken = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms, "restart")
    assert taken is not None
    found = await scene.store.outbox.open_live(taken, "dlv_other", scene.now_ms)
    assert (found.id, found.phase) == (row.id, "unknown")


# --- steps ------------------------------------------------------------------------------------------


async def test_a_sent_delivery_is_told_in_the_thread(scene: Scene) -> None:
    thread_id, (part,) = await scene.owed("the answer")
    await step(scene, part.id, states.BEGIN_SEND)
    row = await step(scene, part.id, states.delivered("ref-1"))
    assert (row.phase, row.ref, row.attempt) == ("sent", "ref-1", 1)
    place = {"delivery_id": part.id, "channel": "telegram", "account": "main", "room": "42", "part": 1}
    assert await delivery_events(scene, thread_id) == [("delivery.sent", {**place, "ref": "ref-1"})]


async def test_a_refused_delivery_is_told_with_its_reason(scene: Scene) -> None:
    thread_id, (part,) = await scene.owed("the answer")
    row = await step(scene, part.id, states.refused("the bot was blocked"))
    assert row.phase == "failed"
    ((kind, data),) = await delivery_events(scene, thread_id)
    assert (kind, data["reason"]) == ("delivery.failed", "the bot was blocked")


async def test_an_uncertain_delivery_is_told_and_counted(scene: Scene) -> None:
    thread_id, (part,) = await scene.owed("the answer")
    await step(scene, part.id, states.BEGIN_SEND)
    await step(scene, part.id, states.DOUBTED)
    row = await step(scene, part.id, states.UNKNOWABLE)
    assert (row.phase, row.attempt) == ("idle", 1)
    ((kind, _),) = await delivery_events(scene, thread_id)
    assert kind == "delivery.uncertain"
    await step(scene, part.id, states.BEGIN_SEND)
    row = await step(scene, part.id, states.delivered("ref-2"))
    assert row.attempt == 2
    assert await scene.store.outbox.counts() == {("telegram", "main"): DeliveryCounts(0, 1)}


async def test_steps_on_the_way_tell_the_thread_nothing(scene: Scene) -> None:
    thread_id, (part,) = await scene.owed("the answer")
    for taken in (
        states.BEGIN_SEND,
        states.DOUBTED,
        states.ABSENT,
        states.BEGIN_SEND,
        states.postponed(5, "later"),
        states.BEGIN_SEND,
        states.confirmed("ref-1"),
        states.RETRACTED,
        states.BEGIN_SEND,
        states.DOUBTED,
        states.found("ref-2"),
    ):
        row = await step(scene, part.id, taken)
    assert await delivery_events(scene, thread_id) == []
    assert (row.phase, row.ref, row.attempt) == ("idle", "ref-2", 4)


async def test_a_reference_is_kept_until_it_is_dropped(scene: Scene) -> None:
    _, (part,) = await scene.owed("the answer")
    await step(scene, part.id, states.BEGIN_SEND)
    assert (await step(scene, part.id, states.confirmed("ref-1"))).ref == "ref-1"
    assert (await step(scene, part.id, states.postponed(1, "later"))).ref == "ref-1"
    assert (await step(scene, part.id, states.RETRACTED)).ref is None


async def test_an_error_is_kept_until_the_next_step(scene: Scene) -> None:
    _, (part,) = await scene.owed("the answer")
    await step(scene, part.id, states.postponed(1, "slow down"))
    assert await scene.rows("SELECT last_error FROM outbox") == [("slow down",)]
    await step(scene, part.id, states.BEGIN_SEND)
    assert await scene.rows("SELECT last_error FROM outbox") == [(None,)]


@pytest.mark.parametrize(
    ("way", "taken"),
    [
        ([], states.DOUBTED),
        ([], states.found("x")),
        ([], states.confirmed("x")),
        ([states.BEGIN_SEND], states.BEGIN_SEND),
        ([states.BEGIN_SEND, states.DOUBTED], states.BEGIN_SEND),
        ([states.BEGIN_SEND, states.DOUBTED], states.delivered("x")),
        ([states.BEGIN_SEND, states.DOUBTED], states.postponed(1, "x")),
        ([states.delivered("r")], states.delivered("r")),
        ([states.delivered("r")], states.refused("x")),
        ([states.refused("x")], states.BEGIN_SEND),
    ],
)
async def test_a_step_from_elsewhere_changes_nothing(
    scene: Scene, way: list[DeliveryStep], taken: DeliveryStep
) -> None:
    _, (part,) = await scene.owed("the answer")
    for earlier in way:
        await step(scene, part.id, earlier)
    before, signals = await scene.dump(), len(scene.signals)
    await refused(scene.store.outbox.step(part.id, taken, scene.now_ms), ErrorKind.INVALID_STATE)
    await refused(scene.store.outbox.step("dlv_unknown", taken, scene.now_ms), ErrorKind.INVALID_STATE)
    assert await scene.dump() == before
    assert len(scene.signals) == signals


async def test_the_content_of_a_row_is_not_touched_by_delivering_it(scene: Scene) -> None:
    _, (part,) = await scene.owed("the answer")
    for taken in (states.BEGIN_SEND, states.DOUBTED, states.found("r"), states.delivered("r")):
        assert (await step(scene, part.id, taken)).content == part.content


# --- after a crash ----------------------------------------------------------------------------------


async def test_sends_in_flight_are_doubted_at_start(scene: Scene) -> None:
    _, (sending, idle) = await scene.owed("one", "two")
    await step(scene, sending.id, states.BEGIN_SEND)
    assert await scene.store.outbox.next_in_room(ROOM) is not None
    assert await scene.store.outbox.doubt_interrupted_sends(scene.now_ms) == 1
    phases = dict(await scene.rows("SELECT id, phase FROM outbox"))
    assert phases == {sending.id: "unknown", idle.id: "idle"}
    assert (await scene.next_delivery()).id == sending.id, "it is asked about before anything else is said"
    assert await scene.store.outbox.doubt_interrupted_sends(scene.now_ms) == 0


async def test_rooms_to_wake_are_told(scene: Scene) -> None:
    _, (part,) = await scene.owed("the answer")
    scene.signals.clear()
    await step(scene, part.id, states.BEGIN_SEND)
    assert scene.told(OutboxChanged) == []
    await step(scene, part.id, states.DOUBTED)
    await step(scene, part.id, states.ABSENT)
    assert scene.told(OutboxChanged) == [ROOM, ROOM]


async def test_counts_are_per_account(scene: Scene) -> None:
    assert await scene.store.outbox.counts() == {}
    _, (first, _) = await scene.owed("one", "two")
    second = CHAT.model_copy(update={"account": "second"})
    await scene.answer(await scene.started(origin=second), parts=scene.parts("three"))
    await step(scene, first.id, states.delivered("r"))
    assert await scene.store.outbox.counts() == {
        ("telegram", "main"): DeliveryCounts(1, 0),
        ("telegram", "second"): DeliveryCounts(1, 0),
    }
