"""The file that checkpoints of the audit log are appended to, one note after the other, an empty line behind each.

What is in it was published: the log must never contradict it. All functions block; the file is never rewritten.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from storage.audit_notes import Note, Verifier, notes_of

FILE_NAME: Final = "audit.checkpoints"
TAIL_BYTES: Final = 64 * 1024
"""Read from the end to find the last note: some hundred of them."""


def beside(directory: Path) -> Path:
    """The file of a data directory."""
    return directory / FILE_NAME


def append(path: Path, note: str) -> None:
    """Add a note, on the disk when this returns. What a crash cut off before it is closed by an empty line.

    Raises OSError.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2))
        gap = "" if size == 0 or file.read(2) == b"\n\n" else "\n\n"
        file.write(f"{gap}{note}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def last(path: Path, keys: Iterable[Verifier]) -> Note | None:
    """The last note that one of the keys signed; None when there is none, or no file. Raises OSError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            content = file.read().decode(errors="replace")
    except FileNotFoundError:
        return None
    known = tuple(keys)
    return next((note for note in reversed(notes_of(content)[0]) if note.signed_by(known)), None)


def read(path: Path) -> tuple[list[Note], int]:
    """All notes of a file, and how many places in it are no note. Raises OSError."""
    return notes_of(path.read_text(errors="replace"))
