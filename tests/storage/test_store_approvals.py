"""What agents ask people to decide, through the port: the run waits as data, the first decision wins."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from store_stage import CHAT, Scene, actor, cancelled, refused

from gateway.rules import delivery_states as states
from protocol.approval_requests import ApprovalResult
from protocol.approvals import Approval, ApprovalKind, ApprovalState
from protocol.errors import ErrorKind, Fault
from protocol.records import Actor, ActorKind
from storage.approval_values import ApprovalChanged, CardEdit, Decide, Edited, NewGrant, Terms
from storage.engine import Transaction
from storage.errors import StaleFence
from storage.run_values import RunReady
from storage.values import DEFAULT_ORG, ClaimedRun

CARD = '{"text": "may I?"}'


async def decide(
    scene: Scene,
    approval_id: str,
    vote: str = "approve",
    reason: str = "",
    who: str = "grace",
    **choices: Any,
) -> Approval:
    wanted = scene.decide(approval_id, vote, reason, **choices)
    return ApprovalResult.model_validate_json(
        bytes(await scene.store.approvals.decide(scene.act(who), wanted))
    ).approval


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
    await decide(scene, approval_id, "deny")
    with pytest.raises(Fault) as caught:
        await decide(scene, approval_id)
    assert caught.value.kind is ErrorKind.INVALID_STATE
    assert "denied" in caught.value.message and "grace" in caught.value.message.lower()


async def test_of_many_decisions_at_once_one_wins(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run)
    outcomes = await asyncio.gather(
        *(decide(scene, approval_id, "approve" if number % 2 == 0 else "deny") for number in range(10)),
        return_exceptions=True,
    )
    winner = await state(scene, approval_id)
    assert sum(isinstance(outcome, Approval) for outcome in outcomes) == 5, "those who said the same"
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


# --- people -----------------------------------------------------------------------------------------


async def test_a_quorum_counts_people_and_not_surfaces(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(), terms=Terms(quorum=2))
    await scene.store.engine.write(link, "telegram", "7", "prn_grace")
    first = await decide(scene, approval_id)
    assert (first.state, [vote.actor.name for vote in first.votes]) == ("pending", ["grace"])
    counts = await press(scene, scene.decide(approval_id, among=IN_CHAT), "telegram:7", "1")
    assert counts == "Your vote counts: 1 of 2 approved."
    assert (await decide(scene, approval_id, who="ada")).state == "approved"


async def test_a_person_may_change_their_vote_while_it_is_open(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(), terms=Terms(quorum=2, denials=2))
    await decide(scene, approval_id)
    await decide(scene, approval_id, "deny", "on second thought")
    assert (await decide(scene, approval_id, who="ada")).state == "pending"
    ended = await decide(scene, approval_id, "deny", who="bob")
    assert (ended.state, len(ended.votes)) == ("denied", 3)


async def test_votes_about_what_was_edited_afterwards_do_not_count(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(), terms=Terms(quorum=2))
    await decide(scene, approval_id)
    edited = Edited({"arguments": {"x": 2}}, "1" * 64, "0" * 64, "-1\n+2")
    shown = await decide(scene, approval_id, who="ada", edited=edited)
    assert shown.state == "pending" and shown.edited is not None and shown.edited.by.name == "ada"
    with pytest.raises(Fault, match="something else by now"):
        await decide(scene, approval_id, who="bob", seen_hash="0" * 12)
    assert (await decide(scene, approval_id, seen_hash="1" * 12)).state == "approved"


async def test_asking_for_changes_ends_it_and_tells_the_run(scene: Scene) -> None:
    run = await scene.started()
    approval_id = await scene.ask(run, name="publish")
    assert (await decide(scene, approval_id, "request_changes", "shorter")).state == "changes_requested"
    going_on = await scene.resume(run)
    assert going_on is not None
    (told,) = going_on.decisions
    assert (told.approved, told.wants_changes, told.reason) == (False, True, "shorter")
    again = await scene.ask(going_on, key="again", name="publish")
    assert (await scene.store.approvals.get(DEFAULT_ORG, again)).supersedes == approval_id


async def test_a_vote_of_somebody_who_was_disabled_since_does_not_count(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(), terms=Terms(quorum=2))
    await decide(scene, approval_id)
    await scene.store.engine.write(disable, "prn_grace")
    assert (await scene.store.approvals.get(DEFAULT_ORG, approval_id)).votes == []
    assert (await decide(scene, approval_id, who="ada")).state == "pending"
    assert (await decide(scene, approval_id, who="bob")).state == "approved"


async def test_who_is_disabled_does_not_decide(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    await scene.store.engine.write(disable, "prn_grace")
    await refused(decide(scene, approval_id), ErrorKind.FORBIDDEN)
    assert await audit_outcomes(scene, "approval.decide") == ["failure"]


# --- grants -----------------------------------------------------------------------------------------

SORT = {"name": "publish", "agent_id": "demo", "rule": "careful"}


async def granted(scene: Scene, **choices: Any) -> tuple[ClaimedRun, str]:
    """A run whose ask was approved for more than once, and the approval's id."""
    run = await scene.started()
    approval_id = await scene.ask(run, **SORT)
    new = NewGrant(
        "grt_1", **{"scope": "thread", "uses": 1, "expires_at_ms": scene.now_ms + 1_000, **choices}
    )
    approval = await decide(scene, approval_id, grant=new)
    assert approval.grant is not None and approval.grant.uses_left == choices.get("uses", 1)
    going_on = await scene.resume(run)
    assert going_on is not None
    return going_on, approval_id


