"""The one port: routes, the checks every request passes, and the ordered end of all connections.

`Host` must be one of ours and `Origin`, when a browser sends it, on the allowlist: a page elsewhere must not
reach a gateway on loopback, by its address or by a name that points to it. The peer address grants nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from gateway.edge import http, sse, websocket
from gateway.edge.audit_export import AuditExportEdge
from gateway.edge.blobs import BlobEdge
from gateway.edge.dispatch import store_fault
from gateway.edge.usage_export import UsageExportEdge
from gateway.edge.websocket import EdgeContext
from gateway.metrics import CONTENT_TYPE
from gateway.settings import LOOPBACK, Settings
from protocol import limits, schema
from protocol.errors import CloseCode, ErrorKind, Fault, invalid_request, method_not_found
from protocol.ids import IdPrefix
from storage.errors import StoreUnavailable

log = structlog.get_logger()

DRAIN_BATCH: Final = 500
DRAIN_PAUSE_S: Final = 0.5
"""Connections told to go at once, and the pause after: 10,000 clients come back over ten seconds."""
RETRY_AFTER_S: Final = 2
"""When a client may expect the restarted gateway."""
_PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Answered under any Host: orchestrators ask by address."""
_SCHEMAS: Final = ("openapi", "asyncapi", "schema")
_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

Readiness = Callable[[], Awaitable[list[str]]]
"""What is not ready, in words; empty when everything is."""


