"""Schema migrations: numbered SQL files, forward only, each applied in one transaction and remembered.

A store that a newer version migrated is refused: an old binary must not write into a schema it does not know.
"""

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from storage.errors import StoreDamaged, StoreTooNew

_FILE: Final = re.compile(r"^(\d{4})_(\w+)\.sql$")
_REGISTER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, to notice that a released step was changed afterwards."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def load() -> tuple[Migration, ...]:
    """All steps in order; their numbers run from 1 without a gap."""
    steps = []
    for file in resources.files("storage").joinpath("migrations").iterdir():
        if match := _FILE.match(file.name):
            steps.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    steps.sort(key=lambda step: step.version)
    if [step.version for step in steps] != list(range(1, len(steps) + 1)):
        raise RuntimeError("migration numbers must run from 0001 without a gap")
    return tuple(steps)


def current(connection: sqlite3.Connection) -> int:
    """The version of the store; 0 for an empty file."""
    connection.execute(_REGISTER)
    version: int = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()[0]
    return version


def apply(connection: sqlite3.Connection, *, now_ms: int, upto: int | None = None) -> int:
    """Bring the schema up to date (or to `upto`, for tests); return its version.

    Each step is one transaction: a crash leaves the store at a version, never between two. Raises StoreTooNew
    and StoreDamaged.
    """
    steps = load()
    version = current(connection)
    if version > len(steps):
        raise StoreTooNew(
            f"The store has schema {version}, this threadgate knows {len(steps)}: it was used by a newer version. "
            "Start that version, or restore a backup made before the upgrade."
        )
    for known, (checksum,) in zip(
        steps, connection.execute("SELECT checksum FROM schema_migrations"), strict=False
    ):
        if checksum != known.checksum:
            raise StoreDamaged(
                f"Schema step {known.version} ({known.name}) differs from the one that was applied"
            )
    for step in steps[version : upto if upto is not None else len(steps)]:
        _apply_step(connection, step, now_ms)
        version = step.version
    return version


def _apply_step(connection: sqlite3.Connection, step: Migration, now_ms: int) -> None:
    # executescript() would commit a pending transaction first, so the transaction is part of the script.
    values = f"{step.version}, '{step.name}', '{step.checksum}', {int(now_ms)}"
    register = f"INSERT INTO schema_migrations VALUES ({values});"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{step.sql}\n{register}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