async def again(scene: Scene, run: ClaimedRun, key: str, **choices: Any) -> Approval:
    """What becomes of the same sort of thing asked again."""
    asked = await scene.ask(run, key=key, **{**SORT, **choices})
    return await scene.store.approvals.get(DEFAULT_ORG, asked)


async def test_a_grant_approves_what_it_is_for_as_often_as_it_says(scene: Scene) -> None:
    run, _ = await granted(scene)
    second = await again(scene, run, "two")
    assert (second.state, second.grant_id, second.decided_by) == ("approved", "grt_1", actor("grace"))
    going_on = await scene.resume(run)
    assert going_on is not None, "and the run need not wait"
    assert (await again(scene, going_on, "three")).state == "pending"
    assert (await scene.audited()).count("approval.grant_use") == 1


@pytest.mark.parametrize("other", [{"name": "pay"}, {"agent_id": "another"}, {"rule": "stricter"}])
async def test_a_grant_is_for_nothing_else(scene: Scene, other: dict[str, str]) -> None:
    run, _ = await granted(scene)
    assert (await again(scene, run, "two", **other)).state == "pending"


async def test_a_grant_ends_by_its_time_and_with_its_thread(scene: Scene) -> None:
    run, _ = await granted(scene, uses=None)
    assert (await again(scene, await scene.started(), "two")).state == "pending", "another thread"
    scene.now_ms += 1_000
    assert (await again(scene, run, "two")).state == "pending"


async def test_a_grant_of_an_agent_is_for_all_of_its_threads_until_it_is_revoked(scene: Scene) -> None:
    run, approval_id = await granted(scene, scope="agent", uses=None)
    alive, _ = await scene.store.approvals.page(
        DEFAULT_ORG, None, None, 9, None, granted=True, now_ms=scene.now_ms
    )
    assert [one.id for one in alive] == [approval_id]
    assert (await again(scene, await scene.started(), "two")).state == "approved"
    await decide(scene, approval_id, "revoke")
    await decide(scene, approval_id, "revoke")
    assert (await again(scene, run, "two")).state == "pending"
    assert (await scene.audited()).count("approval.revoke") == 1
    alive, _ = await scene.store.approvals.page(
        DEFAULT_ORG, None, None, 9, None, granted=True, now_ms=scene.now_ms
    )
    assert alive == []


@pytest.mark.parametrize("terms", [Terms(grants=False), Terms(quorum=2)])
async def test_there_is_no_grant_where_each_needs_people(scene: Scene, terms: Terms) -> None:
    approval_id = await scene.ask(await scene.started(), terms=terms, **SORT)
    new = NewGrant("grt_1", "thread", 1, scene.now_ms + 1_000)
    await refused(decide(scene, approval_id, grant=new), ErrorKind.FORBIDDEN)


# --- in time ----------------------------------------------------------------------------------------


