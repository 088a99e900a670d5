"""Entries of the audit log as they leave the gateway: verbatim lines, events of OCSF, rows of CSV.

A verbatim line is the sealed text itself; it holds ids and commitments, no personal data, and is never masked, or it
would not verify. The other formats are masked as the settings want it.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.rules import ocsf
from gateway.rules.csv_cells import csv_line
from gateway.rules.redaction import Redactor

RedactorOf = Callable[[str], Redactor | None]
"""The redactor of an organization's exports; None leaves them as they are."""
COLUMNS: Final = (
    "seq", "at", "org_id", "actor_kind", "actor_id", "token_id", "via", "action", "outcome", "reason", "subject",
    "detail", "hash",
)  # fmt: skip


class AuditLines:
    """Writes entries in the formats of exports and sinks."""

    def __init__(self, version: str, redactor_of: RedactorOf) -> None:
        self._version = version
        self._redactor_of = redactor_of

    def verbatim(self, body: str) -> bytes:
        """The sealed text, a line."""
        return body.encode() + b"\n"

    def withheld(self, seq: int, entry_hash: str) -> bytes:
        """What stands in place of an entry that is not shown: chain and tree verify over it."""
        return orjson.dumps({"leaf": entry_hash, "seq": seq}) + b"\n"

    def event(self, body: str, entry_hash: str) -> bytes:
        """An OCSF event, a line."""
        return orjson.dumps(ocsf.event(self._masked(body), entry_hash, self._version)) + b"\n"

    def heading(self) -> bytes:
        """The first line of CSV."""
        return csv_line(COLUMNS).encode()

    def row(self, body: str, entry_hash: str) -> bytes:
        """A line of CSV."""
        entry = self._masked(body)
        actor = entry["actor"]
        cells = (
            entry["seq"],
            entry["at"],
            entry["org_id"],
            actor["kind"],
            actor["id"],
            actor.get("token_id"),
            entry["via"],
            entry["action"],
            entry["outcome"],
            entry.get("reason"),
            _compact(entry["subject"]),
            _compact(entry["detail"]),
            entry_hash,
        )
        return csv_line(cells).encode()

    def _masked(self, body: str) -> dict[str, Any]:
        entry: dict[str, Any] = orjson.loads(body)
        redactor = self._redactor_of(entry["org_id"])
        if redactor is not None:
            for name in ("detail", "reason"):
                if name in entry:
                    entry[name] = redactor.json(entry[name])
        return entry


def _compact(value: object) -> str:
    return orjson.dumps(value).decode() if value else ""
