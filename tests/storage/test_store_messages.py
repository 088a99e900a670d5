"""Accepting messages through the port: one transaction, idempotent, and what a busy thread does."""

import asyncio

import pytest
from store_stage import CHAT, OTHER_ORG, Scene, cancelled, claim, read, refused

from protocol.errors import ErrorKind
from protocol.records import RunState
from storage.values import DEFAULT_ORG, CommittedEvent, OutboxChanged

# --- what is stored ---------------------------------------------------------------------------------


async def test_a_message_is_stored_with_its_run(scene: Scene) -> None:
    thread_id = await scene.thread("Named")
    sent = await scene.say("hello there", thread_id)
    assert (sent.seq, sent.run_state, sent.queue_position) == (2, RunState.QUEUED, 0)
    message, queued = (await scene.log(thread_id))[1:]
    assert message.kind == "message.created"
    assert message.actor.name == "ada"
    assert message.data["message"]["id"] == sent.message_id
    assert message.data["message"]["content"] == [{"type": "text", "text": "hello there"}]
    assert message.data["message"]["role"] == "user"
    assert (queued.kind, queued.run_id) == ("run.queued", sent.run_id)
    assert queued.data == {"agent_id": "demo", "message_id": sent.message_id}
    run = await scene.store.runs.get(DEFAULT_ORG, sent.run_id)
    assert (run.state, run.attempt, run.thread_id) == (RunState.QUEUED, 0, thread_id)
    assert (await scene.audited())[-1] == "message.send"


async def test_a_message_without_a_thread_makes_one(scene: Scene) -> None:
    sent = await scene.say("hello", new_title="From the first words", origin=CHAT)
    thread = await scene.store.threads.get(DEFAULT_ORG, sent.thread_id)
    assert (thread.title, thread.origin) == ("From the first words", CHAT)
    assert await scene.kinds(sent.thread_id) == ["thread.created", "message.created", "run.queued"]
    assert sent.seq == 2
    assert await scene.audited() == ["thread.create", "message.send"]


async def test_the_first_message_names_an_untitled_thread(scene: Scene) -> None:
    thread_id = await scene.thread()
    sent = await scene.say("hello", thread_id, title="Hello")
    await scene.say("more", thread_id, title="Not this")
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).title == "Hello"
    events = await scene.log(thread_id)
    assert [event.kind for event in events][:4] == [
        "thread.created",
        "thread.updated",
        "message.created",
        "run.queued",
    ]
    assert events[1].data == {"title": "Hello"}
    assert sent.seq == 3
    assert [event.kind for event in events].count("thread.updated") == 1


async def test_a_thread_that_has_a_name_keeps_it(scene: Scene) -> None:
    thread_id = await scene.thread("Mine")
    await scene.say("hello", thread_id, title="Yours")
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).title == "Mine"


async def test_a_message_may_choose_its_agent(scene: Scene) -> None:
    thread_id = await scene.thread()
    usual = await scene.say("one", thread_id)
    chosen = await scene.say("two", thread_id, agent_id="other")
    assert (await scene.store.runs.get(DEFAULT_ORG, usual.run_id)).agent_id == "demo"
    assert (await scene.store.runs.get(DEFAULT_ORG, chosen.run_id)).agent_id == "other"
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).agent_id == "demo"


# --- idempotency ------------------------------------------------------------------------------------


async def test_the_same_key_and_params_give_the_stored_answer(scene: Scene) -> None:
    thread_id = await scene.thread()
    first = await scene.say("once", thread_id, claim=claim("k1"))
    before, signals = await scene.dump(), len(scene.signals)
    again = await scene.say("once", thread_id, claim=claim("k1"))
    assert again == first
    assert await scene.dump() == before
    assert len(scene.signals) == signals


async def test_the_answer_is_the_same_bytes_whatever_happened_since(scene: Scene) -> None:
    thread_id = await scene.thread()
    key = claim("k1", method="thread.archive")
    first = await scene.store.threads.archive(scene.act(claim=key), thread_id)
    await scene.store.threads.restore(scene.act(), thread_id)
    assert bytes(await scene.store.threads.archive(scene.act(claim=key), thread_id)) == bytes(first)
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).status == "active"


