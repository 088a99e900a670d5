"""What can be said about a store from outside, without opening it for writing: for `doctor`."""

from dataclasses import dataclass
from pathlib import Path

from storage import migrations
from storage.files import snapshot


@dataclass(frozen=True, slots=True)
class Inspection:
    """A store at a glance. `newest_event_at_ms` is None while nothing happened."""

    schema_version: int
    schema_known: int
    newest_event_at_ms: int | None
    sqlite_version: tuple[int, ...]


def inspect(directory: Path) -> Inspection:
    """Look at the store of a data directory; works beside a running gateway. Raises StoreDamaged."""
    with snapshot(directory) as connection:
        (schema,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()
        newest = connection.execute("SELECT at FROM events ORDER BY log_offset DESC LIMIT 1").fetchone()
        (sqlite,) = connection.execute("SELECT sqlite_version()").fetchone()
    return Inspection(
        schema_version=schema,
        schema_known=len(migrations.load()),
        newest_event_at_ms=newest["at"] if newest is not None else None,
        sqlite_version=tuple(int(part) for part in sqlite.split(".")),
    )


def trail_positions(directory: Path) -> tuple[int, dict[str, int]]:
    """The newest audit entry, and up to where each sink and anchor was confirmed. Raises StoreDamaged."""
    with snapshot(directory) as connection:
        (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM audit_entries").fetchone()
        rows = connection.execute("SELECT name, position FROM audit_sinks").fetchall()
    return newest, {row["name"]: row["position"] for row in rows}
