"""`GET /v1/audit/export?format=ndjson|csv|ocsf&…`: the audit log, streamed, with the filters of `audit.list`."""

from typing import Final

from aiohttp import web

from gateway.edge.authentication import Caller
from gateway.edge.exporting import stream
from gateway.edge.handlers.operations import filter_of
from gateway.edge.websocket import EdgeContext
from gateway.rules.scopes import require
from gateway.services.audit_export import AuditExports, Format
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.methods import validated
from protocol.requests import AuditListParams
from protocol.scopes import Scope

FORMATS: Final[dict[str, tuple[Format, str, str]]] = {
    "ndjson": ("ndjson", "application/x-ndjson", "audit.ndjson"),
    "csv": ("csv", "text/csv", "audit.csv"),
    "ocsf": ("ocsf", "application/x-ndjson", "audit.ocsf.ndjson"),
}
FILTERS: Final = ("actor", "action", "entity", "outcome", "via", "since", "until")
EXPORTS_AT_ONCE: Final = 4
"""Each reads the whole log."""
BUSY_RETRY_MS: Final = 5000


class AuditExportEdge:
    """The route."""

    def __init__(self, context: EdgeContext, exports: AuditExports) -> None:
        self._context = context
        self._exports = exports
        self._under_way = 0

    async def serve(self, caller: Caller, request: web.Request) -> web.StreamResponse:
        """Stream the export. Raises Fault before the first byte; after it, the connection ends in the middle."""
        self._context.dispatcher.take(caller)
        require(caller.scopes, Scope.AUDIT_EXPORT)
        form, media_type, name = _format(request.query.get("format", "ndjson"))
        asked = {key: request.query[key] for key in FILTERS if key in request.query}
        wanted = filter_of(validated(AuditListParams, asked))
        if self._under_way >= EXPORTS_AT_ONCE:
            raise Fault(ErrorKind.UNAVAILABLE, "Too many exports at once", retry_after_ms=BUSY_RETRY_MS)
        self._under_way += 1
        try:
            pieces = await self._exports.begin(caller.act(self._context.clock.now_ms()), form, wanted)
            return await stream(request, pieces, media_type, name)
        finally:
            self._under_way -= 1


def _format(given: str) -> tuple[Format, str, str]:
    if given not in FORMATS:
        raise invalid_params([{"path": "format", "message": f"It is one of {', '.join(FORMATS)}"}])
    return FORMATS[given]
