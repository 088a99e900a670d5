"""The files of a data directory: its lock, its connections, and looks at it from outside.

What runs on the connections while the gateway lives is in `engine.py`.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.errors import StoreDamaged, StoreError, StoreLocked, StoreUnavailable

DATABASE_NAME: Final = "threadgate.db"
LOCK_NAME: Final = "lock"
CHECKPOINT_PAGES: Final = 4000
"""Pages (4 KiB each) in the WAL before the writer moves them into the database: 16 MiB."""
STATEMENTS: Final = 256
"""Prepared statements kept per connection: more than the product has."""
CACHE_KIB: Final = 8 * 1024
"""Page cache per connection."""
_DISK_ERRORS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
    }
)
"""Primary result codes that speak of the disk and not of the file's content (sqlite.org/rescode.html)."""
BUSY_TIMEOUT_S: Final = 5.0
"""Only a backup tool could hold the file: wait this long for it."""


def open_snapshot(directory: Path) -> sqlite3.Connection:
    """A read-only connection for offline tools (`doctor`, `audit verify`); works beside a running gateway.

    Raises StoreDamaged when there is no readable store.
    """
    path = directory / DATABASE_NAME
    if not path.exists():
        raise StoreDamaged(f"There is no store at {path}")
    connection = None
    try:
        connection = connect(path, query_only=True)
        connection.execute("SELECT 1 FROM store")  # opening alone reads nothing
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        raise StoreDamaged(f"{path} cannot be read: {error}") from error
    # Text that somebody damaged must not stop the reader that is to find it.
    connection.text_factory = _lenient_text
    return connection


def _lenient_text(raw: bytes) -> str:
    return raw.decode(errors="replace")


@contextmanager
def snapshot(directory: Path) -> Iterator[sqlite3.Connection]:
    """Read a store offline, or beside a running gateway. Raises StoreDamaged for whatever cannot be read."""
    connection = open_snapshot(directory)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{directory / DATABASE_NAME} cannot be read: {error}") from error
    finally:
        connection.close()


def check_integrity(directory: Path) -> list[str]:
    """SQLite's own quick check: an empty list when the file is sound, else its findings."""
    connection = open_snapshot(directory)
    try:
        findings = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
    except sqlite3.DatabaseError as error:
        findings = [str(error)]
    finally:
        connection.close()
    return [] if findings == ["ok"] else findings


def is_locked(directory: Path) -> bool:
    """Whether a process (the gateway, usually) owns the data directory right now."""
    try:
        os.close(lock(directory))
    except StoreLocked:
        return True
    return False


def refusal_to_open(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    """A disk that is full, read-only or failing is not a damaged file: nothing must be restored for it."""
    if error.sqlite_errorcode & 0xFF in _DISK_ERRORS:
        return StoreUnavailable(f"{path} cannot be written: {error}. Make room, or check the disk.")
    return StoreDamaged(f"{path} cannot be opened: {error}. Restore it from a backup.")


def connect(path: Path, *, query_only: bool = False) -> sqlite3.Connection:
    """A connection set up as ours are: explicit transactions, WAL with every commit synced, or reading only."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are ours, explicit
        check_same_thread=False,  # made on the loop's thread, then used by one other thread alone
        cached_statements=STATEMENTS,
    )
    connection.row_factory = sqlite3.Row
    if query_only:
        connection.execute("PRAGMA query_only=ON")
    else:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return connection


def lock(directory: Path) -> int:
    """Make the directory if need be and take its lock; closing the descriptor gives it back. Raises StoreLocked."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreLocked(
            f"Another threadgate already uses {directory}. Stop it, or choose another --data-dir."
        ) from None
    return descriptor