class Server:
    """Listens on one port and serves everything on it."""

    def __init__(
        self,
        context: EdgeContext,
        settings: Settings,
        readiness: Readiness,
        degraded: Callable[[], list[str]],
    ) -> None:
        self.port = settings.port
        self._context = context
        self._settings = settings
        self._readiness = readiness
        self._degraded = degraded
        self._blobs = BlobEdge(context, context.uploads)
        self._audit_export = AuditExportEdge(context, context.audit_exports)
        self._usage_export = UsageExportEdge(context, context.usage_exports)
        self._is_draining = False
        self._hosts: frozenset[str] = frozenset()
        self._origins: frozenset[str] = frozenset()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        """Bind and serve. Raises OSError when the address is taken."""
        app = web.Application(client_max_size=self._settings.limits.frame_bytes, middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/ws", self._websocket)
        for name in _SCHEMAS:
            app.router.add_get(f"/v1/{name}.json", self._schema)
        app.router.add_get("/v1/threads/{thread_id}/events", self._events)
        app.router.add_post("/v1/blobs", self._upload)
        app.router.add_get("/v1/blobs/{blob_id}", self._download)
        app.router.add_get("/v1/audit/export", self._export_audit)
        app.router.add_get("/v1/usage/export", self._usage)
        app.router.add_post("/v1/{method}", self._call)
        for path in ("/hooks/{kind}/{account}", "/hooks/{kind}/{account}/{path:.*}"):
            app.router.add_get(path, self._hook, allow_head=False)
            app.router.add_post(path, self._hook)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=1024)
        await self._site.start()
        self.port = self._runner.addresses[0][1]
        self._hosts, self._origins = _names(self._settings, self.port)

    async def drain(self) -> None:
        """Refuse new upgrades, then tell every connection that the gateway restarts, in batches.

        Agent processes stay until `stop`: the runs they execute may still end.
        """
        self._is_draining = True
        sessions = tuple(session for session in self._context.sessions if not session.is_worker)
        for begin in range(0, len(sessions), DRAIN_BATCH):
            for session in sessions[begin : begin + DRAIN_BATCH]:
                session.close(CloseCode.RESTARTING, "the gateway is restarting", RETRY_AFTER_S * 1000)
            if begin + DRAIN_BATCH < len(sessions):
                await asyncio.sleep(DRAIN_PAUSE_S)

    async def stop(self) -> None:
        """Stop listening and end what is left."""
        for session in tuple(self._context.sessions):
            session.close(CloseCode.RESTARTING, "the gateway is restarting", RETRY_AFTER_S * 1000)
        if self._runner is not None:
            await self._runner.cleanup()

    # --- checks -------------------------------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            if request.path not in _PROBES:
                self._check_names(request)
            response = await handler(request)
        except Fault as fault:
            response = http.problem(fault)
        except web.HTTPException as error:
            response = http.problem(_as_fault(error, request))
        except StoreUnavailable as error:
            log.warning(
                "the store did not answer", action="store_unavailable", path=request.path, error=str(error)
            )
            response = http.problem(store_fault())
        except asyncio.CancelledError:
            raise
        except Exception:
            incident = self._context.clock.new_id(IdPrefix.INCIDENT)
            log.exception("a request broke", action="http_broke", path=request.path, incident=incident)
            response = http.problem(Fault(ErrorKind.INTERNAL, "Something went wrong here", incident=incident))
        if not response.prepared:
            for name, value in _SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    def _check_names(self, request: web.Request) -> None:
        if request.host.lower() not in self._hosts:
            raise Fault(
                ErrorKind.FORBIDDEN,
                "This gateway is not served under that Host",
                hint="Add it to allowed_hosts",
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in self._origins:
            raise Fault(ErrorKind.FORBIDDEN, "This Origin is not allowed", hint="Add it to allowed_origins")

    def _check_room(self) -> None:
        """Refuse what would stay open while the gateway stops or has as many connections as it may."""
        count = len(self._context.sessions) + len(self._context.streams)
        if self._is_draining or count >= self._settings.limits.connections:
            raise Fault(ErrorKind.UNAVAILABLE, "No new connections now", retry_after_ms=RETRY_AFTER_S * 1000)

    # --- routes -------------------------------------------------------------------------------

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        self._check_room()
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if limits.SUBPROTOCOL not in offered:
            text = f"Connect with the WebSocket subprotocol {limits.SUBPROTOCOL}.\n"
            return web.json_response({"error": text.strip(), "supported": [limits.SUBPROTOCOL]}, status=400)
        return await websocket.serve(self._context, request)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self._check_room()
        caller = await http.authenticate(self._context.authenticator, request)
        return await sse.serve(self._context, request, caller)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        caller = await http.authenticate(self._context.authenticator, request)
        return await http.call(self._context.dispatcher, caller, request)

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        if self._is_draining:
            raise Fault(
                ErrorKind.UNAVAILABLE, "The gateway is restarting", retry_after_ms=RETRY_AFTER_S * 1000
            )
        return await self._context.hooks.serve(request)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if self._is_draining:
            raise Fault(ErrorKind.UNAVAILABLE, "No new uploads now", retry_after_ms=RETRY_AFTER_S * 1000)
        caller = await http.authenticate(self._context.authenticator, request)
        return await self._blobs.take(caller, request)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        caller = await http.authenticate(self._context.authenticator, request)
        return await self._blobs.give(caller, request)

    async def _export_audit(self, request: web.Request) -> web.StreamResponse:
        caller = await http.authenticate(self._context.authenticator, request)
        return await self._audit_export.serve(caller, request)

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        caller = await http.authenticate(self._context.authenticator, request)
        return await self._usage_export.serve(caller, request)

    async def _schema(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rsplit("/", 1)[-1]
        return web.Response(body=schema.load(name), content_type="application/json")

    async def _index(self, request: web.Request) -> web.StreamResponse:
        identity = self._context.identity
        return web.Response(
            text=f"{identity.name} {identity.version}\n\n"
            "WebSocket   /v1/ws            subprotocol threadgate.v1\n"
            "HTTP        POST /v1/{method} with a bearer token\n"
            "files       POST /v1/blobs    GET /v1/blobs/{id}\n"
            "exports     GET /v1/audit/export?format=ndjson|csv|ocsf\n"
            "            GET /v1/usage/export?format=csv|ndjson\n"
            "schemas     /v1/openapi.json  /v1/asyncapi.json  /v1/schema.json\n"
            "state       /healthz  /readyz  /metrics\n"
        )

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "alive"})

    async def _readyz(self, request: web.Request) -> web.StreamResponse:
        missing = await self._readiness()
        if self._is_draining:
            missing = [*missing, "the gateway is shutting down"]
        return web.json_response(
            {
                "status": "not ready" if missing else "ready",
                "missing": missing,
                "degraded": self._degraded(),
            },
            status=503 if missing else 200,
        )

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._context.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _names(settings: Settings, port: int) -> tuple[frozenset[str], frozenset[str]]:
    """The Host headers and Origins that are ours, in lower case."""
    names = {settings.host} | (LOOPBACK if settings.host in LOOPBACK else set())
    own = {f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names}
    if port in (80, 443):
        own |= names
    hosts = own | {host.lower() for host in settings.allowed_hosts}
    origins = {f"http://{host}" for host in own} | {origin.lower() for origin in settings.allowed_origins}
    return frozenset(hosts), frozenset(origins)


def _as_fault(error: web.HTTPException, request: web.Request) -> Fault:
    if error.status in (404, 405):
        return method_not_found(request.path)
    if error.status == 400:
        return invalid_request(error.reason)
    if error.status == 413:
        return Fault(ErrorKind.TOO_LARGE, "The body is too large")
    return Fault(ErrorKind.CONFLICT, error.reason)
