"""Verifying the audit log of a data directory or of an export, reading only; works beside a running gateway.

Where entries come from; what is checked is `audit_verify.py`. The form of an export is in docs/audit.md.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import orjson

from protocol.instants import to_instant
from storage.audit_chain import Break, Sealed, leaf_hash
from storage.audit_content import address_place, content_place
from storage.audit_entry import commitment
from storage.audit_notes import Note, NoteError, Verifier
from storage.audit_ports import Sealer
from storage.audit_verify import Report, Verification, Withheld
from storage.engine import Row
from storage.errors import ContentUnreadable, StoreDamaged
from storage.files import snapshot
from storage.queries import Queries

_SQL = Queries("audit_inspection")

EXPORT_VERSION: Final = 1
_CHECKPOINT_LINE: Final = b'{"checkpoint":'


def _quiet(count: int) -> None:
    """Nobody watches."""


def inspect_store(
    directory: Path,
    notes: Iterable[Note] = (),
    keys: Iterable[Verifier] = (),
    sealer: Sealer | None = None,
    progress: Callable[[int], None] = _quiet,
) -> Report:
    """Verify a store against its own checkpoints and these, and with a sealer also what entries commit to.

    Raises StoreDamaged when there is no readable store.
    """
    with snapshot(directory) as connection:
        row = connection.execute(_SQL.log).fetchone()
        if row is None:
            raise StoreDamaged(f"The store in {directory} was made, but never started")
        own, damaged = _own_notes(connection.execute(_SQL.checkpoints))
        # The store may have grown since the file was read, not the other way round: notes come first.
        verification = Verification(row["audit_log_id"], [*own, *notes], keys)
        entries = connection.execute(_SQL.entries)
        entries.row_factory = None  # plain tuples: a million of them
        report = verification.run(_entries(entries), progress)
        report.broken = report.broken or damaged
        if sealer is not None and report.broken is None:
            contents, broken = _check_contents(connection.execute(_SQL.contents), sealer)
            addresses, other = _check_addresses(connection.execute(_SQL.addresses), sealer, report.place.seq)
            report.contents, report.broken = contents + addresses, broken or other
        return report


def _entries(rows: Iterable[Row]) -> Iterator[Sealed]:
    for seq, org_id, at, action, body, stored_hash in rows:
        columns = {"org_id": org_id, "action": action}
        if isinstance(at, int):
            columns["at"] = to_instant(at)
        # As bytes from the database: they are damaged text as well as any, and quicker than a callback for each.
        yield Sealed(seq, body.decode(errors="replace"), stored_hash.decode(errors="replace"), columns)


def _own_notes(rows: Iterable[Row]) -> tuple[list[Note], Break | None]:
    """The store's own checkpoints; the first row that says something else than its note."""
    notes, damaged = [], None
    for row in rows:
        try:
            note = Note.parse(row["note"])
        except NoteError as error:
            damaged = damaged or Break(
                row["size"], f"the checkpoint over {row['size']} entries was changed: {error}"
            )
            continue
        if (note.checkpoint.size, note.checkpoint.root.hex()) != (row["size"], row["root"]):
            damaged = damaged or Break(row["size"], f"the checkpoint over {row['size']} entries was changed")
        notes.append(note)
    return notes, damaged


def _check_contents(rows: Iterable[Row], sealer: Sealer) -> tuple[int, Break | None]:
    count = 0
    for row in rows:
        seq = row["seq"]
        committed = orjson.loads(row["body"]).get("content") if row["body"] is not None else None
        if not _is_committed(sealer, row, content_place(row["org_id"], seq), committed):
            return count, Break(seq, f"the content of entry {seq} is not what the entry commits to")
        count += 1
    return count, None


def _check_addresses(rows: Iterable[Row], sealer: Sealer, last: int) -> tuple[int, Break | None]:
    count = 0
    for row in rows:
        bound_to = address_place(row["org_id"], row["subject"])
        if not _is_committed(sealer, row, bound_to, row["commitment"]):
            return count, Break(last, f"an address of {row['subject']} is not what its entries commit to")
        count += 1
    return count, None


def _is_committed(sealer: Sealer, row: Row, bound_to: bytes, committed: str | None) -> bool:
    try:
        return commitment(sealer.open(row["wrapped"], row["sealed"], bound_to)) == committed
    except ContentUnreadable:
        return False


# --- exports ----------------------------------------------------------------------------------------


class ExportError(ValueError):
    """A file is no export of an audit log; says why and where."""


def inspect_export(
    path: Path,
    notes: Iterable[Note] = (),
    keys: Iterable[Verifier] = (),
    progress: Callable[[int], None] = _quiet,
) -> Report:
    """Verify an export. Reads it twice: checkpoints stand at its end. Raises ExportError and OSError."""
    with path.open("rb") as file:
        log_id, own = _header(file), list(_export_notes(file))
    with path.open("rb") as file:
        return Verification(log_id, [*own, *notes], keys).run(_export_entries(file), progress)


def _header(file: IO[bytes]) -> str:
    said = _parsed(file.readline(), 1).get("export")
    if (
        not isinstance(said, dict)
        or said.get("v") != EXPORT_VERSION
        or not isinstance(said.get("log_id"), str)
    ):
        raise ExportError('an export begins with a line {"export":{"v":1,"log_id":…}}')
    log_id: str = said["log_id"]
    return log_id


def _export_notes(file: IO[bytes]) -> Iterator[Note]:
    for number, line in enumerate(file, 2):
        if line.startswith(_CHECKPOINT_LINE):
            try:
                yield Note.parse(_parsed(line, number)["checkpoint"])
            except (NoteError, TypeError) as error:
                raise ExportError(f"line {number}: {error}") from None


def _export_entries(file: IO[bytes]) -> Iterator[Sealed | Withheld]:
    """What stands in the file; a line that is no entry is one that was changed, and verifying says so."""
    file.readline()
    expected = 0
    for line in file:
        if line.startswith(_CHECKPOINT_LINE):
            continue
        expected += 1
        body = line.rstrip(b"\r\n")
        said = _said(body)
        seq = said.get("seq")
        if "leaf" in said and isinstance(seq, int) and _is_hash(said["leaf"]):
            yield Withheld(seq, said["leaf"])
        else:
            yield Sealed(
                seq if isinstance(seq, int) else expected, body.decode(errors="replace"), leaf_hash(body)
            )


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ExportError(f"line {number} is not JSON") from None
    if not isinstance(said, dict):
        raise ExportError(f"line {number} is not an object")
    return said
