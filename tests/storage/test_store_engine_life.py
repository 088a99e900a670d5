"""How an engine opens, closes, and fares when its disk or its process fails."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from store_stage import SEALER, Scene, open_scene, open_store

from storage.engine import Engine, Reader, Transaction
from storage.errors import StoreDamaged, StoreLocked, StoreTooNew, StoreUnavailable
from storage.files import DATABASE_NAME, check_integrity, is_locked
from storage.store import Store, verify_audit

WRITER = Path(__file__).with_name("writer_process.py")


# --- opening and closing ----------------------------------------------------------------------------


async def test_a_store_keeps_its_identity_and_its_contents(directory: Path) -> None:
    async with open_scene(directory) as scene:
        assert scene.store.identity.is_new
        sent = await scene.say("remember me")
        position = await scene.store.position()
    reopened = await Store.open(directory, new_epoch="epo_2", new_log_id="log_2", now_ms=1, sealer=SEALER)
    try:
        assert (reopened.identity.epoch, reopened.identity.is_new) == ("epo_1", False)
        assert (await reopened.threads.get("org_default", sent.thread_id)).head_seq == 3
        assert await reopened.position() == reopened.engine.last_offset == position
    finally:
        await reopened.close()


async def test_the_files_are_for_their_owner_alone(scene: Scene) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in scene.directory.iterdir()}
    assert modes.pop("lock") == 0o600
    assert set(modes.values()) == {0o600}
    assert scene.directory.stat().st_mode & 0o777 == 0o700


async def test_every_commit_reaches_the_disk(scene: Scene) -> None:
    assert await scene.store.engine.write(lambda tx: tx.value("PRAGMA synchronous")) == 2, "FULL"
    assert await scene.rows("PRAGMA journal_mode") == [("wal",)]
    assert await scene.store.engine.write(lambda tx: tx.value("PRAGMA foreign_keys")) == 1


async def test_a_second_opener_is_refused(scene: Scene) -> None:
    assert is_locked(scene.directory)
    with pytest.raises(StoreLocked, match="already uses"):
        await open_store(scene.directory)
    await scene.say("and the first goes on")
    await scene.store.close()
    assert not is_locked(scene.directory)
    await (await open_store(scene.directory)).close()


async def test_closing_finishes_what_waits(directory: Path) -> None:
    store = await open_store(directory)
    slow = asyncio.ensure_future(store.engine.write(lambda _: time.sleep(0.05)))
    writing = [asyncio.ensure_future(store.engine.write(lambda tx, n=n: n)) for n in range(20)]
    reading = asyncio.ensure_future(store.engine.read(lambda tx: tx.value("SELECT 1")))
    await asyncio.sleep(0)
    await store.close()
    await slow
    assert await asyncio.gather(*writing) == list(range(20))
    assert await reading == 1


async def test_the_readers_close_before_the_writer(directory: Path) -> None:
    def readers() -> int:
        return sum(thread.name.startswith("store-reader") for thread in threading.enumerate())

    def outlive_the_readers(_: Transaction) -> int:
        for _ in range(500):
            if not readers():
                break
            time.sleep(0.01)
        return readers()

    store = await open_store(directory)
    assert readers() == 2
    writing = asyncio.ensure_future(store.engine.write(outlive_the_readers))
    await asyncio.sleep(0)
    await store.close()
    assert await writing == 0
    assert not any(thread.name.startswith("store-") for thread in threading.enumerate())


async def test_closing_moves_everything_into_the_database(directory: Path) -> None:
    async with open_scene(directory) as scene:
        await scene.say("into the file")
    wal = directory / f"{DATABASE_NAME}-wal"
    assert not wal.exists() or wal.stat().st_size == 0


async def test_a_closed_store_takes_nothing(directory: Path) -> None:
    store = await open_store(directory)
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.engine.write(lambda _: None)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.position()


# --- files that cannot be opened --------------------------------------------------------------------


def fake_store(directory: Path, content: bytes) -> None:
    directory.mkdir()
    (directory / DATABASE_NAME).write_bytes(content)


async def test_a_file_that_is_no_store_is_refused(directory: Path) -> None:
    fake_store(directory, b"this is not a database " * 400)
    with pytest.raises(StoreDamaged, match="backup"):
        await open_store(directory)
    assert not is_locked(directory), "the refused opener lets go of the directory"
    with pytest.raises(StoreDamaged):
        verify_audit(directory)


async def test_there_is_nothing_to_verify_without_a_store(directory: Path) -> None:
    with pytest.raises(StoreDamaged, match="no store"):
        verify_audit(directory)
    fake_store(directory, b"")
    with pytest.raises(StoreDamaged):
        verify_audit(directory)


async def test_damaged_pages_are_found(directory: Path) -> None:
    async with open_scene(directory) as scene:
        for _ in range(50):
            await scene.say("x" * 2000)
    assert check_integrity(directory) == []
    file = directory / DATABASE_NAME
    content = bytearray(file.read_bytes())
    middle = len(content) * 2 // 3  # behind the schema and the single rows, where the many are
    content[middle : middle + 20_000] = b"\xff" * 20_000
    file.write_bytes(content)
    assert check_integrity(directory)


async def test_a_store_of_a_newer_version_is_left_alone(directory: Path) -> None:
    async with open_scene(directory) as scene:
        await scene.store.engine.write(
            lambda tx: tx.run("INSERT INTO schema_migrations VALUES (9999, 'future', 'x', 0)")
        )
    before = (directory / DATABASE_NAME).read_bytes()
    with pytest.raises(StoreTooNew, match="9999"):
        await open_store(directory)
    assert (directory / DATABASE_NAME).read_bytes() == before
    assert not is_locked(directory)


async def test_a_store_that_cannot_begin_lets_go(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("no room")

    monkeypatch.setattr(Engine, "write", refuse)
    with pytest.raises(StoreUnavailable):
        await open_store(directory)
    monkeypatch.undo()
    assert not is_locked(directory), "so that it can be tried again"
    assert not any(thread.name.startswith("store-") for thread in threading.enumerate())
    await (await open_store(directory)).close()


# --- a full disk, a read-only file ------------------------------------------------------------------


async def limit_pages(scene: Scene, spare: int | None) -> None:
    """Let the database grow by `spare` pages, or freely."""

    def limit(tx: Reader) -> None:
        pages = tx.value("PRAGMA page_count") + spare if spare is not None else 2**30
        tx.value(f"PRAGMA max_page_count = {pages}")

    await scene.store.engine.write(limit)


async def test_a_full_disk_refuses_and_stores_nothing_of_it(scene: Scene) -> None:
    thread_id = await scene.thread()
    before, signals = await scene.dump(), list(scene.signals)
    await limit_pages(scene, spare=3)
    too_much = scene.message("x" * 200_000, thread_id)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            await scene.store.threads.accept(scene.act(), too_much)
        assert not scene.store.engine.writable
    assert scene.store.engine.stats.failed_commits == 3
    assert await scene.dump() == before
    assert scene.signals == signals, "nobody is told of what did not happen"
    assert (await scene.store.threads.get("org_default", thread_id)).head_seq == 1, "reading goes on"


async def test_it_recovers_when_space_returns(scene: Scene) -> None:
    thread_id = await scene.thread()
    await limit_pages(scene, spare=3)
    message = scene.message("x" * 200_000, thread_id)
    with pytest.raises(StoreUnavailable):
        await scene.store.threads.accept(scene.act(), message)
    await limit_pages(scene, spare=None)
    assert scene.store.engine.writable, "the last commit was taken"
    await scene.store.threads.accept(scene.act(), message)
    assert await scene.kinds(thread_id) == ["thread.created", "message.created", "run.queued"]
    assert scene.store.engine.last_offset == await scene.store.position()


async def test_a_group_that_does_not_fit_fails_as_a_whole(scene: Scene) -> None:
    thread_id = await scene.thread()
    before = await scene.dump()
    await limit_pages(scene, spare=3)
    held = asyncio.ensure_future(scene.store.engine.write(lambda _: time.sleep(0.05)))
    await asyncio.sleep(0.01)
    group = [scene.say(text, thread_id) for text in ("small", "x" * 200_000, "small too")]
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    await held
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert await scene.dump() == before


async def test_a_file_that_became_read_only_is_said_to_be_so(scene: Scene) -> None:
    connections: list[sqlite3.Connection] = []
    await scene.store.engine.write(lambda tx: connections.append(tx._connection))
    (writer,) = connections
    before = await scene.dump()
    writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="readonly"):
        await scene.say("lost")
    assert not scene.store.engine.writable
    assert await scene.dump() == before
    writer.execute("PRAGMA query_only = OFF")
    await scene.say("kept")
    assert scene.store.engine.writable


def run_writer(part: str, directory: Path) -> list[str]:
    """Run one part of the writer process to its end; its lines."""
    done = subprocess.run(
        [sys.executable, WRITER, part, directory], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


async def test_a_disk_that_fills_up_loses_nothing_acknowledged(directory: Path) -> None:
    lines = await asyncio.to_thread(run_writer, "write_until_full", directory)
    kept = [line.split()[1] for line in lines if line.startswith("kept")]
    assert lines.count("refused False") == 3
    assert lines[-1] == "writable True"
    assert len(kept) > 2
    async with open_scene(directory) as scene:
        assert [row[0] for row in await scene.rows("SELECT id FROM messages ORDER BY log_offset")] == kept
    assert verify_audit(directory)[1] is None
    assert check_integrity(directory) == []


async def test_no_room_to_begin_is_not_called_damage(directory: Path) -> None:
    (line,) = await asyncio.to_thread(run_writer, "open_without_room", directory)
    assert line.startswith("StoreUnavailable")
    await (await open_store(directory)).close()


async def test_no_room_to_close_loses_nothing(directory: Path) -> None:
    kept, closed = await asyncio.to_thread(run_writer, "close_without_room", directory)
    assert closed == "closed"
    async with open_scene(directory) as scene:
        assert await scene.rows("SELECT id FROM messages") == [(kept.split()[1],)]


# --- a killed process -------------------------------------------------------------------------------


def kill_after(directory: Path, writes: int) -> list[list[str]]:
    """Start a writer process, kill it after some acknowledged writes; all that it acknowledged."""
    process = subprocess.Popen(
        [sys.executable, WRITER, "write_for_ever", directory], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(writes)]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == -signal.SIGKILL
    # A line cut off by the kill is nothing that anybody has read.
    return [line.split() for line in ("".join(lines) + rest).split("\n")[:-1]]


@pytest.mark.parametrize("writes", [1, 7, 150])
async def test_a_killed_process_keeps_every_acknowledged_write(directory: Path, writes: int) -> None:
    acknowledged = await asyncio.to_thread(kill_after, directory, writes)
    assert len(acknowledged) >= writes
    async with open_scene(directory) as scene:
        stored = {
            (row[0], row[1], row[2]) for row in await scene.rows("SELECT thread_id, id, seq FROM messages")
        }
        assert {(thread_id, message_id, int(seq)) for thread_id, message_id, seq in acknowledged} <= stored
        for thread_id in {line[0] for line in acknowledged}:
            seqs = await scene.rows("SELECT seq FROM events WHERE thread_id = :id ORDER BY seq", id=thread_id)
            assert [seq for (seq,) in seqs] == list(range(1, len(seqs) + 1)), "no gap"
        runs = await scene.rows("SELECT count(*) FROM runs")
        assert runs == await scene.rows("SELECT count(*) FROM messages"), "each message with its run"
    assert verify_audit(directory)[1] is None
