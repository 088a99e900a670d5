"""The bytes of attachments: files under their SHA-256 beside the database, written whole or not at all.

Content-addressed: the same bytes are kept once, and a file's name says nothing about who sent it. Everything
here blocks; callers use a thread. Which blobs exist is in the database (`blobs.py`).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from storage.errors import BlobTooLarge, StoreDamaged, StoreUnavailable

DIRECTORY_NAME: Final = "blobs"
_UNFINISHED: Final = "unfinished-"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that are durable under their hash."""

    sha256: str
    size_bytes: int
    head: bytes
    """The first bytes, as many as telling the type takes."""


HEAD_BYTES: Final = 8 * 1024
"""What `Written.head` holds at most: the longest signature looked for is at byte 0x8001 of a CD image, and all
that matter here are within 4 KiB."""


class BlobWriter:
    """Takes the bytes of one blob. Use `add`, then `finish` once, or `abandon`."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Raises StoreUnavailable when the disk does not take it."""
        self._directory = directory / DIRECTORY_NAME
        self._limit = limit_bytes
        self._digest = hashlib.sha256()
        self._size = 0
        self._head = b""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._directory)
        except OSError as error:
            raise StoreUnavailable(f"attachments cannot be stored: {error.strerror}") from error
        self._path = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "wb")

    @property
    def head(self) -> bytes:
        """The first bytes so far, as many as telling the type takes."""
        return self._head

    def add(self, chunk: bytes) -> None:
        """The next bytes. Raises BlobTooLarge and StoreUnavailable; the writer is abandoned then."""
        self._size += len(chunk)
        if self._size > self._limit:
            self.abandon()
            raise BlobTooLarge(f"more than {self._limit} bytes")
        self._digest.update(chunk)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        try:
            self._file.write(chunk)
        except OSError as error:
            self.abandon()
            raise StoreUnavailable(f"attachments cannot be stored: {error.strerror}") from error

    def finish(self) -> Written:
        """Make them durable. Raises StoreUnavailable."""
        sha256 = self._digest.hexdigest()
        target = _place(self._directory, sha256)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            target.parent.mkdir(mode=0o700, exist_ok=True)
            self._path.replace(target)
            _sync_directory(target.parent)
            _sync_directory(self._directory)
        except OSError as error:
            self.abandon()
            raise StoreUnavailable(f"attachments cannot be stored: {error.strerror}") from error
        return Written(sha256, self._size, self._head)

    def abandon(self) -> None:
        """Forget them. Idempotent."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def write(directory: Path, data: bytes, limit_bytes: int) -> Written:
    """Store bytes that are in memory. Raises BlobTooLarge and StoreUnavailable."""
    writer = BlobWriter(directory, limit_bytes)
    writer.add(data)
    return writer.finish()


def read(directory: Path, sha256: str) -> bytes:
    """All bytes of a blob. Raises StoreDamaged when they are gone or are others."""
    path = path_of(directory, sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreDamaged(f"the attachment {sha256} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StoreDamaged(f"the attachment {sha256} was changed on the disk")
    return data


def path_of(directory: Path, sha256: str) -> Path:
    """Where the bytes are. Raises ValueError for what is no hash, so that no other file can be meant."""
    if not _DIGEST.fullmatch(sha256):
        raise ValueError("not a SHA-256")
    return _place(directory / DIRECTORY_NAME, sha256)


def remove(directory: Path, hashes: Iterable[str]) -> None:
    """Delete the bytes of blobs that nobody refers to any more; those gone already are fine."""
    for sha256 in hashes:
        path_of(directory, sha256).unlink(missing_ok=True)


def older_than(directory: Path, before_s: float) -> list[str]:
    """The hashes of all files that were written before an instant (seconds since 1970)."""
    return [
        path.name
        for path in (directory / DIRECTORY_NAME).glob("??/*")
        if _DIGEST.fullmatch(path.name) and path.stat().st_mtime < before_s
    ]


def sweep(directory: Path) -> int:
    """At start: delete what a crash left unfinished; returns how many files."""
    left = list((directory / DIRECTORY_NAME).glob(f"{_UNFINISHED}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _place(directory: Path, sha256: str) -> Path:
    return directory / sha256[:2] / sha256


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
