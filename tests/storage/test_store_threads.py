"""Threads through their port: made, renamed, put away, brought back, erased; and who sees them."""

import pytest
from store_stage import CHAT, CLIENT, OTHER_ORG, Scene, claim, read, refused

from protocol.errors import ErrorKind
from protocol.records import Origin, ThreadStatus
from storage.values import DEFAULT_ORG, CommittedEvent, ThreadDeleted

# --- life -------------------------------------------------------------------------------------------


async def test_a_thread_begins_with_the_event_of_its_making(scene: Scene) -> None:
    thread_id = await scene.thread("Plans", CHAT)
    thread = await scene.store.threads.get(DEFAULT_ORG, thread_id)
    assert (thread.title, thread.status, thread.head_seq) == ("Plans", ThreadStatus.ACTIVE, 1)
    assert thread.origin == CHAT
    (event,) = await scene.log(thread_id)
    assert (event.seq, event.kind, event.actor.name) == (1, "thread.created", "ada")
    assert event.data == {"title": "Plans", "agent_id": "demo", "origin": CHAT.model_dump(exclude_none=True)}
    assert await scene.audited() == ["thread.create"]


async def test_every_event_is_told_as_it_is_stored(scene: Scene) -> None:
    sent = await scene.say("hello")
    run = await scene.claim(sent.thread_id)
    await scene.answer(run)
    page = await scene.store.threads.history(DEFAULT_ORG, sent.thread_id, after=0, limit=50)
    told = scene.told(CommittedEvent)
    assert [(event.seq, event.kind, bytes(event.params)) for event in told] == [
        (event.seq, event.kind, bytes(event.params)) for event in page.events
    ]


async def test_numbers_have_no_gap_and_offsets_grow(scene: Scene) -> None:
    threads = [await scene.thread() for _ in range(3)]
    for number in range(12):
        await scene.say(f"m{number}", threads[number % 3])
    told = scene.told(CommittedEvent)
    assert [event.offset for event in told] == sorted({event.offset for event in told})
    for thread_id in threads:
        seqs = [event.seq for event in told if event.thread_id == thread_id]
        assert seqs == list(range(1, len(seqs) + 1))
        assert [event.seq for event in await scene.log(thread_id)] == seqs
    assert await scene.store.position() == told[-1].offset


async def test_only_what_changes_is_told(scene: Scene) -> None:
    thread_id = await scene.thread("Plans")
    answer = await scene.store.threads.update(scene.act(), thread_id, "Better plans", "demo")
    assert read(answer)["thread"]["title"] == "Better plans"
    assert (await scene.log(thread_id))[-1].data == {"title": "Better plans"}
    await scene.store.threads.update(scene.act(), thread_id, None, "other")
    assert (await scene.log(thread_id))[-1].data == {"agent_id": "other"}
    thread = await scene.store.threads.get(DEFAULT_ORG, thread_id)
    assert (thread.title, thread.agent_id) == ("Better plans", "other")


async def test_a_change_to_the_same_changes_nothing(scene: Scene) -> None:
    thread_id = await scene.thread("Plans")
    before = await scene.dump()
    await scene.store.threads.update(scene.act(), thread_id, "Plans", "demo")
    await scene.store.threads.update(scene.act(), thread_id, None, None)
    await scene.store.threads.restore(scene.act(), thread_id)
    assert await scene.dump() == before


async def test_a_thread_is_put_away_and_brought_back_once(scene: Scene) -> None:
    thread_id = await scene.thread()
    for _ in range(2):
        answer = await scene.store.threads.archive(scene.act(), thread_id)
        assert read(answer)["thread"]["status"] == "archived"
    for _ in range(2):
        answer = await scene.store.threads.restore(scene.act(), thread_id)
        assert read(answer)["thread"]["status"] == "active"
    assert await scene.kinds(thread_id) == ["thread.created", "thread.archived", "thread.restored"]
    assert await scene.audited() == ["thread.create", "thread.archive", "thread.restore"]


# --- the end ----------------------------------------------------------------------------------------


async def erased(scene: Scene, marker: str) -> str:
    """A thread that holds `marker` wherever content can be, deleted."""
    await scene.receive(scene.delivery(f"{marker} was delivered", key="chat:42"))
    ((thread_id,),) = await scene.rows("SELECT id FROM threads")
    answered = await scene.claim(thread_id)
    await scene.answer(
        answered, f"{marker} was answered", scene.parts(f"{marker} part 1", f"{marker} part 2")
    )
    await scene.say(f"{marker} again", thread_id, claim=claim("once"))
    driven = await scene.claim(thread_id)
    await scene.store.outbox.open_live(driven, scene.new_id("dlv"), scene.now_ms)
    await scene.store.journal.checkpoint(driven.id, driven.fence, f"{marker} half an answer")
    await scene.say(f"{marker} queued", thread_id)
    await scene.store.threads.update(scene.act(), thread_id, f"About {marker}", None)
    assert (await scene.store.threads.search(DEFAULT_ORG, marker, None, 10, None))[0]
    await scene.store.threads.delete(scene.act(), thread_id)
    return thread_id


