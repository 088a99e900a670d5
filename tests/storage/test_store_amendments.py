"""Edits and deletions of people's messages: told in the log, seen by the agent and by search, taken back for good."""

from typing import Any

import pytest
from store_stage import CHAT, ROOM, Scene, actor, cancelled, refused

from gateway.rules import delivery_states as states
from protocol.errors import ErrorKind
from storage.channel_values import Amendment, Delivered, Entry, PairingKey
from storage.values import DEFAULT_ORG, CommittedEvent, FilesDropped


async def said(scene: Scene, text: str = "first words", **choices: Any) -> tuple[str, Delivered]:
    """A person's message; returns its thread and its delivery."""
    delivery = scene.delivery(text, act=scene.act("grace"), **choices)
    await scene.receive(delivery)
    assert delivery.message is not None
    rows = await scene.rows("SELECT thread_id FROM messages WHERE id = :id", id=delivery.message.message_id)
    return rows[0][0], delivery


def change(scene: Scene, of: Delivered, text: str | None, **choices: Any) -> Delivered:
    given = {
        "occurred_at_ms": scene.now_ms,
        "author_id": actor("grace").id if text is not None else None,
        "cancel": cancelled("the message was deleted") if text is None else None,
        **{name: choices.pop(name) for name in ("occurred_at_ms", "author_id") if name in choices},
    }
    values: dict[str, Any] = {
        "ref": of.ref,
        "act": scene.act("grace"),
        "message": None,
        "key": None,
        **choices,
    }
    return scene.delivery(amendment=Amendment(text, **given), **values)


async def edit(scene: Scene, of: Delivered, text: str, **choices: Any) -> tuple[str, str | None]:
    return await _apply(scene, change(scene, of, text, **choices))


async def delete(scene: Scene, of: Delivered, **choices: Any) -> tuple[str, str | None]:
    return await _apply(scene, change(scene, of, None, **choices))


async def _apply(scene: Scene, delivery: Delivered) -> tuple[str, str | None]:
    await scene.receive(delivery)
    ((outcome, reason),) = await scene.rows(
        "SELECT outcome, reason FROM inbox WHERE delivery_id = :id", id=delivery.delivery_id
    )
    return outcome, reason


async def found(scene: Scene, words: str) -> list[int]:
    matches, _ = await scene.store.threads.search(DEFAULT_ORG, words, None, 50, None)
    return [match.seq for match in matches]


# --- edits ------------------------------------------------------------------------------------------


async def test_an_edit_is_told_with_the_whole_message(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    assert await edit(scene, delivery, "second words") == ("accepted", None)
    *_, created, _, updated = await scene.log(thread_id)
    assert (created.kind, updated.kind, updated.seq) == ("message.created", "message.updated", 4)
    assert updated.data["message"] == {
        **created.data["message"],
        "content": [{"type": "text", "text": "second words"}],
    }
    assert updated.actor == actor("grace")
    assert (await scene.audited())[-1] == "message.edit"


async def test_search_the_agent_and_lists_see_the_new_text(scene: Scene) -> None:
    thread_id, delivery = await said(scene, "old apples")
    await edit(scene, delivery, "new pears")
    assert (await found(scene, "apples"), await found(scene, "pears")) == ([], [2])
    assert [item.text for item in await scene.store.threads.said(thread_id, 99, 9)] == ["new pears"]
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 9)
    assert (head.kind, head.preview) == ("message.updated", "new pears")
    assert scene.told(CommittedEvent)[-1].preview == "new pears"


async def test_an_edit_of_an_older_message_leaves_the_preview(scene: Scene) -> None:
    _, first = await said(scene, "one")
    await said(scene, "two")
    await edit(scene, first, "uno")
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 9)
    assert head.preview == "two"


async def test_a_run_that_has_not_begun_answers_the_new_text(scene: Scene) -> None:
    thread_id, delivery = await said(scene, "a question with a typo")
    await edit(scene, delivery, "a question")
    assert (await scene.claim(thread_id)).message_text == "a question"


async def test_an_edit_seen_before_changes_nothing(scene: Scene) -> None:
    _, delivery = await said(scene)
    edited = change(scene, delivery, "second words")
    await scene.receive(edited)
    before = await scene.dump()
    assert await scene.receive(edited) == 0
    assert await scene.dump() == before


