"""What chat networks deliver, through the port: stored once, with what follows from it and the cursor."""

from dataclasses import replace

import pytest
from store_stage import ROOM, Scene

from gateway.rules import delivery_states as states
from storage.channel_values import Telling
from storage.values import DEFAULT_ORG, CommittedEvent, Notice, OutboxChanged


async def cursor(scene: Scene, account: str = "main") -> str | None:
    """The cursor of the account as a whole."""
    value, _ = (await scene.store.inbox.cursors(DEFAULT_ORG, ROOM.channel, account)).get("", (None, 0))
    return value


async def threads(scene: Scene) -> list[str]:
    """The thread of each message, in the order they were stored."""
    return [row[0] for row in await scene.rows("SELECT thread_id FROM messages ORDER BY log_offset")]


async def outcomes(scene: Scene) -> list[str]:
    return [row[0] for row in await scene.rows("SELECT outcome FROM inbox ORDER BY rowid")]


# --- once -------------------------------------------------------------------------------------------


async def test_a_delivery_becomes_a_message_and_a_run(scene: Scene) -> None:
    delivery = scene.delivery("hello")
    assert await scene.receive(delivery, cursor="17") == 1
    (thread_id,) = await threads(scene)
    assert await scene.kinds(thread_id) == ["thread.created", "message.created", "run.queued"]
    assert delivery.message is not None
    ((outcome, stored_thread, message_id),) = await scene.rows(
        "SELECT outcome, thread_id, message_id FROM inbox"
    )
    assert (outcome, stored_thread, message_id) == ("accepted", thread_id, delivery.message.message_id)
    assert await cursor(scene) == "17"
    assert await scene.audited() == ["thread.create", "message.send"]


async def test_a_delivery_seen_before_changes_nothing(scene: Scene) -> None:
    batch = [scene.delivery("one"), scene.delivery("two")]
    assert await scene.receive(*batch, cursor="5") == 2
    before, signals = await scene.dump(), len(scene.signals)
    assert await scene.receive(*batch, cursor="5") == 0
    assert await scene.receive(batch[1]) == 0
    assert await scene.dump() == before
    assert len(scene.signals) == signals


async def test_a_delivery_twice_in_a_batch_is_one(scene: Scene) -> None:
    delivery = scene.delivery("once")
    assert await scene.receive(delivery, delivery, scene.delivery("another")) == 2
    assert len(await threads(scene)) == 2


async def test_what_is_new_in_a_batch_is_taken(scene: Scene) -> None:
    old = scene.delivery("old")
    await scene.receive(old, cursor="1")
    assert await scene.receive(old, scene.delivery("new"), cursor="2") == 1
    assert await cursor(scene) == "2"
    assert len(await threads(scene)) == 2


async def test_deliveries_are_told_apart_by_account(scene: Scene) -> None:
    delivery = scene.delivery("hello", delivery_id="1")
    assert await scene.receive(delivery) == 1
    assert await scene.receive(scene.delivery("hello", delivery_id="1"), account="second") == 1
    assert len(set(await threads(scene))) == 2, "and so are conversations"


# --- the cursor -------------------------------------------------------------------------------------


async def test_a_cursor_is_the_accounts_own(scene: Scene) -> None:
    assert await cursor(scene) is None
    await scene.receive(cursor="1")
    await scene.receive(cursor="7", account="second")
    await scene.receive(scene.delivery("no cursor with this one"))
    assert (await cursor(scene), await cursor(scene, "second")) == ("1", "7")
    assert await scene.store.inbox.cursors("org_other", ROOM.channel, "main") == {}


async def test_a_full_conversation_refuses_its_message_and_holds_up_nobody_else(scene: Scene) -> None:
    await scene.receive(scene.delivery("first"), cursor="1")
    too_much = scene.delivery(message=scene.message("too much", queue_max=1))
    await scene.receive(too_much, scene.delivery("fine", key="chat:7"), cursor="2")
    assert await outcomes(scene) == ["accepted", "refused", "accepted"]
    assert await cursor(scene) == "2"
    assert "too much" not in str(await scene.dump())


async def test_who_is_refused_for_a_full_conversation_is_told_once(scene: Scene) -> None:
    await scene.receive(scene.delivery("first"))
    notice = Notice("dlv_busy", '{"text":"later","payload":{}}')
    for number in range(3):
        message = scene.message(f"more {number}", queue_max=1)
        delivery = replace(
            scene.delivery(message=message), busy=Telling(notice=notice), notice_interval_ms=600_000
        )
        await scene.receive(delivery)
    assert await outcomes(scene) == ["accepted", "hinted", "refused", "refused"]
    (owed,) = await scene.rows("SELECT id FROM outbox")
    assert owed == ("dlv_busy",)


