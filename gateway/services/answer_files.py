"""The files of a turn: those an agent is given, those it gives, and how a room shows the latter.

A file that an agent gives is stored before the turn goes on; that it is part of the answer is decided when the
run completes, from what the store has.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from channels.capabilities import Capabilities
from channels.messages import Rendered
from gateway.agents.port import AgentFailure, AgentFile, FileUnreadable, GivenFile
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.filenames import safe_name
from gateway.rules.media_types import media_type
from gateway.rules.sizes import size_text
from protocol.ids import IdPrefix
from storage.errors import BlobTooLarge, StoreUnavailable
from storage.file_values import BlobRow, NewFile
from storage.ports import BlobStore
from storage.values import ClaimedRun

STORE_RETRY_S: Final = 1.0
"""Pause before storing a file again when the store did not take it."""


class AnswerFiles:
    """What turns do with files."""

    def __init__(self, blobs: BlobStore, clock: Clock, *, limit_bytes: int, files_max: int) -> None:
        self._blobs = blobs
        self._clock = clock
        self._limit = limit_bytes
        self._files_max = files_max

    def given(self, run: ClaimedRun) -> tuple[GivenFile, ...]:
        """The files of the message, as the agent sees them."""
        return tuple(self._given(blob) for blob in run.files)

    async def keep(self, run: ClaimedRun, file: AgentFile, so_far: Sequence[BlobRow]) -> BlobRow:
        """Store a file of the answer. Raises AgentFailure for too large or too many, StaleFence."""
        while True:
            try:
                kept = await self._keep(run, file)
                break
            except BlobTooLarge:
                reason = f"its file {safe_name(file.name)} is larger than {size_text(self._limit)}"
                raise AgentFailure("too_large", reason) from None
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY_S)
        if len({blob.id for blob in (*so_far, kept)}) > self._files_max:
            raise AgentFailure("too_large", f"an answer has at most {self._files_max} files")
        reached("file.kept")
        return kept

    async def _keep(self, run: ClaimedRun, file: AgentFile) -> BlobRow:
        draft = await self._blobs.begin(self._limit)
        try:
            await draft.add(file.data)
            await draft.complete()
            kind = await asyncio.to_thread(media_type, draft.head, file.media_type)
            new = NewFile(self._clock.new_id(IdPrefix.BLOB), safe_name(file.name), kind)
            return await self._blobs.keep(run, new, draft, self._clock.now_ms())
        finally:
            await draft.abandon()

    def _given(self, blob: BlobRow) -> GivenFile:
        async def read() -> bytes:
            if blob.sha256 is None:
                raise FileUnreadable(f"{blob.name}: {blob.error or blob.state}")
            return await self._blobs.read(blob.sha256)

        error = None if blob.sha256 is not None else blob.error or "it is not here"
        return GivenFile(blob.name, blob.media_type, blob.size_bytes, read, error)


def shown_in(room: Capabilities, files: Sequence[BlobRow]) -> tuple[list[Rendered], list[str]]:
    """The files a room takes, as messages of their own; and lines that say which it does not take."""
    shown, told = [], []
    for blob in {blob.id: blob for blob in files}.values():
        size = blob.size_bytes or 0
        if room.file_max_bytes and size <= room.file_max_bytes:
            shown.append(Rendered(text="", blob_id=blob.id))
        else:
            told.append(f"*The file `{blob.name}` ({size_text(size)}) cannot be shown here.*")
    return shown, told
