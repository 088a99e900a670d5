"""Checkpoints of a log: when they are made, that they never contradict what was published, and what a restore does."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from channels.secrets import SecretUnavailable
from gateway import audit_key, checkpoint_file
from gateway.clock import Clock
from gateway.daemon import open_store
from gateway.services.audit_checkpoints import Checkpointing, CheckpointPace, reconcile
from gateway.settings import Settings
from protocol.errors import ErrorKind, Fault
from storage import audit_proof
from storage.audit_notes import Checkpoint, Note
from storage.audit_values import CheckpointMade
from storage.errors import StoreUnavailable
from storage.files import DATABASE_NAME
from storage.store import Store
from storage.values import DEFAULT_ORG, GATEWAY, Act

NEVER_S = 86_400.0
PATIENCE_S = 5.0


class Log:
    """The store of a data directory and its checkpoints, without the rest of a gateway."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = Settings(data_dir=directory)
        self.clock = Clock()
        self.store: Store
        self.made: Checkpointing
        self.told: list[CheckpointMade] = []
        self.heard = asyncio.Event()

    @property
    def path(self) -> Path:
        return checkpoint_file.beside(self.directory)

    async def open(self, entries: int = 10**6, seconds: float = NEVER_S) -> Checkpointing:
        """Open the store as every start does."""
        self.store = await open_store(self.settings, self.clock)
        self.key = audit_key.load(self.directory / audit_key.KEY_NAME)
        pace = CheckpointPace(entries, seconds)
        origin = self.key.signer.verifier.name
        self.made = Checkpointing(self.store.checkpoints, self.key, origin, self.path, pace, self.clock)
        self.store.engine.add_hook(self.made.on_commit)
        self.store.engine.add_hook(self._hear)
        return self.made

    def _hear(self, signals: Any) -> None:
        self.told.extend(signal for signal in signals if isinstance(signal, CheckpointMade))
        self.heard.set()

    async def close(self) -> None:
        await self.made.stop()
        await self.store.close()

    async def reopened(self) -> list[dict[str, Any]]:
        """Close without a last checkpoint and open again; what the start said about epochs."""
        await self.store.close()
        with capture_logs() as logged:
            await self.open()
        return [entry for entry in logged if entry["action"] == "audit_epoch"]

    async def write(self, count: int = 1) -> None:
        for _ in range(count):
            act = Act(DEFAULT_ORG, GATEWAY, "test", self.clock.now_ms())
            await self.store.audit.record(act, "login", {}, "failure", {})

    async def until(self, size: int) -> None:
        """Wait until a checkpoint over so many entries is published."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.told or self.told[-1].size < size:
                self.heard.clear()
                await self.heard.wait()
            async with self.made._lock:  # the file is written behind the commit
                return

    def published(self) -> list[Checkpoint]:
        """What stands in the file, every note signed by our key."""
        with suppress(FileNotFoundError):
            notes, bad = checkpoint_file.read(self.path)
            assert not bad
            assert all(note.signed_by(self.key.verifiers) for note in notes)
            return [note.checkpoint for note in notes]
        return []

    def keep_copy(self, name: str) -> None:
        """A backup of the store; the writer must be closed."""
        shutil.copy(self.directory / DATABASE_NAME, self.directory.parent / name)

    def restore(self, name: str) -> None:
        for suffix in ("-wal", "-shm"):
            (self.directory / f"{DATABASE_NAME}{suffix}").unlink(missing_ok=True)
        shutil.copy(self.directory.parent / name, self.directory / DATABASE_NAME)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(tmp_path / "data")
    await made.open()
    yield made
    await made.store.close()


# --- when -------------------------------------------------------------------------------------------


async def test_after_so_many_entries_one_is_made(log: Log) -> None:
    await log.store.close()
    made = await log.open(entries=3)
    await made.start()
    await log.write(2)
    assert not log.told
    await log.write(1)
    await log.until(3)
    assert [checkpoint.size for checkpoint in log.published()][-1] == 3
    await made.stop()


async def test_so_long_after_the_first_entry_one_is_made(log: Log) -> None:
    await log.store.close()
    made = await log.open(seconds=0.01)
    await made.start()
    await log.write(1)
    await log.until(1)
    await log.write(1)
    await log.until(2)
    await made.stop()


async def test_at_shutdown_and_at_start_what_is_left_is_sealed(log: Log) -> None:
    await log.made.start()
    await log.write(5)
    await log.made.stop()
    assert log.published()[-1].size == 5
    await log.write(1)
    assert log.made.unsealed == 1
    await log.reopened()
    await log.made.start()
    await log.until(6)
    await log.made.stop()


async def test_when_asked_and_nothing_is_new_it_is_the_same_one(log: Log) -> None:
    empty = await log.made.make()
    assert empty.size == 0, "an empty log can be sealed, too"
    await log.write(2)
    first, second = await asyncio.gather(log.made.make(), log.made.make())
    assert first == second
    assert (first.size, len(log.published())) == (2, 2)
    await log.reopened()
    again = await log.made.make()
    assert (again.size, again.root, len(log.published())) == (2, first.root, 2)


# --- what -------------------------------------------------------------------------------------------


async def test_a_checkpoint_is_in_the_store_and_in_the_file(log: Log) -> None:
    await log.write(3)
    made = await log.made.make()
    note = Note.parse(made.note)
    assert note.signed_by([log.key.signer.verifier])
    assert note.checkpoint == Checkpoint(log.key.signer.verifier.name, 3, await log.store.checkpoints.root(3))
    assert log.published() == [note.checkpoint]
    assert await log.store.checkpoints.latest() == made.note
    assert log.path.stat().st_mode & 0o777 == 0o600


async def test_an_entry_is_proven_to_whoever_has_the_public_key(log: Log) -> None:
    await log.write(7)
    text = await log.made.prove(DEFAULT_ORG, 4)
    proof = audit_proof.parse(text)
    proof.verify([log.key.signer.verifier])
    assert b'"seq":4' in proof.entry
    await log.write(1)
    assert audit_proof.parse(await log.made.prove(DEFAULT_ORG, 8)).note.checkpoint.size == 8, "sealed for it"
    for seq in (9, 10**9):
        with pytest.raises(Fault) as refused:
            await log.made.prove(DEFAULT_ORG, seq)
        assert refused.value.kind is ErrorKind.NOT_FOUND


async def test_after_a_disk_that_did_not_take_it_the_next_one_is_published(log: Log) -> None:
    await log.write(1)
    log.path.mkdir()
    with pytest.raises(Fault) as refused:
        await log.made.make()
    assert refused.value.kind is ErrorKind.UNAVAILABLE
    log.path.rmdir()
    await log.made.make()
    assert [checkpoint.size for checkpoint in log.published()] == [1]


async def test_a_store_that_does_not_take_it_is_tried_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.audit_checkpoints.RETRY_S", 0.01)
    real, failures = log.store.checkpoints.add, iter([1, 2])

    async def add(*args: Any) -> None:
        if next(failures, None):
            raise StoreUnavailable("full")
        await real(*args)

    monkeypatch.setattr(log.store.checkpoints, "add", add)
    await log.write(2)
    await log.made.start()
    await log.until(2)
    await log.made.stop()


# --- never against what was published ---------------------------------------------------------------


async def test_what_contradicts_the_file_is_not_signed(log: Log) -> None:
    await log.write(3)
    await log.made.make()
    origin = log.key.signer.verifier.name
    checkpoint_file.append(log.path, log.key.signer.note(Checkpoint(origin, 9, b"\7" * 32)))
    await log.write(1)
    with pytest.raises(Fault) as refused:
        await log.made.make()
    assert refused.value.kind is ErrorKind.INVALID_STATE
    await log.write(10)
    with pytest.raises(Fault, match="was another one"):
        await log.made.make()
    assert [checkpoint.size for checkpoint in log.published()] == [3, 9], "and nothing was added"


async def test_what_others_write_into_the_file_changes_nothing(log: Log, tmp_path: Path) -> None:
    stranger = audit_key.new_signer(log.key.signer.verifier.name)
    await log.write(3)
    await log.made.make()
    checkpoint_file.append(log.path, stranger.note(Checkpoint(stranger.verifier.name, 99, b"\7" * 32)))
    with log.path.open("a") as file:
        file.write("half a no")
    assert await log.reopened() == []
    await log.write(1)
    assert (await log.made.make()).size == 4
    notes, bad = checkpoint_file.read(log.path)
    ours = [note.checkpoint.size for note in notes if note.signed_by(log.key.verifiers)]
    assert (ours, bad) == ([3, 4], 1)


# --- restores ---------------------------------------------------------------------------------------


async def test_a_restored_store_begins_a_new_epoch_that_says_so(log: Log) -> None:
    await log.write(5)
    await log.made.make()
    before = log.store.identity.epoch
    await log.store.close()
    log.keep_copy("backup.db")
    await log.open()
    await log.write(5)
    sealed = await log.made.make()
    await log.store.close()

    log.restore("backup.db")
    (said,) = await log.reopened()
    assert (said["reason"], said["epoch"], said["entries"], said["sealed"]) == ("behind", 2, 5, 10)
    assert log.store.identity.epoch != before, "clients notice that the log of their threads was replaced"
    (entry,), _ = await log.store.audit.page(DEFAULT_ORG, 5, None, 10)
    assert entry.action == "audit.epoch"
    assert entry.detail == {
        "known": {"origin": log.key.signer.verifier.name, "size": 10, "root": sealed.root}
    }
    assert await log.reopened() == [], "a start before the first checkpoint of the epoch changes nothing"
    await log.write(1)
    made = await log.made.make()
    assert made.note.startswith(f"{log.key.signer.verifier.name}/epoch2\n7\n")
    assert Note.parse(made.note).signed_by([log.key.signer.verifier]), "the pinned key goes on"
    assert await log.reopened() == []

    log_epochs = log.store.identity.epoch
    await log.store.close()
    log.restore("backup.db")
    (said,) = await log.reopened()
    assert (said["reason"], said["epoch"]) == ("behind", 3), "the same backup again"
    assert log.store.identity.epoch != log_epochs


async def test_a_store_as_long_but_different_begins_a_new_epoch(log: Log) -> None:
    await log.write(5)
    await log.store.close()
    log.keep_copy("backup.db")
    await log.open()
    await log.write(5)
    await log.made.make()
    await log.store.close()
    log.restore("backup.db")
    checkpoints = log.path.rename(log.directory.parent / "hidden")
    await log.open()
    await log.write(8)
    await log.store.close()
    checkpoints.rename(log.path)
    (said,) = await log.reopened()
    assert (said["reason"], said["entries"]) == ("different", 13)


async def test_a_store_that_goes_on_behind_its_checkpoint_is_the_same(log: Log) -> None:
    await log.write(5)
    await log.made.make()
    await log.write(5)
    assert await log.reopened() == []
    assert await reconcile(log.store.checkpoints, log.key, log.directory / "none", log.clock) is None


# --- the key ----------------------------------------------------------------------------------------


async def test_a_log_that_was_signed_is_not_opened_with_another_key(log: Log) -> None:
    await log.write(1)
    await log.made.make()
    await log.store.close()
    kept = (log.directory / audit_key.KEY_NAME).rename(log.directory / "kept")
    with pytest.raises(SecretUnavailable, match="rotate-key --lost"):
        await open_store(log.settings, log.clock)
    audit_key.make(log.directory / audit_key.KEY_NAME, "log.example")
    with pytest.raises(SecretUnavailable, match="rotate-key --lost"):
        await open_store(log.settings, log.clock)
    kept.rename(log.directory / audit_key.KEY_NAME)
    await log.open()


async def test_the_first_start_says_the_public_key_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "fresh")
    with capture_logs() as logged:
        await log.open()
    (said,) = [entry for entry in logged if entry["action"] == "audit_key_made"]
    assert said["vkey"] == log.key.signer.verifier.vkey()
    assert said["vkey"].startswith("threadgate/epo_")
    with capture_logs() as again:
        await log.reopened()
    assert [entry for entry in again if entry["action"] == "audit_key_made"] == []
    await log.store.close()
