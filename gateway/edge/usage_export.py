"""`GET /v1/usage/export?format=csv|ndjson&from=&to=`: usage in its finest groups, streamed as it is read."""

from collections.abc import AsyncIterator
from typing import Final

import orjson
from aiohttp import web

from gateway.edge.authentication import Caller
from gateway.edge.websocket import EdgeContext
from gateway.rules.csv_cells import csv_line
from gateway.rules.scopes import require
from protocol.errors import invalid_params
from protocol.methods import validated
from protocol.scopes import Scope
from protocol.usage import UsageGetParams, UsageGroup

FORMATS: Final = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
FINEST: Final = ("day", "agent", "person", "room", "token", "model")
_NUMBERS: Final = ("runs", "input_tokens", "output_tokens", "cost_microusd")
LINES_AT_ONCE: Final = 500
"""Lines written together: some 50 KiB."""


async def serve(context: EdgeContext, request: web.Request, caller: Caller) -> web.StreamResponse:
    """Stream the export. Raises Fault before the first byte."""
    context.dispatcher.take(caller)
    require(caller.scopes, Scope.USAGE_READ)
    form = request.query.get("format", "csv")
    if form not in FORMATS:
        raise invalid_params([{"path": "format", "message": f"It is one of {', '.join(FORMATS)}"}])
    tag = request.query.get("tag")
    by = [*FINEST, *([f"tag:{tag}"] if tag else [])]
    asked = {key: request.query[key] for key in ("from", "to", "thread_id") if key in request.query}
    groups = context.usage.all(caller.bearer.org_id, validated(UsageGetParams, {**asked, "by": by}))
    columns = (*FINEST, *(["tag"] if tag else []), *_NUMBERS)
    first = await anext(groups, None)  # what is wrong with the question is answered as a problem
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{FORMATS[form]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="usage.{form}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    lines = [csv_line(columns)] if form == "csv" else []
    redactor = context.redactors.of_export(caller.bearer.org_id)
    async for group in _from(first, groups):
        values = {column: getattr(group, column) for column in columns}
        if redactor is not None:
            values = redactor.json(values)
        lines.append(csv_line(values.values()) if form == "csv" else orjson.dumps(values).decode() + "\n")
        if len(lines) >= LINES_AT_ONCE:
            await response.write("".join(lines).encode())
            lines = []
    await response.write("".join(lines).encode())
    await response.write_eof()
    return response


async def _from(first: UsageGroup | None, rest: AsyncIterator[UsageGroup]) -> AsyncIterator[UsageGroup]:
    if first is not None:
        yield first
    async for group in rest:
        yield group