async def test_the_cursor_commits_with_the_batch(scene: Scene) -> None:
    groups = scene.store.engine.stats.groups
    await scene.receive(*[scene.delivery(f"m{n}") for n in range(5)], cursor="5")
    assert scene.store.engine.stats.groups == groups + 1


# --- conversations ----------------------------------------------------------------------------------


async def test_a_chat_is_one_conversation(scene: Scene) -> None:
    await scene.receive(scene.delivery("one", key="chat:42"), scene.delivery("two", key="chat:42"))
    await scene.receive(scene.delivery("three", key="chat:42"), scene.delivery("elsewhere", key="chat:43"))
    one, two, three, elsewhere = await threads(scene)
    assert one == two == three != elsewhere


async def test_an_archived_chat_comes_back(scene: Scene) -> None:
    await scene.receive(scene.delivery("one"))
    (thread_id,) = await threads(scene)
    await scene.store.threads.archive(scene.act(), thread_id)
    await scene.receive(scene.delivery("two"))
    assert await threads(scene) == [thread_id] * 2
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).status == "active"


async def test_a_reply_continues_the_conversation_of_what_it_answers(scene: Scene) -> None:
    first = scene.delivery("a mention", key=None)
    await scene.receive(first)
    second = scene.delivery("a reply", key=None, reply_to=first.ref)
    await scene.receive(second)
    await scene.receive(scene.delivery("a reply to the reply", key=None, reply_to=second.ref))
    await scene.receive(scene.delivery("another mention", key=None))
    await scene.receive(scene.delivery("a reply to nothing we know", key=None, reply_to="unknown"))
    one, two, three, four, five = await threads(scene)
    assert one == two == three
    assert len({one, four, five}) == 3


async def test_a_reply_to_our_answer_finds_its_conversation(scene: Scene) -> None:
    await scene.receive(scene.delivery("a mention", key=None))
    (thread_id,) = await threads(scene)
    await scene.answer(await scene.claim(thread_id), parts=scene.parts("our answer"))
    row = await scene.next_delivery()
    await scene.store.outbox.step(row.id, states.delivered("ours-1"), scene.now_ms)
    await scene.receive(scene.delivery("and then?", key=None, reply_to="ours-1"))
    assert (await threads(scene))[-1] == thread_id


async def test_references_are_told_apart_by_room(scene: Scene) -> None:
    await scene.receive(scene.delivery("here", key=None, ref="100"))
    await scene.receive(scene.delivery("there", key=None, room="43", ref="7", reply_to="100"))
    here, there = await threads(scene)
    assert here != there


# --- what is not taken ------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["ambient", "ignored", "refused"])
async def test_what_is_not_accepted_is_remembered_and_nothing_else(scene: Scene, outcome: str) -> None:
    delivery = scene.delivery(outcome=outcome, reason="because", act=None, message=None)
    assert await scene.receive(delivery, cursor="3") == 1
    assert await outcomes(scene) == [outcome]
    assert await threads(scene) == []
    assert await scene.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert scene.told(CommittedEvent) == []
    assert await cursor(scene) == "3"


def stranger(scene: Scene, sender_id: str = "99"):
    notice = scene.notice("You are not allowed yet")
    refused = Telling(notice=notice)
    return scene.delivery(
        outcome="refused",
        sender_id=sender_id,
        act=None,
        message=None,
        refused=refused,
        notice_interval_ms=600_000,
    )


async def test_a_stranger_is_told_how_to_be_allowed(scene: Scene) -> None:
    delivery = stranger(scene)
    await scene.receive(delivery)
    assert await outcomes(scene) == ["hinted"]
    row = await scene.next_delivery()
    assert delivery.refused.notice is not None
    notice = delivery.refused.notice
    assert (row.id, row.content) == (notice.delivery_id, notice.content)
    assert (row.thread_id, row.run_id, row.phase) == (None, None, "idle")
    assert scene.told(OutboxChanged) == [ROOM]
    sent = await scene.store.outbox.step(row.id, states.delivered("hint-1"), scene.now_ms)
    assert sent.phase == "sent"
    assert scene.told(CommittedEvent) == [], "it belongs to no thread"


async def test_a_stranger_is_told_at_most_once_in_a_while(scene: Scene) -> None:
    early, late = stranger(scene), stranger(scene)
    await scene.receive(stranger(scene), stranger(scene), stranger(scene, "100"))
    assert await outcomes(scene) == ["hinted", "refused", "hinted"]
    scene.now_ms += 599_999
    await scene.receive(early)
    assert (await outcomes(scene))[-1] == "refused"
    scene.now_ms += 1
    await scene.receive(late)
    assert (await outcomes(scene))[-1] == "hinted"
    assert await scene.rows("SELECT count(*) FROM outbox") == [(3,)]
