"""Files of this gateway as others need them: as bytes to send to a chat network, and as answers to HTTP.

Fetching what people sent is `attachments.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from channels.errors import Permanent
from channels.messages import OutboundFile
from gateway.clock import Clock
from gateway.rules.filenames import safe_name
from gateway.rules.media_types import media_type
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from storage.errors import BlobTooLarge, StoreDamaged
from storage.file_values import BlobRow, NewFile
from storage.ports import BlobStore, FileDraft
from storage.values import Act

PENDING_RETRY_MS: Final = 1000
"""When to ask again for a file that is being fetched: most take less than a second."""


class BlobReader:
    """Files by their ids, for the dispatcher."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def __call__(self, org_id: str, blob_id: str) -> OutboundFile:
        """The file. Raises Permanent when there is none (any more), StoreUnavailable."""
        try:
            blob = await self._blobs.get(org_id, blob_id)
        except Fault as fault:
            raise Permanent("the file was deleted") from fault
        if blob.sha256 is None:
            raise Permanent(f"the file is {blob.state}")
        try:
            return OutboundFile(blob.name, blob.media_type, await self._blobs.read(blob.sha256))
        except StoreDamaged as error:
            raise Permanent("the file cannot be read") from error


@dataclass(frozen=True, slots=True)
class Served:
    """A file to serve."""

    blob: BlobRow
    sha256: str
    path: Path


class Uploads:
    """What clients do with files."""

    def __init__(self, blobs: BlobStore, clock: Clock, *, limit_bytes: int) -> None:
        self._blobs = blobs
        self._clock = clock
        self.limit_bytes = limit_bytes

    async def begin(self) -> FileDraft:
        """Begin to take an upload. Raises StoreUnavailable."""
        return await self._blobs.begin(self.limit_bytes)

    async def add(self, draft: FileDraft, chunk: bytes) -> None:
        """The next bytes. Raises Fault too_large, StoreUnavailable."""
        try:
            await draft.add(chunk)
        except BlobTooLarge as error:
            raise self.too_large() from error

    async def finish(self, act: Act, draft: FileDraft, name: str, claimed_type: str) -> RawJson:
        """Store it; returns a BlobResult. Raises Fault too_large and idempotency_conflict, StoreUnavailable."""
        try:
            await draft.complete()
        except BlobTooLarge as error:
            raise self.too_large() from error
        kind = media_type(draft.head, claimed_type)
        new = NewFile(self._clock.new_id(IdPrefix.BLOB), safe_name(name), kind)
        return await self._blobs.upload(act, new, draft)

    async def find(self, org_id: str, blob_id: str) -> Served:
        """A file that is here. Raises Fault not_found, and invalid_state while it is not, or never will be."""
        blob = await self._blobs.get(org_id, blob_id)
        if blob.state == "pending":
            raise Fault(
                ErrorKind.INVALID_STATE,
                "The file is being fetched",
                hint="Ask again in a moment",
                state=blob.state,
                retry_after_ms=PENDING_RETRY_MS,
            )
        if blob.sha256 is None:
            raise Fault(
                ErrorKind.INVALID_STATE, f"There is no such file: {blob.error or 'lost'}", state=blob.state
            )
        return Served(blob, blob.sha256, await self._blobs.locate(blob.sha256))

    def too_large(self) -> Fault:
        """The refusal of a file with too many bytes."""
        return Fault(
            ErrorKind.TOO_LARGE,
            f"A file has at most {self.limit_bytes} bytes",
            hint="The operator sets limits.blob_bytes",
            limit_bytes=self.limit_bytes,
        )
