"""The configured sinks and anchors of the audit log, as outlets with their targets."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from gateway.clock import Clock
from gateway.governance_settings import AnchorSettings, SinkSettings
from gateway.services.audit_lines import AuditLines
from gateway.services.audit_outlets import Fetch, Outlet
from gateway.services.audit_targets import (
    AnchorFileTarget,
    FileTarget,
    HttpTarget,
    Item,
    SyslogTarget,
    Target,
    own_hostname,
    syslog_message,
)
from storage.audit_ports import TrailStore
from storage.audit_values import TrailLine

BATCH: Final = 200
"""Entries sent together: some 100 KiB, and as much at most comes again after a crash."""
EVERYTHING: Final = 1 << 53
ANCHOR_LAG_MAX: Final = 100_000
"""Entries under checkpoints that an anchor has not got, before the gateway says so."""
NDJSON: Final = "application/x-ndjson"
NOTE: Final = "text/plain; charset=utf-8"

SecretOf = Callable[[SecretStr], str]


def outlets_of(
    sinks: Sequence[SinkSettings],
    anchors: Sequence[AnchorSettings],
    trail: TrailStore,
    lines: AuditLines,
    clock: Clock,
    secret: SecretOf,
    directory: Path,
) -> tuple[list[Outlet], list[Outlet]]:
    """Sinks and anchors of a configuration. `secret` resolves a reference and may raise.

    Relative paths begin in `directory`.
    """
    made = [
        Outlet(
            f"sink:{one.name}",
            one.name,
            _entries(trail, one, lines),
            _sink_target(one, secret, directory),
            trail,
            clock,
            one.spool_max,
        )
        for one in sinks
    ]
    anchored = [
        Outlet(
            f"anchor:{_digest(str(one.path or one.url))}",
            f"anchor {number}",
            _notes(trail),
            AnchorFileTarget(directory / one.path)
            if one.path is not None
            else HttpTarget(str(one.url), NOTE, {}),
            trail,
            clock,
            ANCHOR_LAG_MAX,
        )
        for number, one in enumerate(anchors, start=1)
    ]
    return made, anchored


def _sink_target(sink: SinkSettings, secret: SecretOf, directory: Path) -> Target:
    if sink.kind == "file":
        assert sink.path is not None, "checked by the settings"
        return FileTarget(directory / sink.path)
    if sink.kind == "syslog":
        host, _, port = str(sink.address).rpartition(":")
        return SyslogTarget(host, int(port), tls=sink.tls)
    headers = {name: secret(value) for name, value in sink.headers.items()}
    return HttpTarget(str(sink.url), NDJSON, headers)


def _entries(trail: TrailStore, sink: SinkSettings, lines: AuditLines) -> Fetch:
    hostname = own_hostname()

    def written(line: TrailLine) -> Item:
        text = lines.event(line.body, line.hash) if sink.format == "ocsf" else lines.verbatim(line.body)
        if sink.kind == "syslog":
            text = syslog_message(line.body, text.rstrip(b"\n"), hostname)
        return Item(line.seq, text)

    async def fetch(after: int) -> Sequence[Item]:
        page = await trail.lines(after, EVERYTHING, BATCH)
        # Away from the loop: masking and writing two hundred events takes longer than others should wait.
        return await asyncio.to_thread(lambda: [written(line) for line in page])

    return fetch


def _notes(trail: TrailStore) -> Fetch:
    async def fetch(after: int) -> Sequence[Item]:
        return [Item(one.size, one.note.encode()) for one in await trail.notes(after, EVERYTHING, 1)]

    return fetch


def _digest(target: str) -> str:
    """An address may hold a secret: the place is kept under its hash."""
    return hashlib.sha256(target.encode()).hexdigest()[:16]