async def test_a_second_group_decides_once_its_time_is_there(scene: Scene) -> None:
    terms = Terms(approvers=("user:prn_ada",), escalate_to=("user:prn_grace",))
    approval_id = await scene.ask(await scene.started(), terms=terms, escalate_at_ms=scene.now_ms + 100)
    await refused(decide(scene, approval_id), ErrorKind.FORBIDDEN)
    scene.now_ms += 200
    assert (await decide(scene, approval_id)).state == "approved", "whether or not a timer went off"


async def test_escalation_and_reminder_happen_once(scene: Scene) -> None:
    approval_id = await scene.ask(
        await scene.started(), remind_at_ms=scene.now_ms + 10, escalate_at_ms=scene.now_ms + 20
    )
    assert await scene.store.approvals.next_due_ms() == scene.now_ms + 9
    later = scene.now_ms + 50
    for _ in range(2):
        await scene.store.approvals.escalate(later, 10)
        for one in await scene.store.approvals.to_remind(later, 10):
            await scene.store.approvals.remind(one.org_id, one.approval.id, [], later)
    found = await scene.store.approvals.get(DEFAULT_ORG, approval_id)
    assert found.reminded_at is not None and found.escalated_at is not None
    audited = await scene.audited()
    assert (audited.count("approval.remind"), audited.count("approval.escalate")) == (1, 1)


# --- what no run asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(("vote", "state"), [("approve", "approved"), ("deny", "rejected")])
async def test_a_pairing_is_what_people_decided_about_it(scene: Scene, vote: str, state: str) -> None:
    pairing_id = await scene.stranger()
    new = scene.approval(kind=ApprovalKind.PAIRING, key=pairing_id, subject={"pairing_id": pairing_id})
    asked = await scene.store.approvals.ask(scene.act(), new)
    same = await scene.store.approvals.ask(
        scene.act(), scene.approval(kind=ApprovalKind.PAIRING, key=pairing_id)
    )
    assert same.id == asked.id, "one waits already"
    await decide(scene, asked.id, vote)
    (pairing,), _ = await scene.store.pairings.page(DEFAULT_ORG, None, 9, None, scene.now_ms)
    assert pairing.state == state


async def test_a_version_of_an_agent_is_released_by_its_approval(scene: Scene) -> None:
    subject = {"agent_id": "helper", "version": "2"}
    asked = await scene.store.approvals.ask(
        scene.act(), scene.approval(kind=ApprovalKind.RELEASE, key="helper/2", subject=subject)
    )
    assert not await scene.store.approvals.is_released(DEFAULT_ORG, "helper", "2")
    with pytest.raises(Fault, match="Nobody is there"):
        await decide(scene, asked.id, "request_changes", "no")
    await decide(scene, asked.id)
    assert await scene.store.approvals.is_released(DEFAULT_ORG, "helper", "2")
    assert not await scene.store.approvals.is_released(DEFAULT_ORG, "helper", "3")


# --- the button -------------------------------------------------------------------------------------


IN_CHAT = frozenset({"telegram:7"})


async def press(scene: Scene, decide: Decide, who: str, delivery_id: str) -> str | None:
    act = replace(scene.act(), actor=Actor(id=who, kind=ActorKind.PERSON, name="Grace"), via="telegram:main")
    delivery = scene.delivery(
        delivery_id=delivery_id, message=None, act=act, decide=decide, key=None, ref=None
    )
    ((outcome),) = await scene.store.inbox.commit(
        DEFAULT_ORG, "telegram", "main", [delivery], {}, scene.now_ms
    )
    return outcome.says