async def test_an_older_edit_does_not_undo_a_newer_one(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    await edit(scene, delivery, "third", occurred_at_ms=300)
    assert await edit(scene, delivery, "second", occurred_at_ms=200) == (
        "ignored",
        "older than the last edit",
    )
    await edit(scene, delivery, "fourth", occurred_at_ms=300)
    assert [item.text for item in await scene.store.threads.said(thread_id, 99, 9)] == ["fourth"]


@pytest.mark.parametrize(
    ("choices", "why"),
    [
        ({"ref": "unknown"}, "no message of ours"),
        ({"room": "43"}, "no message of ours"),
        ({"author_id": "prn_eve"}, "not its author"),
        ({"entry": Entry(frozenset({"allowed"}))}, "the sender is not allowed"),
    ],
)
async def test_an_edit_that_is_not_ours_to_make_is_ignored(
    scene: Scene, choices: dict[str, Any], why: str
) -> None:
    thread_id, delivery = await said(scene)
    before = await scene.kinds(thread_id)
    assert await edit(scene, delivery, "second words", **choices) == ("ignored", why)
    assert await scene.kinds(thread_id) == before


async def test_the_same_text_is_no_edit(scene: Scene) -> None:
    _, delivery = await said(scene)
    assert await edit(scene, delivery, "first words") == ("ignored", "nothing changed")


async def test_who_was_shut_out_edits_nothing(scene: Scene) -> None:
    _, delivery = await said(scene)
    await scene.store.pairings.reject(scene.act(), PairingKey(await scene.stranger("7")))
    entry = Entry(frozenset({"unknown", "allowed"}))
    assert (await edit(scene, delivery, "more", entry=entry))[0] == "ignored"


async def test_our_own_answer_is_nobodys_to_change(scene: Scene) -> None:
    await scene.owed("the answer")
    row = await scene.next_delivery()
    await scene.store.outbox.step(row.id, states.delivered("ours-1"), scene.now_ms)
    ours = scene.delivery(ref="ours-1")
    assert await edit(scene, ours, "something else") == ("ignored", "no message of ours")
    assert await delete(scene, ours) == ("ignored", "no message of ours")


# --- deletions --------------------------------------------------------------------------------------


async def test_a_deletion_is_told_and_its_words_are_gone_everywhere(scene: Scene) -> None:
    thread_id, delivery = await said(scene, "my secret is apples", key="chat:1")
    await edit(scene, delivery, "my secret is pears")
    run = await scene.claim(thread_id)
    await scene.answer(run, "noted")
    assert await delete(scene, delivery) == ("accepted", None)
    for word in ("apples", "pears", "secret"):
        assert await found(scene, word) == []
        tables = await scene.dump()
        assert not any(
            word in str(rows) for name, rows in tables.items() if not name.startswith("messages_text")
        )
    assert [item.text for item in await scene.store.threads.said(thread_id, 99, 9)] == ["noted"]
    assert (await scene.audited())[-1] == "message.delete"


async def test_what_was_said_is_redacted_in_its_place(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    await edit(scene, delivery, "second words")
    before = await scene.log(thread_id)
    await delete(scene, delivery)
    after = await scene.log(thread_id)
    assert [event.seq for event in after] == list(range(1, len(after) + 1))
    assert [event.kind for event in after] == [
        "thread.created", "redacted", "run.queued", "redacted", "run.cancelled", "message.deleted",
    ]  # fmt: skip
    for old, new in zip(before, after, strict=False):
        assert (old.seq, old.at, old.actor, old.run_id) == (new.seq, new.at, new.actor, new.run_id)
    assert delivery.message is not None
    assert after[-1].data == {"message_id": delivery.message.message_id}
    assert after[1].data == {}


async def test_a_deletion_takes_its_files_along(scene: Scene) -> None:
    here, under_way = scene.arriving(), scene.arriving("more.jpg", '{"id":"2"}')
    content = [{"type": "blob", "blob_id": file.id} for file in (here, under_way)]
    message = scene.message("look", origin=CHAT, content=content, files=(here, under_way))
    delivery = scene.delivery(message=message)
    await scene.receive(delivery)
    await scene.store.blobs.settle(here.id, "image/png", await scene.draft(), scene.now_ms)
    await delete(scene, delivery)
    assert await scene.rows("SELECT id FROM blobs") == []
    (dropped,) = scene.told(FilesDropped)
    await scene.store.blobs.discard(dropped.hashes)
    assert scene.on_disk() == []
    late = await scene.draft(b"late")
    assert not await scene.store.blobs.settle(under_way.id, "image/png", late, scene.now_ms), (
        "nobody wants it now"
    )


async def test_a_run_that_has_not_begun_is_cancelled_and_one_that_runs_is_not(scene: Scene) -> None:
    thread_id, running = await said(scene, "one")
    run = await scene.claim(thread_id)
    _, waiting = await said(scene, "two")
    await delete(scene, running)
    await delete(scene, waiting)
    states = dict(await scene.rows("SELECT message_id, state FROM runs"))
    assert running.message is not None and waiting.message is not None
    assert states == {running.message.message_id: "running", waiting.message.message_id: "cancelled"}
    await scene.answer(run)
    assert await scene.rows("SELECT count(*) FROM outbox") == [(0,)], "nobody is told in the room"


async def test_what_was_deleted_is_not_run_again(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    run = await scene.claim(thread_id)
    await scene.answer(run)
    await delete(scene, delivery)
    await refused(scene.store.runs.retry(scene.act(), run.id, "run_again", 9), ErrorKind.INVALID_STATE)


async def test_lists_show_the_message_before_it(scene: Scene) -> None:
    _, first = await said(scene, "one")
    _, second = await said(scene, "two")
    await delete(scene, second)
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 9)
    assert (head.kind, head.preview) == ("message.deleted", "one")
    await delete(scene, first)
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 9)
    assert head.preview == ""


async def test_a_title_taken_from_the_message_goes_with_it(scene: Scene) -> None:
    message = scene.message("my secret plan", origin=CHAT, new_title="my secret plan")
    thread_id, delivery = await said(scene, message=message)
    await delete(scene, delivery)
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).title == ""
    log = await scene.log(thread_id)
    assert log[0].data["title"] == ""
    assert "secret" not in str(log)
    assert log[-2].kind == "thread.updated"


