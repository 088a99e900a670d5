"""The store's content: sound pages, a schema we know, an unbroken audit log."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from channels.secrets import SecretUnavailable
from gateway import audit_key, checkpoint_file
from gateway.doctor.findings import Finding, error, ok, warning
from storage.audit_inspection import inspect_store
from storage.errors import StoreError
from storage.files import DATABASE_NAME, check_integrity
from storage.inspection import Inspection, inspect

FUTURE_MS: Final = 60_000
"""An event this far ahead of the clock was not written by a clock that is right now."""
FIXED_SQLITE: Final = (3, 51, 3)
"""The release that fixed a corruption after a WAL reset; it takes two writers, and we have one."""


def check_store(data_dir: Path, signing_key: Path | None = None) -> Iterator[Finding]:
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
            yield _audit(data_dir, audit_key.path_of(signing_key, data_dir))
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


def _audit(data_dir: Path, key: Path) -> Finding:
    """The whole log against the checkpoints and the key that are on this machine."""
    try:
        path = checkpoint_file.beside(data_dir)
        notes = checkpoint_file.read(path)[0] if path.exists() else []
        keys = list(audit_key.load(key).verifiers) if key.exists() else []
    except (OSError, SecretUnavailable) as refused:
        return warning(
            "audit", f"The audit log cannot be checked: {refused}", "Make the file readable, or put it back."
        )
    report = inspect_store(data_dir, notes, keys)
    if report.broken is not None:
        return error(
            "audit",
            report.broken.reason,
            "Somebody changed the store by other means. Keep a copy, and compare it with a backup.",
        )
    if report.lost:
        return warning(
            "audit",
            f"Unbroken, but entries up to {report.lost[-1].size} were lost when the store was restored",
            "threadgate audit verify says what; nothing brings them back.",
        )
    return ok(
        "audit", f"{report.place.seq} audit entries, unbroken; {report.sealed} under signed checkpoints"
    )