async def test_the_same_key_with_other_params_is_refused(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.say("once", thread_id, claim=claim("k1"))
    before = await scene.dump()
    await refused(
        scene.say("twice", thread_id, claim=claim("k1", params="p2")), ErrorKind.IDEMPOTENCY_CONFLICT
    )
    assert await scene.dump() == before


@pytest.mark.parametrize(
    "other",
    [claim("k1", who="grace"), claim("k2"), claim("k1", method="other.method")],
    ids=["principal", "key", "method"],
)
async def test_a_claim_is_one_principals_for_one_method(scene: Scene, other) -> None:
    thread_id = await scene.thread()
    first = await scene.say("once", thread_id, claim=claim("k1"))
    assert (await scene.say("once", thread_id, claim=other)).message_id != first.message_id


async def test_a_claim_is_one_organizations(scene: Scene) -> None:
    first = await scene.say("once", claim=claim("k1"))
    second = await scene.say("once", claim=claim("k1"), org_id=OTHER_ORG)
    assert second.message_id != first.message_id


async def test_a_refusal_is_not_remembered(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.store.threads.archive(scene.act(), thread_id)
    await refused(scene.say("now?", thread_id, claim=claim("k1")), ErrorKind.INVALID_STATE)
    await scene.store.threads.restore(scene.act(), thread_id)
    assert (await scene.say("now?", thread_id, claim=claim("k1"))).seq == 4


async def test_two_at_once_with_one_key_are_one(scene: Scene) -> None:
    thread_id = await scene.thread()
    answers = await asyncio.gather(*[scene.say("once", thread_id, claim=claim("k1")) for _ in range(10)])
    assert len({answer.message_id for answer in answers}) == 1
    assert (await scene.kinds(thread_id)).count("message.created") == 1


@pytest.mark.parametrize(
    "method", ["create", "update", "archive", "restore", "delete", "cancel", "retry", "revoke"]
)
async def test_every_mutation_is_idempotent(scene: Scene, method: str) -> None:
    run = await scene.started()
    threads, runs, identities = scene.store.threads, scene.store.runs, scene.store.identities
    token, _ = await identities.create_token(scene.act(), scene.token())
    if method == "restore":
        await threads.archive(scene.act(), run.thread_id)
    if method == "retry":
        await scene.answer(run)
    new, act = scene.new_thread(), scene.act(claim=claim("k1", method=method))
    calls = {
        "create": lambda: threads.create(act, new),
        "update": lambda: threads.update(act, run.thread_id, "Title", None),
        "archive": lambda: threads.archive(act, run.thread_id),
        "restore": lambda: threads.restore(act, run.thread_id),
        "delete": lambda: threads.delete(act, run.thread_id),
        "cancel": lambda: runs.cancel(act, run.id, cancelled()),
        "retry": lambda: runs.retry(act, run.id, "run_again", 10),
        "revoke": lambda: identities.revoke_token(act, token.id),
    }
    unchanged = await scene.dump()
    first = await calls[method]()
    before = await scene.dump()
    assert before != unchanged
    assert bytes(await calls[method]()) == bytes(first)
    assert await scene.dump() == before


# --- a busy thread ----------------------------------------------------------------------------------


async def test_messages_wait_in_line(scene: Scene) -> None:
    first = await scene.say("one")
    second = await scene.say("two", first.thread_id)
    await scene.claim(first.thread_id)
    third = await scene.say("three", first.thread_id)
    assert [sent.queue_position for sent in (first, second, third)] == [0, 1, 2]


async def test_reject_refuses_while_anything_is_unfinished(scene: Scene) -> None:
    first = await scene.say("one")
    before = await scene.dump()
    fault = await refused(scene.say("two", first.thread_id, on_busy="reject"), ErrorKind.BUSY)
    assert fault.data["retryable"]
    run = await scene.claim(first.thread_id)
    await refused(scene.say("two", first.thread_id, on_busy="reject"), ErrorKind.BUSY)
    assert (await scene.dump())["events"][:-1] == before["events"]
    await scene.answer(run)
    assert (await scene.say("two", first.thread_id, on_busy="reject")).queue_position == 0


async def test_a_full_queue_refuses(scene: Scene) -> None:
    first = await scene.say("one", queue_max=2)
    await scene.say("two", first.thread_id, queue_max=2)
    before = await scene.dump()
    for on_busy in ("queue", "steer"):
        fault = await refused(
            scene.say("three", first.thread_id, queue_max=2, on_busy=on_busy), ErrorKind.BUSY
        )
        assert fault.data["retry_after_ms"] > 0
    assert await scene.dump() == before


async def test_interrupt_ends_what_is_ahead_and_shows_it_once(scene: Scene) -> None:
    run = await scene.started("one", origin=CHAT)
    waiting = await scene.say("two", run.thread_id)
    notice = scene.notice("Stopped.")
    ending = cancelled("a newer message took its place", notice)
    sent = await scene.say("three", run.thread_id, on_busy="interrupt", interrupt=ending)
    assert sent.queue_position == 0
    for run_id in (run.id, waiting.run_id):
        assert (await scene.store.runs.get(DEFAULT_ORG, run_id)).state == RunState.CANCELLED
    endings = [event for event in await scene.log(run.thread_id) if event.kind == "run.cancelled"]
    assert [event.run_id for event in endings] == [run.id, waiting.run_id]
    assert endings[0].actor.name == "ada"
    owed = await scene.rows("SELECT id, run_id, content FROM outbox")
    assert owed == [(notice.delivery_id, run.id, notice.content)]
    assert (await scene.claim(run.thread_id)).id == sent.run_id
    assert (await scene.kinds(run.thread_id))[-3:] == ["message.created", "run.queued", "run.started"]


async def test_interrupt_is_not_held_up_by_a_full_queue(scene: Scene) -> None:
    first = await scene.say("one", queue_max=1)
    sent = await scene.say("two", first.thread_id, queue_max=1, on_busy="interrupt")
    assert (sent.queue_position, sent.seq) == (0, 5)
    assert scene.told_kinds()[-3:] == ["run.cancelled", "message.created", "run.queued"]


async def test_an_archived_thread_takes_nothing(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.store.threads.archive(scene.act(), thread_id)
    before = await scene.dump()
    await refused(scene.say("hello", thread_id), ErrorKind.INVALID_STATE)
    assert await scene.dump() == before


async def test_an_archived_thread_is_restored_by_those_who_may(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.store.threads.archive(scene.act(), thread_id)
    sent = await scene.say("hello", thread_id, restore_archived=True, title="Named too")
    thread = await scene.store.threads.get(DEFAULT_ORG, thread_id)
    assert (thread.status, thread.title) == ("active", "Named too")
    assert (await scene.kinds(thread_id))[2:] == [
        "thread.restored",
        "thread.updated",
        "message.created",
        "run.queued",
    ]
    assert sent.seq == 5
    assert (await scene.audited())[-2:] == ["thread.restore", "message.send"]


async def test_no_refusal_leaves_anything_behind(scene: Scene) -> None:
    """Refused after it had restored the thread: that is undone too, for the store and for the hooks."""
    sent = await scene.say("one")
    await scene.store.threads.archive(scene.act(), sent.thread_id)
    before, signals = await scene.dump(), list(scene.signals)
    for choices in ({"on_busy": "reject"}, {"queue_max": 1}):
        await refused(scene.say("two", sent.thread_id, restore_archived=True, **choices), ErrorKind.BUSY)
    await refused(scene.say("two", "thr_unknown"), ErrorKind.NOT_FOUND)
    assert await scene.dump() == before
    assert scene.signals == signals


async def test_a_refusal_does_not_disturb_its_neighbours(scene: Scene) -> None:
    """Concurrent messages share a group commit; one that is refused late is undone alone."""
    sent = await scene.say("one", queue_max=100)
    archived = await scene.thread()
    await scene.say("waiting", archived)
    await scene.store.threads.archive(scene.act(), archived)
    attempts = [
        scene.say(f"m{number}", sent.thread_id, queue_max=100)
        if number % 3
        else scene.say("no", archived, restore_archived=True, on_busy="reject")
        for number in range(30)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 10
    seqs = [event.seq for event in await scene.log(sent.thread_id)]
    assert seqs == list(range(1, 2 * 21 + 2))
    told = [event.seq for event in scene.told(CommittedEvent) if event.thread_id == sent.thread_id]
    assert told == seqs
    assert (await scene.store.threads.get(DEFAULT_ORG, archived)).status == "archived"


async def test_what_is_owed_to_a_room_is_told(scene: Scene) -> None:
    run = await scene.started(origin=CHAT)
    ending = cancelled("stop", scene.notice())
    answer = await scene.store.runs.cancel(scene.act(), run.id, ending)
    assert read(answer)["run"]["state"] == "cancelled"
    assert len(scene.told(OutboxChanged)) == 1