async def test_the_content_of_a_deleted_thread_is_gone_everywhere(scene: Scene) -> None:
    thread_id = await erased(scene, "xylophone")
    dump = await scene.dump()
    for table in ("events", "messages", "journal_steps", "thread_links", "platform_messages"):
        assert dump[table] == [], table
    for table, rows in dump.items():
        # The index keeps erased words, without their text, until SQLite merges the segment they are in.
        assert table.startswith("messages_text_") or not any("xylophone" in str(row) for row in rows), table
    assert await scene.store.threads.search(DEFAULT_ORG, "xylophone", None, 10, None) == ([], None)
    found = await scene.rows("SELECT rowid FROM messages_text WHERE messages_text MATCH 'xylophone'")
    assert found == []
    assert await scene.store.outbox.pending_rooms() == [], "nothing of it is delivered any more"
    assert {phase for (phase,) in await scene.rows("SELECT phase FROM outbox")} == {"failed"}
    await refused(scene.store.threads.get(DEFAULT_ORG, thread_id), ErrorKind.NOT_FOUND)


async def test_deleting_cancels_what_the_thread_was_doing(scene: Scene) -> None:
    thread_id = await erased(scene, "marker")
    runs, _ = await scene.store.runs.page(DEFAULT_ORG, thread_id, None, 10, None)
    assert [run.state for run in runs] == ["cancelled", "cancelled", "completed"]
    assert await scene.store.runs.waiting_threads(10) == []
    assert await scene.store.runs.claim(thread_id, "boot-2", scene.now_ms, scene.now_ms, "msg_x") is None


async def test_a_deletion_is_told_and_audited_once(scene: Scene) -> None:
    thread_id = await scene.thread()
    scene.signals.clear()
    answer = await scene.store.threads.delete(scene.act(), thread_id)
    assert read(answer)["thread"]["status"] == "deleted"
    (told,) = scene.told(ThreadDeleted)
    assert (told.thread_id, told.seq) == (thread_id, 1)
    assert scene.told_kinds() == []
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 10)
    assert (head.kind, head.offset, head.preview) == ("thread.deleted", told.offset, "")
    assert (await scene.audited())[-1] == "thread.delete"


async def test_nothing_can_be_done_with_a_deleted_thread(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.store.threads.delete(scene.act(), thread_id)
    before, threads = await scene.dump(), scene.store.threads
    for attempt in (
        threads.update(scene.act(), thread_id, "x", None),
        threads.archive(scene.act(), thread_id),
        threads.restore(scene.act(), thread_id),
        threads.delete(scene.act(), thread_id),
        threads.history(DEFAULT_ORG, thread_id, limit=10),
        threads.replay(DEFAULT_ORG, thread_id, 0, 10, 1000),
        scene.say("hello?", thread_id),
        scene.say("hello?", thread_id, restore_archived=True),
    ):
        await refused(attempt, ErrorKind.NOT_FOUND)
    assert await scene.dump() == before


async def test_the_id_of_a_deleted_thread_is_never_used_again(scene: Scene) -> None:
    new = scene.new_thread("first")
    await scene.store.threads.create(scene.act(), new)
    await scene.store.threads.delete(scene.act(), new.id)
    before = await scene.dump()
    with pytest.raises(Exception, match="UNIQUE"):
        await scene.store.threads.create(scene.act(), new)
    assert await scene.dump() == before


async def test_a_deleted_thread_leaves_lists_but_not_the_inbox(scene: Scene) -> None:
    kept, gone = await scene.thread(), await scene.thread()
    await scene.store.threads.delete(scene.act(), gone)
    for status in ("active", "archived", "all"):
        threads, _ = await scene.store.threads.page(DEFAULT_ORG, status, 10, None)
        assert gone not in [thread.id for thread in threads]
    assert [head.thread_id for head in await scene.store.threads.heads(DEFAULT_ORG, 0, 10)] == [kept, gone]


async def test_a_chat_that_was_deleted_begins_again(scene: Scene) -> None:
    await scene.receive(scene.delivery("first", key="chat:42"))
    ((first,),) = await scene.rows("SELECT id FROM threads")
    await scene.store.threads.delete(scene.act(), first)
    await scene.receive(scene.delivery("again", key="chat:42"))
    threads, _ = await scene.store.threads.page(DEFAULT_ORG, "all", 10, None)
    assert len(threads) == 1
    assert threads[0].id != first


# --- lists ------------------------------------------------------------------------------------------


async def test_lists_are_newest_change_first_and_paged(scene: Scene) -> None:
    threads = [await scene.thread() for _ in range(5)]
    await scene.say("back to the first", threads[0])
    expected = [threads[0], *reversed(threads[1:])]
    seen, cursor = [], None
    for _ in range(3):
        page, cursor = await scene.store.threads.page(DEFAULT_ORG, "active", 2, cursor)
        seen += [thread.id for thread in page]
    assert seen == expected
    assert cursor is None


async def test_lists_tell_active_from_archived(scene: Scene) -> None:
    active, archived = await scene.thread(), await scene.thread()
    await scene.store.threads.archive(scene.act(), archived)

    async def ids(status: str) -> list[str]:
        return [thread.id for thread in (await scene.store.threads.page(DEFAULT_ORG, status, 10, None))[0]]

    assert await ids("active") == [active]
    assert await ids("archived") == [archived]
    assert await ids("all") == [archived, active]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", ""])
async def test_a_cursor_that_is_not_ours_is_refused(scene: Scene, cursor: str) -> None:
    await refused(scene.store.threads.page(DEFAULT_ORG, "all", 10, cursor), ErrorKind.CONFLICT)


async def test_heads_follow_the_log_of_the_store(scene: Scene) -> None:
    first, second = await scene.thread(), await scene.thread()
    position = await scene.store.position()
    await scene.say("a   spaced\nmessage " + "x" * 500, first)
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, position, 10)
    assert (head.thread_id, head.seq, head.kind) == (first, 3, "run.queued")
    assert head.preview.startswith("a spaced message xxx")
    assert len(head.preview) == 120
    heads = await scene.store.threads.heads(DEFAULT_ORG, 0, 10)
    assert [head.thread_id for head in heads] == [second, first]
    assert len(await scene.store.threads.heads(DEFAULT_ORG, 0, 1)) == 1


