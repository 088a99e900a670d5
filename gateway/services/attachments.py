"""Attachments: fetches the files that came with messages, from their chat networks, after the messages are durable.

Rows decide, memory only hints: what is due is asked of the store, at the start and whenever a message brought
files or an attempt is over, so a killed process loses nothing but the attempt it was in. A run begins once none of
its message's files is under way; a file that will not come is told to the agent (`RunContext.files`) and, by a
message of its own, to the room.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from typing import Final

import orjson
import structlog

from channels.errors import ChannelError, Permanent, RateLimited, TooLarge
from channels.messages import Attachment
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.media_types import media_type
from gateway.rules.retry import backoff_s
from gateway.rules.sizes import size_text
from gateway.services.channels import Channels, freeze
from gateway.services.watcher import Watcher
from protocol.errors import Fault
from protocol.ids import IdPrefix
from storage.errors import BlobTooLarge, StoreUnavailable
from storage.file_values import BlobRow
from storage.ports import BlobStore, FileDraft, ThreadStore
from storage.values import FilesArriving, FilesDropped, Notice

log = structlog.get_logger()

AT_ONCE: Final = 4
"""Files fetched at the same time: networks limit per account, and each holds a buffer and a temporary file."""
ATTEMPTS: Final = 5
PATIENCE_S: Final = 60.0
"""A person waits for an answer: a file that is not here by then is given up, unless it never had its attempt."""
ATTEMPT_LEAST_S: Final = 15.0
"""What an attempt gets that begins late, after a downtime say."""
STORE_RETRY_S: Final = 1.0
"""Pause before asking again when the store failed."""
UNATTACHED_MS: Final = 24 * 3600 * 1000
"""An upload that was sent in no message by then is deleted."""
ORPHAN_MS: Final = 3600 * 1000
"""Bytes without a row are left alone for so long: their row may be about to be written."""
COLLECT_AT_ONCE: Final = 100
"""Files whose rows are deleted in one transaction."""
GONE: Final = "its chat network is not configured any more"
TOO_MANY: Final = "a message may bring no more files"


class Attachments:
    """Owns all fetching, and the deletion of what nobody refers to."""

    def __init__(
        self, blobs: BlobStore, threads: ThreadStore, channels: Channels, clock: Clock, *, limit_bytes: int
    ) -> None:
        self._blobs = blobs
        self._threads = threads
        self._channels = channels
        self._clock = clock
        self._limit = limit_bytes
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._dropped: list[str] = []
        self._worker = Watcher("attachments", self._work)
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with what an earlier process left."""
        self._worker.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="attachments sweep")

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: files to fetch, or to delete."""
        for signal in signals:
            if isinstance(signal, FilesDropped):
                self._dropped += signal.hashes
                self._worker.wake()
            elif isinstance(signal, FilesArriving):
                self._worker.wake()

    async def stop(self) -> None:
        """Break off; the next start begins these attempts again."""
        await self._worker.stop()
        tasks = [task for task in (self._sweeper, *self._fetching.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def collect(self) -> None:
        """Delete uploads that were sent in no message for a day."""
        before_ms = self._clock.now_ms() - UNATTACHED_MS
        while await self._blobs.collect(before_ms, COLLECT_AT_ONCE) == COLLECT_AT_ONCE:
            pass

    # --- whose turn it is ---------------------------------------------------------------------

    async def _work(self) -> float | None:
        await self._discard()
        await self._begin_due()
        return await self._until_next()

    async def _begin_due(self) -> None:
        free = AT_ONCE - len(self._fetching)
        if free <= 0:
            return
        for blob in await self._blobs.due(self._clock.now_ms(), AT_ONCE + free):
            if blob.id not in self._fetching and len(self._fetching) < AT_ONCE:
                task = asyncio.create_task(self._fetch(blob), name=f"fetch {blob.id}")
                self._fetching[blob.id] = task
                task.add_done_callback(partial(self._done, blob.id))

    def _done(self, blob_id: str, task: "asyncio.Task[None]") -> None:
        self._fetching.pop(blob_id, None)
        self._worker.wake()
        if not task.cancelled() and task.exception() is not None:
            log.error("fetching a file broke", action="fetch_broke", exc_info=task.exception())

    async def _until_next(self) -> float | None:
        """Seconds until a file is due; None when only a signal can bring something to do."""
        if len(self._fetching) >= AT_ONCE:
            return None
        due_ms = await self._blobs.next_due()
        if due_ms is None:
            return None
        wait_ms = due_ms - self._clock.now_ms()
        # What is due and was not begun is being fetched: its end is a signal.
        return wait_ms / 1000 if wait_ms > 0 else STORE_RETRY_S

    async def _discard(self) -> None:
        dropped, self._dropped = self._dropped, []
        if dropped:
            await self._blobs.discard(
                dropped
            )  # what a failure leaves is found by the sweep of the next start

    async def _sweep(self) -> None:
        try:
            count = await self._blobs.sweep(self._clock.now_ms() - ORPHAN_MS)
        except StoreUnavailable as error:
            log.warning("files were not swept", action="files_not_swept", error=str(error))
            return
        if count:
            log.info("deleted files that a crash left", action="files_swept", count=count)

    # --- one file -----------------------------------------------------------------------------

    async def _fetch(self, blob: BlobRow) -> None:
        """One attempt, and the record of what came of it."""
        try:
            await self._try(blob)
        except StoreUnavailable as error:
            log.warning("a file waits for the store", action="file_waits", blob_id=blob.id, error=str(error))
            await asyncio.sleep(STORE_RETRY_S)

    async def _try(self, blob: BlobRow) -> None:
        try:
            await self._attempt(blob)
        except StoreUnavailable:
            raise
        except (BlobTooLarge, TooLarge):
            await self._give_up(blob, f"it is larger than {size_text(self._limit)}")
        except Permanent as error:
            await self._give_up(blob, str(error))
        except (ChannelError, TimeoutError) as error:
            await self._again(blob, error)
        except Exception:
            incident = self._clock.new_id(IdPrefix.INCIDENT)
            log.exception("an adapter broke", action="adapter_broke", blob_id=blob.id, incident=incident)
            await self._give_up(blob, f"an internal error ({incident})")

    async def _attempt(self, blob: BlobRow) -> None:
        if blob.source is None:
            raise Permanent(TOO_MANY)
        adapter = self._channels.find(blob.channel or "", blob.account or "")
        if adapter is None:
            raise Permanent(GONE)
        if blob.size_bytes is not None and blob.size_bytes > self._limit:
            raise TooLarge("its network says so")
        key = orjson.loads(blob.source)
        attachment = Attachment(key, blob.name, blob.media_type, blob.size_bytes)
        draft = await self._blobs.begin(self._limit)
        try:
            async with asyncio.timeout(max(ATTEMPT_LEAST_S, PATIENCE_S - self._age_s(blob))):
                await _copy(adapter.download(attachment, self._limit), draft)
            kind = await asyncio.to_thread(media_type, draft.head, blob.media_type)
            reached("file.fetched")
            await self._blobs.settle(blob.id, kind, draft, self._clock.now_ms())
            reached("file.settled")
        finally:
            await draft.abandon()

    async def _again(self, blob: BlobRow, error: ChannelError | TimeoutError) -> None:
        """Another attempt, if there is time for one."""
        wait_s = backoff_s(blob.attempts, self._clock.chance())
        if isinstance(error, RateLimited):
            wait_s = max(wait_s, error.after_s)
        reason = str(error) or "it took too long"
        if blob.attempts + 1 >= ATTEMPTS or self._age_s(blob) + wait_s > PATIENCE_S:
            await self._give_up(blob, f"it could not be fetched ({reason})")
            return
        log.info("a file is tried again", action="file_again", blob_id=blob.id, error=reason)
        await self._blobs.postpone(blob.id, self._clock.now_ms() + round(wait_s * 1000), reason)

    async def _give_up(self, blob: BlobRow, reason: str) -> None:
        log.warning("a file will not come", action="file_failed", blob_id=blob.id, error=reason)
        await self._blobs.fail(blob.id, reason, await self._notice(blob, reason), self._clock.now_ms())

    async def _notice(self, blob: BlobRow, reason: str) -> Notice | None:
        """What the room is told, below the message that the file came with."""
        try:
            thread = await self._threads.get(blob.org_id, blob.thread_id or "")
        except Fault:
            return None
        place = self._channels.of(thread.origin)
        if place is None:
            return None
        adapter, room = place
        content = adapter.render(f"I did not get `{blob.name}`: {reason}.", room)[0]
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(content))

    def _age_s(self, blob: BlobRow) -> float:
        return max(0.0, (self._clock.now_ms() - blob.created_at_ms) / 1000)


async def _copy(chunks: AsyncIterator[bytes], draft: FileDraft) -> None:
    """Everything that is read; the connection behind it is closed also when this breaks off."""
    try:
        async for chunk in chunks:
            await draft.add(chunk)
        await draft.complete()
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
