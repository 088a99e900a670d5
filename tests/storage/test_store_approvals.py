"""What agents ask people to decide, through the port: the run waits as data, the first decision wins."""

import asyncio
from dataclasses import replace

import pytest
from store_stage import CHAT, Scene, cancelled

from gateway.rules import delivery_states as states
from protocol.errors import ErrorKind, Fault
from protocol.records import ApprovalState
from storage.errors import StaleFence
from storage.run_values import RunReady
from storage.values import DEFAULT_ORG, Decide

CARD = '{"text": "may I?"}'


async def decide(scene: Scene, approval_id: str, approves: bool = True, reason: str = "") -> None:
    settled = '{"text": "decided"}'
    await scene.store.approvals.decide(scene.act("grace"), Decide(approval_id, approves, reason, settled))


async def state(scene: Scene, approval_id: str) -> str:
    return (await scene.store.approvals.get(DEFAULT_ORG, approval_id)).state


# --- asking -----------------------------------------------------------------------------------------


async def test_a_run_that_asks_waits_without_an_owner(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    assert await scene.kinds(run.thread_id) == [
        "thread.created", "message.created", "run.queued", "run.started", "approval.requested", "run.waiting",
    ]  # fmt: skip
    assert (await scene.store.runs.get(DEFAULT_ORG, run.id)).state == "waiting"
    approval = await scene.store.approvals.get(DEFAULT_ORG, approval_id)
    assert (approval.state, approval.title, approval.body) == ("pending", "Publish", "all of it")
    with pytest.raises(StaleFence):
        await scene.answer(run)


async def test_who_lost_the_run_cannot_ask(scene: Scene) -> None:
    run = await scene.started()
    with pytest.raises(StaleFence):
        await scene.ask(replace(run, fence=run.fence - 1))
    assert (await scene.store.approvals.page(DEFAULT_ORG, None, None, 10, None))[0] == []


async def test_a_waiting_run_goes_on_only_when_everything_is_decided(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    assert await scene.store.runs.resumable(10) == []
    assert await scene.resume(run) is None
    await decide(scene, approval_id, reason="fine")
    assert [found.id for found in await scene.store.runs.resumable(10)] == [run.id]
    going_on = await scene.resume(run)
    assert going_on is not None
    assert going_on.partial == "so far"
    ((decided_id, approved, reason),) = [(d.approval_id, d.approved, d.reason) for d in going_on.decisions]
    assert (decided_id, approved, reason) == (approval_id, True, "fine")
    assert await scene.resume(run) is None, "and it goes on once"


# --- deciding ---------------------------------------------------------------------------------------


async def test_the_same_decision_again_changes_nothing(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    await decide(scene, approval_id)
    kinds, audited = await scene.kinds(run.thread_id), await scene.audited()
    await decide(scene, approval_id)
    assert (await scene.kinds(run.thread_id), await scene.audited()) == (kinds, audited)


async def test_another_decision_is_refused_and_names_the_first(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    await decide(scene, approval_id, approves=False)
    with pytest.raises(Fault) as caught:
        await decide(scene, approval_id)
    assert caught.value.kind is ErrorKind.INVALID_STATE
    assert "denied" in caught.value.message and "grace" in caught.value.message.lower()


async def test_of_many_decisions_at_once_one_wins(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    outcomes = await asyncio.gather(
        *(decide(scene, approval_id, approves=number % 2 == 0) for number in range(10)),
        return_exceptions=True,
    )
    winner = await state(scene, approval_id)
    assert sum(outcome is None for outcome in outcomes) == 5, "those who said the same"
    assert winner in (ApprovalState.APPROVED, ApprovalState.DENIED)
    assert (await scene.kinds(run.thread_id)).count("approval.decided") == 1


async def test_nobody_deciding_in_time_is_a_denial(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run, life_ms=1_000)
    assert await scene.store.approvals.expire(scene.now_ms + 999, 10) == 0
    assert await scene.store.approvals.expire(scene.now_ms + 1_000, 10) == 1
    assert await state(scene, approval_id) == ApprovalState.EXPIRED
    going_on = await scene.resume(run)
    assert going_on is not None and not going_on.decisions[0].approved


async def test_a_run_that_is_stopped_takes_its_question_back(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    await scene.store.runs.cancel(scene.act(), run.id, cancelled())
    assert await state(scene, approval_id) == ApprovalState.CANCELLED
    assert (await scene.kinds(run.thread_id))[-2:] == ["run.cancelled", "approval.cancelled"]
    with pytest.raises(Fault):
        await decide(scene, approval_id)


async def test_a_run_is_ready_when_the_last_thing_is_settled(scene: Scene) -> None:
    run = await scene.started()
    first, second = scene.approval(), scene.approval()
    await scene.wait(run, [first, second])
    await decide(scene, first.id)
    assert scene.told(RunReady) == []
    await scene.store.approvals.expire(scene.now_ms + 10**9, 10)
    assert scene.told(RunReady) == [RunReady(run.thread_id, run.id)]


# --- the button -------------------------------------------------------------------------------------


async def press(scene: Scene, decide: Decide, who: str, delivery_id: str) -> str | None:
    delivery = scene.delivery(
        delivery_id=delivery_id, message=None, act=scene.act(who), decide=decide, key=None, ref=None
    )
    ((outcome),) = await scene.store.inbox.commit(
        DEFAULT_ORG, "telegram", "main", [delivery], {}, scene.now_ms
    )
    return outcome.says


async def test_a_button_decides_and_says_so_also_when_it_is_delivered_twice(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    assert await press(scene, Decide(approval_id, True, ""), "grace", "1") == "Approved."
    assert await press(scene, Decide(approval_id, True, ""), "grace", "1") == "Approved.", "a redelivery"
    assert (
        await press(scene, Decide(approval_id, False, ""), "ada", "2")
        == "This was approved already by grace."
    )


async def test_a_button_is_nothing_to_others(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    only_ada = Decide(approval_id, True, "", may_decide=frozenset({scene.act("ada").actor.id}))
    assert await press(scene, only_ada, "grace", "1") == "You may not decide this."
    assert await state(scene, approval_id) == ApprovalState.PENDING
    assert (await scene.audited())[-1] == "approval.decide", "the attempt is on record"
    assert await press(scene, only_ada, "ada", "2") == "Approved."


async def test_a_button_of_nothing_says_so(scene: Scene) -> None:
    assert await press(scene, Decide("apr_unknown", True, ""), "grace", "1") == "This is no longer open."


# --- the card ---------------------------------------------------------------------------------------


async def delivered(scene: Scene, ref: str) -> str:
    """Deliver what is next in the room; returns what it shows."""
    row = await scene.next_delivery()
    if row.ref is None:
        await scene.store.outbox.step(row.id, states.BEGIN_SEND, scene.now_ms)
    await scene.store.outbox.step(row.id, states.delivered(row.ref or ref), scene.now_ms)
    assert row.content is not None
    return f"{row.content} on {row.ref or ref}"


async def test_a_card_that_stands_is_changed_when_it_is_decided(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(origin=CHAT), CARD)
    assert await delivered(scene, "77") == f"{CARD} on 77"
    await decide(scene, approval_id)
    assert await delivered(scene, "78") == '{"text": "decided"} on 77'


async def test_a_card_that_is_decided_before_it_stands_is_changed_afterwards(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(origin=CHAT), CARD)
    await decide(scene, approval_id)
    assert await delivered(scene, "77") == f"{CARD} on 77"
    assert await delivered(scene, "78") == '{"text": "decided"} on 77'
