"""Files of messages: stored before a row says so, claimed by one message, deleted with the last row that names them."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from store_stage import CHAT, OTHER_ORG, Scene, cancelled, claim, open_scene, read, refused

from protocol.errors import ErrorKind
from storage import blob_files
from storage.errors import BlobTooLarge, StaleFence, StoreDamaged, StoreUnavailable
from storage.values import DEFAULT_ORG, FilesArriving, FilesDropped, FilesSettled, OutboxChanged

HELLO = hashlib.sha256(b"hello").hexdigest()


def part(blob_id: str) -> dict[str, str]:
    return {"type": "blob", "blob_id": blob_id}


# --- uploads ---------------------------------------------------------------------------------------


async def test_an_upload_is_there_with_its_bytes(scene: Scene) -> None:
    answer = read(await scene.store.blobs.upload(scene.act(), scene.new_file(), await scene.draft()))["blob"]
    assert (answer["state"], answer["size_bytes"], answer["sha256"]) == ("stored", 5, HELLO)
    assert await scene.store.blobs.read(HELLO) == b"hello"
    assert (await scene.store.blobs.locate(HELLO)).read_bytes() == b"hello"
    assert scene.on_disk() == [HELLO]


async def test_a_repeated_upload_is_one_and_other_bytes_are_a_conflict(scene: Scene) -> None:
    blobs, key = scene.store.blobs, claim("k1", method="blob.upload")
    one = await blobs.upload(scene.act(claim=key), scene.new_file(), await scene.draft())
    two = await blobs.upload(scene.act(claim=key), scene.new_file(), await scene.draft())
    assert bytes(one) == bytes(two)
    other = blobs.upload(scene.act(claim=key), scene.new_file(), await scene.draft(b"other"))
    await refused(other, ErrorKind.IDEMPOTENCY_CONFLICT)
    assert scene.on_disk() == [HELLO], "what was refused leaves nothing behind"


async def test_more_bytes_than_allowed_leave_nothing(scene: Scene) -> None:
    draft = await scene.store.blobs.begin(10)
    with pytest.raises(BlobTooLarge):
        await draft.add(b"x" * (300 * 1024))
    assert scene.on_disk() == []
    draft = await scene.store.blobs.begin(10)
    await draft.add(b"x" * 11)
    with pytest.raises(BlobTooLarge):
        await draft.complete()
    await draft.abandon()
    assert scene.on_disk() == []


async def test_an_abandoned_draft_leaves_nothing(scene: Scene) -> None:
    draft = await scene.draft()
    await draft.abandon()
    await draft.abandon()
    assert scene.on_disk() == []


async def test_a_draft_that_is_given_up_while_it_begins_leaves_nothing(scene: Scene) -> None:
    beginning = asyncio.create_task(scene.store.blobs.begin(10))
    await asyncio.sleep(0)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert scene.on_disk() == []


async def test_the_same_bytes_are_kept_once_and_until_the_last_row_is_gone(scene: Scene) -> None:
    threads = []
    for name in ("one.txt", "two.txt"):
        sent = await scene.say("", content=[part(await scene.uploaded(name=name))])
        threads.append(sent.thread_id)
    assert scene.on_disk() == [HELLO]
    for thread_id, left in zip(threads, ([HELLO], []), strict=True):
        await scene.store.threads.delete(scene.act(), thread_id)
        (dropped,) = scene.told(FilesDropped)
        scene.signals.clear()
        await scene.store.blobs.discard(dropped.hashes)
        assert scene.on_disk() == left
    assert await scene.rows("SELECT id FROM blobs") == []


# --- in messages -----------------------------------------------------------------------------------


async def test_a_message_takes_an_upload_and_names_it(scene: Scene) -> None:
    blob_id = await scene.uploaded()
    sent = await scene.say("look", content=[{"type": "text", "text": "look"}, part(blob_id)])
    said = (await scene.log(sent.thread_id))[1].data["message"]
    assert said["content"][1] == {"type": "blob", "blob_id": blob_id, "name": "notes.txt"}
    run = await scene.claim(sent.thread_id)
    assert [(file.id, file.sha256) for file in run.files] == [(blob_id, HELLO)]


async def test_a_file_belongs_to_one_message(scene: Scene) -> None:
    blob_id = await scene.uploaded()
    await scene.say("", content=[part(blob_id)])
    before = await scene.dump()
    await refused(scene.say("", content=[part(blob_id)]), ErrorKind.INVALID_STATE)
    await refused(scene.say("", content=[part("blb_unknown")]), ErrorKind.NOT_FOUND)
    assert await scene.dump() == before


async def test_another_organization_has_no_such_file(scene: Scene) -> None:
    blob_id = await scene.uploaded()
    await refused(scene.store.blobs.get(OTHER_ORG, blob_id), ErrorKind.NOT_FOUND)
    await refused(scene.say("", org_id=OTHER_ORG, content=[part(blob_id)]), ErrorKind.NOT_FOUND)


async def test_a_message_without_words_is_listed_by_its_files(scene: Scene) -> None:
    await scene.say_with(scene.arriving("photo.jpg"), scene.arriving("b.pdf"), text="")
    (head,) = await scene.store.threads.heads(DEFAULT_ORG, 0, 10)
    assert head.preview == "[photo.jpg] [b.pdf]"


# --- from chat networks ----------------------------------------------------------------------------


async def test_files_are_recorded_with_their_message_and_its_run_waits(scene: Scene) -> None:
    file = scene.arriving()
    sent = await scene.say_with(file)
    assert scene.told(FilesArriving)
    (due,) = await scene.store.blobs.due(scene.now_ms, 10)
    assert (due.id, due.state, due.source, due.thread_id) == (
        file.id,
        "pending",
        '{"id":"1"}',
        sent.thread_id,
    )
    behind = await scene.say("behind", sent.thread_id)
    nobody = await scene.store.runs.claim(sent.thread_id, "boot", scene.now_ms, scene.now_ms + 1, "msg_x")
    assert nobody is None, "neither the run that waits nor the one behind it"
    assert await scene.store.blobs.settle(file.id, "image/png", await scene.draft(), scene.now_ms)
    assert scene.told(FilesSettled) == [FilesSettled(sent.thread_id)]
    run = await scene.claim(sent.thread_id)
    assert (run.id, run.files[0].media_type, run.files[0].sha256) == (sent.run_id, "image/png", HELLO)
    await scene.answer(run)
    assert (await scene.claim(sent.thread_id)).id == behind.run_id


async def test_the_run_waits_for_the_last_of_several_files(scene: Scene) -> None:
    one, two = scene.arriving("a.txt"), scene.arriving("b.txt")
    sent = await scene.say_with(one, two)
    await scene.store.blobs.settle(two.id, "text/plain", await scene.draft(), scene.now_ms)
    assert scene.told(FilesSettled) == []
    await scene.store.blobs.fail(one.id, "it is gone", None, scene.now_ms)
    assert scene.told(FilesSettled) == [FilesSettled(sent.thread_id)]
    files = (await scene.claim(sent.thread_id)).files
    assert [(file.name, file.state, file.error) for file in files] == [
        ("a.txt", "failed", "it is gone"),
        ("b.txt", "stored", None),
    ]


async def test_a_file_that_fails_is_told_in_the_room_once(scene: Scene) -> None:
    file = scene.arriving()
    await scene.say_with(file)
    assert await scene.store.blobs.fail(file.id, "gone", scene.notice("I did not get it."), scene.now_ms)
    assert not await scene.store.blobs.fail(file.id, "gone", scene.notice(), scene.now_ms)
    assert scene.told(OutboxChanged)
    assert (await scene.next_delivery()).content == '{"text":"I did not get it."}'
    assert len(await scene.rows("SELECT id FROM outbox")) == 1


async def test_a_file_is_settled_once_and_a_late_one_leaves_no_bytes(scene: Scene) -> None:
    file = scene.arriving()
    sent = await scene.say_with(file)
    await scene.store.threads.delete(scene.act(), sent.thread_id)
    assert not await scene.store.blobs.settle(file.id, "image/png", await scene.draft(), scene.now_ms)
    assert scene.on_disk() == []


async def test_a_postponed_file_is_due_later(scene: Scene) -> None:
    file = scene.arriving()
    await scene.say_with(file)
    await scene.store.blobs.postpone(file.id, scene.now_ms + 500, "not now")
    assert await scene.store.blobs.due(scene.now_ms, 10) == []
    assert await scene.store.blobs.next_due() == scene.now_ms + 500
    (due,) = await scene.store.blobs.due(scene.now_ms + 500, 10)
    assert (due.attempts, due.error) == (1, "not now")


async def test_a_redelivery_brings_no_file_twice(scene: Scene) -> None:
    delivery = scene.delivery("look")
    file = scene.arriving()
    message = scene.message("look", origin=CHAT, content=[part(file.id)], files=(file,))
    for _ in range(2):
        await scene.receive(scene.delivery(delivery_id=delivery.delivery_id, message=message))
    assert await scene.rows("SELECT id FROM blobs") == [(file.id,)]


# --- of answers ------------------------------------------------------------------------------------


async def test_the_files_of_an_answer_are_part_of_its_message(scene: Scene) -> None:
    run = await scene.started()
    one = await scene.store.blobs.keep(run, scene.new_file("a.txt"), await scene.draft(), scene.now_ms)
    two = await scene.store.blobs.keep(run, scene.new_file("b.txt"), await scene.draft(), scene.now_ms)
    await scene.answer(run, "here")
    said = (await scene.log(run.thread_id))[-2].data["message"]
    assert said["id"] == run.reply_id == one.message_id
    assert [found.get("blob_id") for found in said["content"]] == [None, one.id, two.id]


async def test_an_answer_may_be_a_file_alone(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.blobs.keep(run, scene.new_file(), await scene.draft(), scene.now_ms)
    await scene.answer(run, "")
    said = (await scene.log(run.thread_id))[-2]
    assert (said.kind, len(said.data["message"]["content"])) == ("message.created", 1)


async def test_a_file_given_again_after_a_restart_is_the_same(scene: Scene) -> None:
    run = await scene.started()
    keep = scene.store.blobs.keep
    one = await keep(run, scene.new_file(), await scene.draft(), scene.now_ms)
    again = await scene.store.runs.take_over(run.id, "boot-2", scene.now_ms, scene.now_ms + 9, "restarted")
    assert again is not None
    assert again.answer_files == (one,)
    assert await keep(again, scene.new_file(), await scene.draft(), scene.now_ms) == one
    other = await keep(again, scene.new_file(), await scene.draft(b"other"), scene.now_ms)
    assert other.id != one.id
    with pytest.raises(StaleFence):
        await keep(run, scene.new_file("late.txt"), await scene.draft(b"late"), scene.now_ms)
    assert len(scene.on_disk()) == 2


async def test_the_files_of_an_answer_that_is_never_said_are_collected(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.blobs.keep(run, scene.new_file(), await scene.draft(), scene.now_ms)
    assert await scene.store.blobs.collect(scene.now_ms + 1, 10) == 0, "it belongs to an answer"
    await scene.end(run, cancelled())
    assert await scene.store.blobs.collect(scene.now_ms + 1, 10) == 1
    assert scene.on_disk() == []


async def test_a_deleted_thread_takes_the_files_of_its_unfinished_answers(scene: Scene) -> None:
    run = await scene.started()
    await scene.store.blobs.keep(run, scene.new_file(), await scene.draft(), scene.now_ms)
    await scene.store.threads.delete(scene.act(), run.thread_id)
    assert scene.told(FilesDropped) == [FilesDropped((HELLO,))]
    assert await scene.rows("SELECT id FROM blobs") == []


# --- what stays and what goes ----------------------------------------------------------------------


async def test_uploads_that_nobody_sent_are_collected_when_they_are_old(scene: Scene) -> None:
    sent = await scene.uploaded(b"sent")
    await scene.say("", content=[part(sent)])
    old = await scene.uploaded(b"old")
    edge_ms = scene.now_ms + 1
    scene.now_ms += 10
    young = await scene.uploaded(b"young")
    assert await scene.store.blobs.collect(edge_ms, 10) == 1
    await refused(scene.store.blobs.get(DEFAULT_ORG, old), ErrorKind.NOT_FOUND)
    assert {row[0] for row in await scene.rows("SELECT id FROM blobs")} == {sent, young}
    assert len(scene.on_disk()) == 2


async def test_what_a_crash_left_is_swept_and_nothing_else(directory: Path) -> None:
    """Killed between the file and its row: the bytes are there and nobody knows them."""
    async with open_scene(directory) as scene:
        await scene.uploaded()
        orphan = blob_files.write(directory, b"orphan", 100)
        young = blob_files.write(directory, b"young", 100)
        (directory / "blobs" / "unfinished-abc").write_bytes(b"half")
        for sha256 in (orphan.sha256, HELLO):
            os.utime(blob_files.path_of(directory, sha256), (1000, 1000))
        assert await scene.store.blobs.sweep(2000 * 1000) == 2
        assert scene.on_disk() == sorted([HELLO, young.sha256])


async def test_a_file_is_fetched_again_after_a_kill_between_its_bytes_and_its_row(directory: Path) -> None:
    async with open_scene(directory) as scene:
        file = scene.arriving()
        sent = await scene.say_with(file)
        blob_files.write(directory, b"hello", 100)
    async with open_scene(directory) as scene:
        (due,) = await scene.store.blobs.due(scene.now_ms + 1000, 10)
        assert await scene.store.blobs.settle(due.id, "text/plain", await scene.draft(), scene.now_ms)
        assert (await scene.claim(sent.thread_id)).files[0].sha256 == HELLO
        assert scene.on_disk() == [HELLO]


async def test_bytes_are_not_deleted_under_a_row_that_is_just_being_written(scene: Scene) -> None:
    first = await scene.say("", content=[part(await scene.uploaded())])
    await scene.store.threads.delete(scene.act(), first.thread_id)
    draft = await scene.draft()
    discarding = asyncio.create_task(scene.store.blobs.discard([HELLO]))
    await scene.store.blobs.upload(scene.act(), scene.new_file(), draft)
    await discarding
    assert await scene.store.blobs.read(HELLO) == b"hello"


async def test_a_cancelled_upload_keeps_its_bytes_as_long_as_its_row(scene: Scene) -> None:
    upload = asyncio.create_task(scene.store.blobs.upload(scene.act(), scene.new_file(), await scene.draft()))
    await asyncio.sleep(0)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await scene.store.blobs.discard([HELLO])
    assert await scene.rows("SELECT sha256 FROM blobs") == [(HELLO,)]
    assert await scene.store.blobs.read(HELLO) == b"hello"


async def test_bytes_that_changed_or_went_are_damage(scene: Scene) -> None:
    await scene.uploaded()
    path = await scene.store.blobs.locate(HELLO)
    path.write_bytes(b"hullo")
    with pytest.raises(StoreDamaged, match="changed"):
        await scene.store.blobs.read(HELLO)
    path.unlink()
    with pytest.raises(StoreDamaged):
        await scene.store.blobs.read(HELLO)
    with pytest.raises(StoreDamaged):
        await scene.store.blobs.locate(HELLO)


async def test_a_disk_that_takes_nothing_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    draft = await scene.draft()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        await scene.store.blobs.upload(scene.act(), scene.new_file(), draft)
    monkeypatch.undo()
    assert scene.on_disk() == []
    assert await scene.rows("SELECT id FROM blobs") == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_a_hash_names_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        blob_files.path_of(tmp_path, name)
