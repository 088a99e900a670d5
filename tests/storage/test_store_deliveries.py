"""Deliveries as operators see them: pages by what is wanted, and decisions that are taken once."""

import pytest
from store_stage import CHAT, OTHER_ORG, ROOM, Scene, claim, read, refused

from gateway.rules import delivery_states as states
from protocol.errors import ErrorKind
from protocol.records import Delivery
from storage.values import DEFAULT_ORG, DeliveryFilter, DeliveryStep, OutboxChanged

TO = {
    "idle": [],
    "sending": [states.BEGIN_SEND],
    "unknown": [states.BEGIN_SEND, states.DOUBTED],
    "held": [states.BEGIN_SEND, states.DOUBTED, states.WITHHELD],
    "sent": [states.delivered("ref")],
    "failed": [states.refused("the bot was blocked")],
}
"""The way to each phase."""


async def in_phase(scene: Scene, phase: str, text: str = "the answer") -> tuple[str, str]:
    """A delivery that came so far: its thread and its id."""
    thread_id, (part,) = await scene.owed(text)
    for step in TO[phase]:
        await scene.store.outbox.step(part.id, step, scene.now_ms)
    return thread_id, part.id


async def listed(scene: Scene, limit: int = 50, cursor: str | None = None, **wanted: str) -> list[Delivery]:
    found, _ = await scene.store.deliveries.page(DEFAULT_ORG, DeliveryFilter(**wanted), limit, cursor)
    return found


async def decide(scene: Scene, delivery_id: str, step: DeliveryStep, key: str | None = None):
    act = scene.act(claim=claim(key, method="delivery.retry") if key else None)
    return read(await scene.store.deliveries.decide(act, delivery_id, step, "delivery.retry"))["delivery"]


# --- lists ------------------------------------------------------------------------------------------


async def test_deliveries_are_listed_newest_first_by_what_is_wanted(scene: Scene) -> None:
    made = {phase: await in_phase(scene, phase, f"in {phase}") for phase in TO}
    newest_first = [delivery_id for _, delivery_id in reversed(made.values())]
    assert [found.id for found in await listed(scene)] == newest_first
    for phase, (thread_id, delivery_id) in made.items():
        (found,) = await listed(scene, phase=phase)
        assert (found.id, found.state, found.thread_id) == (delivery_id, phase, thread_id)
        assert await listed(scene, phase=phase, channel="telegram", account="main") == [found]
        assert await listed(scene, phase=phase, channel="telegram", account="other") == []
        assert await listed(scene, thread_id=thread_id) == [found]
        assert await listed(scene, thread_id=thread_id, phase="held" if phase != "held" else "sent") == []


async def test_a_delivery_says_what_an_operator_needs_to_know(scene: Scene) -> None:
    _, delivery_id = await in_phase(scene, "held", "a  long\n\nanswer " + "x" * 200)
    (found,) = await listed(scene, phase="held")
    assert (found.id, found.channel_id, found.room, found.part) == (delivery_id, "telegram:main", "42", 1)
    assert found.preview.startswith("a long answer x")
    assert len(found.preview) == 120
    assert (found.attempts, found.uncertain, found.next_attempt_at) == (1, 1, None)
    assert "nobody can tell" in (found.error or "")


