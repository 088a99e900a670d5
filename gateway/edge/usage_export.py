"""`GET /v1/usage/export?format=csv|ndjson&from=&to=&tag=`: usage in its finest groups, streamed as it is read."""

from typing import Final

from aiohttp import web

from gateway.edge.authentication import Caller
from gateway.edge.exporting import stream
from gateway.edge.websocket import EdgeContext
from gateway.rules.scopes import require
from gateway.services.usage_export import FINEST, Format, UsageExports
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.methods import validated
from protocol.scopes import Scope
from protocol.usage import TAG, UsageGetParams

FORMATS: Final[dict[str, tuple[Format, str]]] = {
    "csv": ("csv", "text/csv"),
    "ndjson": ("ndjson", "application/x-ndjson"),
}
ASKED: Final = ("from", "to", "thread_id")
EXPORTS_AT_ONCE: Final = 4
"""Each reads a long time."""
BUSY_RETRY_MS: Final = 5000


class UsageExportEdge:
    """The route."""

    def __init__(self, context: EdgeContext, exports: UsageExports) -> None:
        self._context = context
        self._exports = exports
        self._under_way = 0

    async def serve(self, caller: Caller, request: web.Request) -> web.StreamResponse:
        """Stream the export. Raises Fault before the first byte; after it, the connection ends in the middle."""
        self._context.dispatcher.take(caller)
        require(caller.scopes, Scope.USAGE_READ)
        found = FORMATS.get(request.query.get("format", "csv"))
        if found is None:
            raise invalid_params([{"path": "format", "message": f"It is one of {', '.join(FORMATS)}"}])
        form, media_type = found
        tag = request.query.get("tag")
        by = [*FINEST, *([f"{TAG}{tag}"] if tag else [])]
        asked = {key: request.query[key] for key in ASKED if key in request.query}
        params = validated(UsageGetParams, {**asked, "by": by})
        if self._under_way >= EXPORTS_AT_ONCE:
            raise Fault(ErrorKind.UNAVAILABLE, "Too many exports at once", retry_after_ms=BUSY_RETRY_MS)
        self._under_way += 1
        try:
            pieces = await self._exports.begin(caller.act(self._context.clock.now_ms()), form, params)
            return await stream(request, pieces, media_type, f"usage.{form}")
        finally:
            self._under_way -= 1
