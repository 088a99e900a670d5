"""Files of messages: their rows, and which bytes stay on the disk. The bytes themselves are `blob_files.py`.

A row says `stored` only after its bytes are durable, and bytes are deleted only after the last row that names
them is gone, both under one lock: a file that is being stored has no row yet that could protect it. What a crash
leaves in between is a file without a row, which `sweep` finds.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Blob, BlobState
from protocol.requests import BlobResult
from storage import audit_log, blob_files, run_rows
from storage.blob_files import BlobWriter, Written
from storage.engine import Engine, Reader, Row, Transaction
from storage.errors import StoreDamaged
from storage.file_values import BlobRow, NewFile
from storage.idempotency import once
from storage.ports import FileDraft
from storage.queries import Queries
from storage.texts import from_text
from storage.values import (
    Act,
    ClaimedRun,
    FilesArriving,
    FilesDropped,
    FilesSettled,
    NewMessage,
    Notice,
    OutboxChanged,
)

_SQL = Queries("blobs")
_THREADS = Queries("threads")
_CHANNELS = Queries("channels")
_T = TypeVar("_T")

HOP_BYTES: Final = 256 * 1024
"""Bytes that are handed to a thread together: chunks of a socket are smaller, and each hop costs."""
SWEEP_BATCH: Final = 500
"""Files looked up in one read while sweeping."""


class Draft:
    """`storage.ports.FileDraft`: collects, and writes in threads."""

    def __init__(self, writer: BlobWriter) -> None:
        self._writer = writer
        self._waiting = bytearray()

    @property
    def head(self) -> bytes:
        return self._writer.head

    async def add(self, chunk: bytes) -> None:
        self._waiting += chunk
        if len(self._waiting) >= HOP_BYTES:
            await self.complete()

    async def complete(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        await asyncio.to_thread(self._writer.add, data)

    async def abandon(self) -> None:
        await asyncio.to_thread(self._writer.abandon)

    async def finish(self) -> Written:
        """Make the bytes durable, for `Blobs` alone. Raises BlobTooLarge and StoreUnavailable."""
        await self.complete()
        return await asyncio.to_thread(self._writer.finish)


class Blobs:
    """`storage.ports.BlobStore` on the engine and a directory beside it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directory = engine.path.parent
        self._lock = asyncio.Lock()
        self._at_work: set[asyncio.Task[Any]] = set()

    async def begin(self, limit_bytes: int) -> Draft:
        making = asyncio.ensure_future(asyncio.to_thread(BlobWriter, self._directory, limit_bytes))
        try:
            return Draft(await asyncio.shield(making))
        except asyncio.CancelledError:
            await asyncio.wait({making})  # its thread goes on, and nobody else knows the file that it opened
            if making.exception() is None:
                making.result().abandon()
            raise

    async def get(self, org_id: str, blob_id: str) -> BlobRow:
        return await self._engine.read(_get, org_id, blob_id)

    async def read(self, sha256: str) -> bytes:
        return await asyncio.to_thread(blob_files.read, self._directory, sha256)

    async def locate(self, sha256: str) -> Path:
        path = blob_files.path_of(self._directory, sha256)
        if not await asyncio.to_thread(path.is_file):
            raise StoreDamaged(f"the attachment {sha256} is gone from the disk")
        return path

    async def upload(self, act: Act, new: NewFile, draft: FileDraft) -> RawJson:
        return await self._store(draft, _upload, act, new)

    async def keep(self, run: ClaimedRun, new: NewFile, draft: FileDraft, now_ms: int) -> BlobRow:
        return await self._store(draft, _keep, run, new, now_ms)

    async def due(self, now_ms: int, limit: int) -> list[BlobRow]:
        return await self._engine.read(_due, now_ms, limit)

    async def next_due(self) -> int | None:
        return await self._engine.read(_next_due)

    async def settle(self, blob_id: str, media_type: str, draft: FileDraft, now_ms: int) -> bool:
        return await self._store(draft, _settle, blob_id, media_type, now_ms)

    async def fail(self, blob_id: str, error: str, notice: Notice | None, now_ms: int) -> bool:
        return await self._engine.write(_fail, blob_id, error, notice, now_ms)

    async def postpone(self, blob_id: str, next_attempt_at_ms: int, error: str) -> None:
        await self._engine.write(_postpone, blob_id, next_attempt_at_ms, error)

    async def collect(self, before_ms: int, limit: int) -> int:
        hashes = await self._engine.write(_collect, before_ms, limit)
        await self.discard([sha256 for sha256 in hashes if sha256 is not None])
        return len(hashes)

    async def discard(self, hashes: Sequence[str]) -> int:
        return await self._alone(lambda: self._remove_unused(hashes))

    async def sweep(self, before_ms: int) -> int:
        count = await asyncio.to_thread(blob_files.sweep, self._directory)
        old = await asyncio.to_thread(blob_files.older_than, self._directory, before_ms / 1000)
        for begin in range(0, len(old), SWEEP_BATCH):
            count += await self.discard(old[begin : begin + SWEEP_BATCH])
        return count

    # --- bytes and rows together --------------------------------------------------------------

    async def _store(self, draft: FileDraft, record: Callable[..., _T], *args: Any) -> _T:
        """Make the bytes durable, then record them with `record(tx, written, *args)`."""
        assert isinstance(draft, Draft), "drafts are made by begin()"

        async def store() -> _T:
            written = await draft.finish()
            try:
                return await self._engine.write(record, written, *args)
            finally:  # what was refused, or is there already under another row, leaves nothing behind
                await self._remove_unused([written.sha256])

        return await self._alone(store)

    async def _alone(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Work that nothing else may happen beside. It goes on when its caller is cancelled: a row that is
        about to be written must not lose the lock that protects its bytes."""

        async def locked() -> _T:
            async with self._lock:
                return await work()

        task = asyncio.ensure_future(locked())
        self._at_work.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked was told; or nobody asks any more

    async def _remove_unused(self, hashes: Sequence[str]) -> int:
        unused = await self._engine.read(_unused, hashes)
        await asyncio.to_thread(blob_files.remove, self._directory, unused)
        return len(unused)


# --- reading ---------------------------------------------------------------------------------------


def of_message(tx: Reader, message_id: str) -> tuple[BlobRow, ...]:
    """The files of a message, in their order."""
    return tuple(_row(row) for row in tx.all(_SQL.of_message, message_id=message_id))


def is_awaited(tx: Reader, message_id: str) -> bool:
    """Whether a file of the message is still under way."""
    return tx.one(_SQL.pending_of_message, message_id=message_id) is not None


def part_of(blob: BlobRow) -> dict[str, Any]:
    """A file as a part of a message's content."""
    return {"type": "blob", "blob_id": blob.id, "name": blob.name}


def _get(tx: Reader, org_id: str, blob_id: str) -> BlobRow:
    row = tx.one(_SQL.find, org_id=org_id, id=blob_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such blob", hint="POST /v1/blobs uploads one")
    return _row(row)


def _due(tx: Reader, now_ms: int, limit: int) -> list[BlobRow]:
    return [_row(row) for row in tx.all(_SQL.due, now=now_ms, limit=limit)]


def _next_due(tx: Reader) -> int | None:
    due_ms: int | None = tx.value(_SQL.next_due)
    return due_ms


def _unused(tx: Reader, hashes: Sequence[str]) -> list[str]:
    return [sha256 for sha256 in hashes if tx.one(_SQL.still_used, sha256=sha256) is None]


# --- in the transactions of others -----------------------------------------------------------------


def attach(tx: Transaction, act: Act, new: NewMessage, thread_id: str) -> list[dict[str, Any]]:
    """Record the files that come with a message and take those uploaded for it; its content, with their names.

    Raises Fault not_found, and invalid_state for a file that is not stored, or was sent before.
    """
    names = {file.id: file.name for file in new.files}
    for file in new.files:
        tx.run(
            _SQL.insert,
            id=file.id,
            org_id=act.org_id,
            state="pending",
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=None,
            message_id=new.message_id,
            thread_id=thread_id,
            channel=file.channel,
            account=file.account,
            source=file.source,
            now=act.at_ms,
            stored_at=None,
        )
    if new.files:
        tx.emit(FilesArriving())
    for blob_id in [part["blob_id"] for part in new.content if part["type"] == "blob"]:
        if blob_id not in names:
            names[blob_id] = _take(tx, act.org_id, blob_id, new.message_id, thread_id)
    return [
        {**part, "name": names[part["blob_id"]]} if part["type"] == "blob" else part for part in new.content
    ]


def release(tx: Transaction, message_id: str) -> None:
    """The message will never be said: its files belong to none, and are collected like all such."""
    tx.run(_SQL.release, message_id=message_id)


def forget_thread(tx: Transaction, thread_id: str) -> None:
    """Delete every file of a thread; the bytes go after the commit, where nobody else has them."""
    _forget(tx, tx.all(_SQL.of_thread, thread_id=thread_id))


def forget_message(tx: Transaction, message_id: str) -> None:
    """Delete the files of a message that was taken back, also those still under way."""
    _forget(tx, tx.all(_SQL.of_message, message_id=message_id))


def _forget(tx: Transaction, rows: Sequence[Row]) -> None:
    for row in rows:
        tx.run(_SQL.delete, id=row["id"])
    hashes = tuple({row["sha256"] for row in rows if row["sha256"] is not None})
    if hashes:
        tx.emit(FilesDropped(hashes))


def _take(tx: Transaction, org_id: str, blob_id: str, message_id: str, thread_id: str) -> str:
    blob = _get(tx, org_id, blob_id)
    if blob.state != "stored":
        raise Fault(ErrorKind.INVALID_STATE, f"The blob is {blob.state}", state=blob.state)
    place = {"message_id": message_id, "thread_id": thread_id}
    if not tx.run(_SQL.attach, org_id=org_id, id=blob_id, **place):
        raise Fault(
            ErrorKind.INVALID_STATE, "The blob is part of a message already", hint="Upload it once more"
        )
    return blob.name


# --- recording -------------------------------------------------------------------------------------


def _upload(tx: Transaction, written: Written, act: Act, new: NewFile) -> RawJson:
    def effect() -> BlobResult:
        _insert_stored(tx, act.org_id, new, written, act.at_ms)
        audit_log.append(tx, act, "blob.upload", {"blob_id": new.id}, detail={"sha256": written.sha256})
        return BlobResult(blob=_record(_get(tx, act.org_id, new.id)))

    if act.claim is not None:
        meaning = hashlib.sha256(f"{act.claim.params_hash} {written.sha256}".encode()).hexdigest()
        act = replace(act, claim=replace(act.claim, params_hash=meaning[:32]))
    return once(tx, act, effect)


def _keep(tx: Transaction, written: Written, run: ClaimedRun, new: NewFile, now_ms: int) -> BlobRow:
    run_rows.owned(tx, run.org_id, run.id, run.fence)
    row = tx.one(_SQL.same_in_message, message_id=run.reply_id, name=new.name, sha256=written.sha256)
    if row is None:
        _insert_stored(tx, run.org_id, new, written, now_ms)
        place = {"message_id": run.reply_id, "thread_id": run.thread_id}
        tx.run(_SQL.attach, org_id=run.org_id, id=new.id, **place)
        return _get(tx, run.org_id, new.id)
    return _row(row)


def _insert_stored(tx: Transaction, org_id: str, new: NewFile, written: Written, now_ms: int) -> None:
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=org_id,
        state="stored",
        name=new.name,
        media_type=new.media_type,
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        message_id=None,
        thread_id=None,
        channel=None,
        account=None,
        source=None,
        now=now_ms,
        stored_at=now_ms,
    )


def _settle(tx: Transaction, written: Written, blob_id: str, media_type: str, now_ms: int) -> bool:
    row = tx.one(_SQL.find_pending, id=blob_id)
    if row is None:
        return False
    _end(tx, row, "stored", media_type, written.size_bytes, written.sha256, None, now_ms)
    return True


def _fail(tx: Transaction, blob_id: str, error: str, notice: Notice | None, now_ms: int) -> bool:
    row = tx.one(_SQL.find_pending, id=blob_id)
    if row is None:
        return False
    _end(tx, row, "failed", row["media_type"], row["size_bytes"], None, error, now_ms)
    if notice is not None:
        _tell_room(tx, row, notice, now_ms)
    return True


def _end(
    tx: Transaction,
    row: Row,
    state: str,
    media_type: str,
    size_bytes: int | None,
    sha256: str | None,
    error: str | None,
    now_ms: int,
) -> None:
    values = {"media_type": media_type, "size_bytes": size_bytes, "sha256": sha256, "error": error}
    tx.run(_SQL.settle, id=row["id"], state=state, now=now_ms, **values)
    if not is_awaited(tx, row["message_id"]):
        tx.emit(FilesSettled(row["thread_id"]))


def _tell_room(tx: Transaction, row: Row, notice: Notice, now_ms: int) -> None:
    thread = tx.one(_THREADS.find, org_id=row["org_id"], id=row["thread_id"])
    origin = from_text(thread["origin"]) if thread is not None else {}
    if "room" not in origin:
        return
    tx.run(
        _CHANNELS.insert_outbound,
        id=notice.delivery_id,
        org_id=row["org_id"],
        channel=origin["channel"],
        account=origin["account"],
        room=origin["room"],
        topic=origin.get("topic"),
        thread_id=row["thread_id"],
        run_id=None,
        part=1,
        phase="idle",
        content=notice.content,
        attempt=0,
        recipient=None,
        approval_id=None,
        sending_since=None,
        now=now_ms,
    )
    tx.emit(OutboxChanged(origin["channel"], origin["account"], origin["room"]))


def _postpone(tx: Transaction, blob_id: str, next_attempt_at_ms: int, error: str) -> None:
    tx.run(_SQL.postpone, id=blob_id, next_attempt_at=next_attempt_at_ms, error=error)


def _collect(tx: Transaction, before_ms: int, limit: int) -> list[str | None]:
    rows = tx.all(_SQL.unattached, before=before_ms, limit=limit)
    for row in rows:
        tx.run(_SQL.delete, id=row["id"])
    return [row["sha256"] for row in rows]


def _row(row: Row) -> BlobRow:
    return BlobRow(
        id=row["id"],
        org_id=row["org_id"],
        state=row["state"],
        name=row["name"],
        media_type=row["media_type"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        message_id=row["message_id"],
        thread_id=row["thread_id"],
        channel=row["channel"],
        account=row["account"],
        source=row["source"],
        attempts=row["attempts"],
        error=row["error"],
        created_at_ms=row["created_at"],
    )


def _record(blob: BlobRow) -> Blob:
    return Blob(
        id=blob.id,
        name=blob.name,
        media_type=blob.media_type,
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        state=BlobState(blob.state),
        created_at=to_instant(blob.created_at_ms),
    )