@pytest.mark.parametrize("wanted", [{}, {"phase": "failed"}, {"phase": "idle"}, {"phase": "sent"}])
async def test_lists_come_in_pages(scene: Scene, wanted: dict[str, str]) -> None:
    made = [(await in_phase(scene, wanted.get("phase", "idle")))[1] for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = await scene.store.deliveries.page(DEFAULT_ORG, DeliveryFilter(**wanted), 2, cursor)
        seen += [found.id for found in page]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_another_organization_sees_and_decides_nothing(scene: Scene) -> None:
    _, delivery_id = await in_phase(scene, "failed")
    found, _ = await scene.store.deliveries.page(OTHER_ORG, DeliveryFilter(), 50, None)
    assert found == []
    act = scene.act(org_id=OTHER_ORG)
    await refused(
        scene.store.deliveries.decide(act, delivery_id, states.RETRIED, "delivery.retry"), ErrorKind.NOT_FOUND
    )


async def test_what_cannot_be_sent_any_more_is_no_dead_letter(scene: Scene) -> None:
    thread_id, delivery_id = await in_phase(scene, "failed")
    await scene.store.threads.delete(scene.act(), thread_id)
    assert await listed(scene, phase="failed") == []
    assert await scene.store.outbox.counts() == {}
    await refused(decide(scene, delivery_id, states.RETRIED), ErrorKind.INVALID_STATE)


# --- decisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", TO)
@pytest.mark.parametrize(
    ("step", "sources"),
    [(states.RETRIED, {"held", "failed"}), (states.SETTLED, {"held", "failed", "unknown"})],
)
async def test_an_operators_decision_is_for_these_states_only(
    scene: Scene, phase: str, step: DeliveryStep, sources: set[str]
) -> None:
    _, delivery_id = await in_phase(scene, phase)
    if phase in sources:
        assert (await decide(scene, delivery_id, step))["state"] == step.target
        return
    before = await scene.dump()
    await refused(decide(scene, delivery_id, step), ErrorKind.INVALID_STATE)
    assert await scene.dump() == before


async def test_a_retried_delivery_has_its_turn_again(scene: Scene) -> None:
    _, delivery_id = await in_phase(scene, "failed")
    scene.signals.clear()
    again = await decide(scene, delivery_id, states.RETRIED)
    assert (again["state"], again["attempts"]) == ("idle", 0)
    assert scene.told(OutboxChanged) == [ROOM]
    assert (await scene.next_delivery()).id == delivery_id


async def test_a_settled_delivery_is_told_as_sent_by_who_settled_it(scene: Scene) -> None:
    thread_id, delivery_id = await in_phase(scene, "held")
    await decide(scene, delivery_id, states.SETTLED)
    event = (await scene.log(thread_id))[-1]
    assert (event.kind, event.actor.id, event.data["delivery_id"]) == (
        "delivery.sent",
        "prn_ada",
        delivery_id,
    )
    assert await scene.store.outbox.next_in_room(ROOM) is None


async def test_a_decision_is_taken_once(scene: Scene) -> None:
    _, delivery_id = await in_phase(scene, "failed")
    first = await decide(scene, delivery_id, states.RETRIED, key="k")
    entries = await scene.audited()
    assert await decide(scene, delivery_id, states.RETRIED, key="k") == first
    assert await scene.audited() == entries


async def test_an_unknown_delivery_is_not_found(scene: Scene) -> None:
    await refused(decide(scene, "dlv_unknown", states.RETRIED), ErrorKind.NOT_FOUND)


async def test_counts_tell_what_waits_for_whom(scene: Scene) -> None:
    for phase in TO:
        await in_phase(scene, phase)
    (counts,) = (await scene.store.outbox.counts()).values()
    assert (counts.waiting, counts.held, counts.failed, counts.uncertain) == (3, 1, 1, 1)


async def test_a_held_delivery_has_no_turn(scene: Scene) -> None:
    await in_phase(scene, "held")
    assert await scene.store.outbox.next_in_room(ROOM) is None
    assert await scene.store.outbox.pending_rooms() == []


# --- the message a run answers ------------------------------------------------------------------------


async def test_a_run_knows_what_its_room_calls_the_message_it_answers(scene: Scene) -> None:
    await scene.receive(scene.delivery("hello", ref="p77"))
    (thread_id,) = await scene.store.runs.waiting_threads(10)
    run = await scene.claim(thread_id)
    assert run.message_ref == "p77"
    taken = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms, "restart")
    assert taken is not None
    assert taken.message_ref == "p77"


async def test_a_message_of_a_client_has_no_such_name(scene: Scene) -> None:
    assert (await scene.started(origin=CHAT)).message_ref is None
    assert (await scene.started()).message_ref is None
