"""Exports of the audit log: all of it or what fits a filter, written as it is read, whatever its length.

An export is a privileged act: its entry is committed before the first byte leaves, and is part of the export.
"""

from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import orjson

from gateway.services.audit_checkpoints import Checkpointing
from gateway.services.audit_lines import AuditLines
from storage.audit_notes import Note, base_of
from storage.audit_ports import AuditStore, CheckpointStore, TrailStore
from storage.audit_values import AuditFilter
from storage.values import Act

Format = Literal["ndjson", "csv", "ocsf"]
ACTION: Final = "audit.export"
ABOUT_THE_LOG: Final = frozenset({"audit.epoch", "key.rotated"})
EXPORT_VERSION: Final = 1
PAGE: Final = 500
"""Entries read, and written, at once: some 300 KiB."""
FIRST_SEQ: Final = 1
"""An export that is verified begins with the first entry, or its tree could not be made again."""


class AuditExports:
    """Use case of auditors."""

    def __init__(
        self,
        audit: AuditStore,
        trail: TrailStore,
        log: CheckpointStore,
        checkpoints: Checkpointing,
        lines: AuditLines,
    ) -> None:
        self._audit = audit
        self._trail = trail
        self._log = log
        self._checkpoints = checkpoints
        self._lines = lines

    async def begin(self, act: Act, form: Format, wanted: AuditFilter) -> AsyncIterator[bytes]:
        """Record the act; the export in pieces. Raises Fault and StoreError, also while it is read."""
        asked: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.names}
        detail = {"format": form, "filters": wanted.names}
        await self._audit.record(act, ACTION, {}, "success", detail, content=asked or None)
        if form == "ndjson":
            return self._verbatim(act.org_id, wanted)
        return self._flat(act.org_id, form, wanted, (await self._log.head()).size)

    async def _verbatim(self, org_id: str, wanted: AuditFilter) -> AsyncIterator[bytes]:
        made = await self._checkpoints.make()
        head, origin = await self._log.head(), base_of(Note.parse(made.note).checkpoint.origin)
        yield _json_line(
            {"export": {"v": EXPORT_VERSION, "log_id": head.log_id, "origin": origin, "first_seq": FIRST_SEQ}}
        )
        fitting = self._fitting(org_id, wanted, made.size) if wanted.names else None
        next_fitting = await anext(fitting, None) if fitting is not None else None
        after = 0
        while page := await self._trail.lines(after, made.size, PAGE):
            piece = []
            for line in page:
                is_shown = line.org_id == org_id
                if fitting is not None:
                    is_shown = next_fitting == line.seq
                    if is_shown:
                        next_fitting = await anext(fitting, None)
                is_shown = is_shown or _is_about_the_log(line.body)
                shown = self._lines.verbatim(line.body) if is_shown else None
                piece.append(shown or self._lines.withheld(line.seq, line.hash))
            yield b"".join(piece)
            after = page[-1].seq
        size = 0
        while notes := await self._trail.notes(size, made.size, PAGE):
            yield b"".join(_json_line({"checkpoint": one.note}) for one in notes)
            size = notes[-1].size

    async def _fitting(self, org_id: str, wanted: AuditFilter, last: int) -> AsyncIterator[int]:
        """The numbers of the entries that fit, in order."""
        after: str | None = "0"
        while after is not None:
            entries, after = await self._audit.find(org_id, wanted, int(after), PAGE)
            for entry in entries:
                if entry.seq <= last:
                    yield entry.seq

    async def _flat(self, org_id: str, form: Format, wanted: AuditFilter, last: int) -> AsyncIterator[bytes]:
        write = self._lines.row if form == "csv" else self._lines.event
        if form == "csv":
            yield self._lines.heading()
        after: str | None = "0"
        while after is not None:
            entries, after = await self._audit.find(org_id, wanted, int(after), PAGE)
            piece = b"".join(write(entry.body, entry.hash) for entry in entries if entry.seq <= last)
            if piece:
                yield piece
            if entries and entries[-1].seq >= last:
                return


def _is_about_the_log(body: str) -> bool:
    """Whether an entry says which checkpoints count: without it nobody could verify what follows, whoever they are."""
    if not any(action in body for action in ABOUT_THE_LOG):  # cheap, for nearly all entries
        return False
    return orjson.loads(body)["action"] in ABOUT_THE_LOG


def _json_line(value: object) -> bytes:
    return orjson.dumps(value) + b"\n"
