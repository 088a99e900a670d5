"""The store's content: sound pages, a schema we know, an unbroken audit log."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.doctor.findings import Finding, error, ok, warning
from storage.errors import StoreError
from storage.files import DATABASE_NAME, check_integrity
from storage.inspection import Inspection, inspect
from storage.store import verify_audit

FUTURE_MS: Final = 60_000
"""An event this far ahead of the clock was not written by a clock that is right now."""
FIXED_SQLITE: Final = (3, 51, 3)
"""The release that fixed a corruption after a WAL reset; it takes two writers, and we have one."""


def check_store(data_dir: Path) -> Iterator[Finding]:
    """Everything inside the database file."""
    if not (data_dir / DATABASE_NAME).exists():
        yield warning("store", "There is no store yet", "threadgate serve makes it at its first start.")
        return
    try:
        problems = check_integrity(data_dir)
        if problems:
            yield error("integrity", "; ".join(problems), "Restore the store from a backup.")
            return
        yield ok("integrity", "The pages of the store are sound")
        found = inspect(data_dir)
        yield from _inspected(found)
        if found.schema_version == found.schema_known:
            yield _audit(data_dir)
    except StoreError as broken:
        yield error("store", str(broken), "Restore the store from a backup.")


def _inspected(found: Inspection) -> Iterator[Finding]:
    if found.schema_version > found.schema_known:
        yield error(
            "schema",
            f"The store has schema {found.schema_version}, this threadgate knows {found.schema_known}",
            "Run the newer version that wrote it, or restore a backup made before the upgrade.",
        )
    elif found.schema_version < found.schema_known:
        yield ok("schema", f"Schema {found.schema_version}; the next start brings it to {found.schema_known}")
    else:
        yield ok("schema", f"Schema {found.schema_version}, the one this version writes")
    newest = found.newest_event_at_ms
    if newest is not None and newest > time.time() * 1000 + FUTURE_MS:
        at = datetime.fromtimestamp(newest / 1000, UTC)
        yield error(
            "clock", f"The newest event is from the future: {at:%Y-%m-%d %H:%M} UTC", "Set the clock."
        )
    version = ".".join(map(str, found.sqlite_version))
    if found.sqlite_version < FIXED_SQLITE:
        yield ok(
            "sqlite", f"SQLite {version}: its WAL-reset bug needs several writers, and there is only one"
        )
    else:
        yield ok("sqlite", f"SQLite {version}")


def _audit(data_dir: Path) -> Finding:
    place, broken = verify_audit(data_dir)
    if broken is not None:
        return error(
            "audit",
            broken.reason,
            "Somebody changed the store by other means. Keep a copy, and compare it with a backup.",
        )
    return ok("audit", f"{place.seq} audit entries, unbroken")