async def test_a_title_somebody_gave_stays(scene: Scene) -> None:
    message = scene.message("my secret plan", origin=CHAT, new_title="my secret plan")
    thread_id, delivery = await said(scene, message=message)
    await scene.store.threads.update(scene.act(), thread_id, "Plans", None)
    await delete(scene, delivery)
    assert (await scene.store.threads.get(DEFAULT_ORG, thread_id)).title == "Plans"


async def test_a_deletion_comes_once(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    deletion = change(scene, delivery, None)
    await scene.receive(deletion)
    before = await scene.dump()
    await scene.receive(deletion)
    assert await scene.dump() == before
    assert await delete(scene, delivery) == ("ignored", "deleted before")
    assert await edit(scene, delivery, "back again") == ("ignored", "deleted before")
    assert (await scene.kinds(thread_id)).count("message.deleted") == 1


@pytest.mark.parametrize("choices", [{"ref": "unknown"}, {"room": "43"}])
async def test_an_unknown_message_is_ignored(scene: Scene, choices: dict[str, Any]) -> None:
    _, delivery = await said(scene)
    assert await delete(scene, delivery, **choices) == ("ignored", "no message of ours")


async def test_a_message_of_a_deleted_thread_is_unknown(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    await scene.store.threads.delete(scene.act(), thread_id)
    assert await edit(scene, delivery, "more") == ("ignored", "no message of ours")
    assert await delete(scene, delivery) == ("ignored", "no message of ours")


async def test_accounts_change_their_own_messages_alone(scene: Scene) -> None:
    thread_id, delivery = await said(scene)
    await scene.receive(change(scene, delivery, None), account="second")
    assert "message.deleted" not in await scene.kinds(thread_id)
    assert ROOM.account == "main"


async def test_the_search_index_is_sound_afterwards(scene: Scene) -> None:
    thread_id, delivery = await said(scene, "apples")
    await edit(scene, delivery, "pears")
    await delete(scene, delivery)
    await scene.store.engine.write(
        lambda tx: tx.run("INSERT INTO messages_text (messages_text, rank) VALUES ('integrity-check', 1)")
    )
    await scene.store.threads.delete(scene.act(), thread_id)
    assert await found(scene, "pears") == []