# --- organizations ----------------------------------------------------------------------------------


async def test_nobody_reads_another_organizations_threads(scene: Scene) -> None:
    sent = await scene.say("a secret word", new_title="Ours")
    threads, runs = scene.store.threads, scene.store.runs
    for attempt in (
        threads.get(OTHER_ORG, sent.thread_id),
        threads.history(OTHER_ORG, sent.thread_id, limit=10),
        threads.replay(OTHER_ORG, sent.thread_id, 0, 10, 1000),
        runs.get(OTHER_ORG, sent.run_id),
    ):
        await refused(attempt, ErrorKind.NOT_FOUND)
    assert await threads.page(OTHER_ORG, "all", 10, None) == ([], None)
    assert await threads.heads(OTHER_ORG, 0, 10) == []
    assert await threads.search(OTHER_ORG, "secret", None, 10, None) == ([], None)
    assert await threads.search(OTHER_ORG, "secret", sent.thread_id, 10, None) == ([], None)
    assert await runs.page(OTHER_ORG, None, None, 10, None) == ([], None)
    assert await runs.page(OTHER_ORG, sent.thread_id, None, 10, None) == ([], None)
    assert await scene.store.audit.page(OTHER_ORG, 0, None, 10) == ([], None)


async def test_nobody_changes_another_organizations_threads(scene: Scene) -> None:
    sent = await scene.say("ours")
    before = await scene.dump()

    def stranger():
        return scene.act("eve", org_id=OTHER_ORG)

    threads, runs = scene.store.threads, scene.store.runs
    for attempt in (
        threads.update(stranger(), sent.thread_id, "theirs", None),
        threads.archive(stranger(), sent.thread_id),
        threads.restore(stranger(), sent.thread_id),
        threads.delete(stranger(), sent.thread_id),
        scene.say("theirs", sent.thread_id, org_id=OTHER_ORG),
        runs.cancel(stranger(), sent.run_id, scene.message("").interrupt),
        runs.retry(stranger(), sent.run_id, "run_x", 10),
    ):
        await refused(attempt, ErrorKind.NOT_FOUND)
    assert await scene.dump() == before


async def test_each_organization_has_its_own_lists(scene: Scene) -> None:
    ours, theirs = await scene.thread(), await scene.thread(org_id=OTHER_ORG)
    for org_id, thread_id in ((DEFAULT_ORG, ours), (OTHER_ORG, theirs)):
        (thread,), _ = await scene.store.threads.page(org_id, "all", 10, None)
        (head,) = await scene.store.threads.heads(org_id, 0, 10)
        assert thread.id == head.thread_id == thread_id
        assert thread.origin == Origin(kind="client") == CLIENT
