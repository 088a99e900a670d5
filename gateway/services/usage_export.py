"""Exports of usage: its finest groups, written as they are read.

An export is a privileged act: its entry is committed before the first byte leaves.
"""

from collections.abc import AsyncIterator
from typing import Final, Literal

import orjson

from gateway.rules.csv_cells import csv_line
from gateway.services.redactors import Redactors
from gateway.services.usage import UsageView
from protocol.usage import TAG, UsageGetParams
from storage.audit_ports import AuditStore
from storage.values import Act

Format = Literal["ndjson", "csv"]
ACTION: Final = "usage.export"
FINEST: Final = ("day", "agent", "person", "room", "token", "model")
NUMBERS: Final = ("runs", "input_tokens", "output_tokens", "cost_microusd")
LINES_AT_ONCE: Final = 500
"""Lines written together: some 50 KiB."""


class UsageExports:
    """Use case of whoever pays."""

    def __init__(self, usage: UsageView, audit: AuditStore, redactors: Redactors) -> None:
        self._usage = usage
        self._audit = audit
        self._redactors = redactors

    async def begin(self, act: Act, form: Format, params: UsageGetParams) -> AsyncIterator[bytes]:
        """Record the act; the export in pieces, with one cost tag where `params.by` names it. Raises Fault."""
        columns = (*FINEST, *(["tag"] if any(one.startswith(TAG) for one in params.by) else []), *NUMBERS)
        groups = self._usage.all(act.org_id, params)
        detail = {"format": form, "from": params.from_, "to": params.to}
        await self._audit.record(
            act, ACTION, {}, "success", {key: value for key, value in detail.items() if value}
        )
        redactor = self._redactors.of_export(act.org_id)

        async def pieces() -> AsyncIterator[bytes]:
            lines = [csv_line(columns)] if form == "csv" else []
            async for group in groups:
                values = {column: getattr(group, column) for column in columns}
                if redactor is not None:
                    values = redactor.json(values)
                lines.append(
                    csv_line(values.values()) if form == "csv" else orjson.dumps(values).decode() + "\n"
                )
                if len(lines) >= LINES_AT_ONCE:
                    yield "".join(lines).encode()
                    lines = []
            yield "".join(lines).encode()

        return pieces()