async def test_a_button_decides_and_says_so_also_when_it_is_delivered_twice(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    yes = scene.decide(approval_id, among=IN_CHAT)
    assert await press(scene, yes, "telegram:7", "1") == "Approved."
    assert await press(scene, yes, "telegram:7", "1") == "Approved.", "a redelivery"
    no = scene.decide(approval_id, "deny", among=frozenset({"telegram:8"}))
    says = await press(scene, no, "telegram:8", "2")
    assert says is not None and says.startswith("This was approved already by Grace")


async def test_a_button_is_nothing_to_others(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started())
    decision = scene.decide(approval_id, among=IN_CHAT)
    assert await press(scene, decision, "telegram:8", "1") == "You may not decide this."
    assert await state(scene, approval_id) == ApprovalState.PENDING
    assert await audit_outcomes(scene, "approval.decide") == ["failure"], "the attempt is on record"
    assert await press(scene, decision, "telegram:7", "2") == "Approved."


async def test_a_button_of_nothing_says_so(scene: Scene) -> None:
    assert await press(scene, scene.decide("apr_unknown"), "telegram:7", "1") == "This is no longer open."


async def audit_outcomes(scene: Scene, action: str) -> list[str]:
    entries, _ = await scene.store.audit.page(DEFAULT_ORG, 0, action, 500)
    return [entry.outcome for entry in entries]


def link(tx: Transaction, channel: str, sender_id: str, user_id: str) -> None:
    tx.run(
        "INSERT INTO principals (id, org_id, kind, name, role, created_at)"
        " VALUES (:id, :org, 'user', 'x', 'approver', 0)",
        id=user_id,
        org=DEFAULT_ORG,
    )
    tx.run(
        "INSERT INTO chat_links VALUES (:org, :channel, 'main', :sender, :user, 'x', 0)",
        org=DEFAULT_ORG,
        channel=channel,
        sender=sender_id,
        user=user_id,
    )


def disable(tx: Transaction, user_id: str) -> None:
    tx.run(
        "INSERT INTO principals (id, org_id, kind, name, role, created_at, disabled_at)"
        " VALUES (:id, :org, 'user', 'x', 'approver', 0, 1)",
        id=user_id,
        org=DEFAULT_ORG,
    )


# --- the card ---------------------------------------------------------------------------------------


async def delivered(scene: Scene, ref: str) -> str:
    """Deliver what is next in the room; returns what it shows."""
    row = await scene.next_delivery()
    if row.ref is None:
        await scene.store.outbox.step(row.id, states.BEGIN_SEND, scene.now_ms)
    await scene.store.outbox.step(row.id, states.delivered(row.ref or ref), scene.now_ms)
    assert row.content is not None
    return f"{row.content} on {row.ref or ref}"


async def brought_up_to_date(scene: Scene) -> int:
    """What the gateway does when an approval changed; returns how many cards it touched."""
    found = await scene.store.approvals.stale_cards(10)
    for stale in found:
        text = f'{{"text": "{stale.approval.state}"}}'
        edits = [CardEdit(card.id, scene.new_id("dlv"), text) for card in stale.cards]
        await scene.store.approvals.show(DEFAULT_ORG, stale.approval.id, stale.revision, edits, scene.now_ms)
    return sum(len(stale.cards) for stale in found)


async def test_a_card_that_stands_is_changed_when_it_is_decided(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(origin=CHAT), CARD)
    assert await delivered(scene, "77") == f"{CARD} on 77"
    assert await brought_up_to_date(scene) == 0
    await decide(scene, approval_id)
    assert await brought_up_to_date(scene) == 1
    assert await delivered(scene, "78") == '{"text": "approved"} on 77'
    assert await brought_up_to_date(scene) == 0


async def test_a_card_that_is_decided_before_it_stands_is_changed_afterwards(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(origin=CHAT), CARD)
    await decide(scene, approval_id)
    assert await brought_up_to_date(scene) == 0
    assert await delivered(scene, "77") == f"{CARD} on 77"
    assert scene.told(ApprovalChanged)[-1] == ApprovalChanged(approval_id)
    assert await brought_up_to_date(scene) == 1
    assert await delivered(scene, "78") == '{"text": "approved"} on 77'


async def test_a_card_drawn_before_the_last_change_is_not_the_last(scene: Scene) -> None:
    approval_id = await scene.ask(await scene.started(origin=CHAT), CARD, terms=Terms(quorum=2))
    await delivered(scene, "77")
    await decide(scene, approval_id)
    (stale,) = await scene.store.approvals.stale_cards(10)
    await decide(scene, approval_id, who="ada")
    late = [CardEdit(stale.cards[0].id, scene.new_id("dlv"), "late")]
    await scene.store.approvals.show(DEFAULT_ORG, approval_id, stale.revision, late, scene.now_ms)
    assert await brought_up_to_date(scene) == 1
    assert await delivered(scene, "78") == '{"text": "approved"} on 77'
