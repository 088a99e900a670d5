"""The shell of an emulator: one HTTP server on loopback, its guard, and the ways a connection can break.

Knows no platform and no route. A stop followed by a start keeps whatever world stands behind the routes, as a
network outlives its outages.
"""

import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from channels.emulators.errors import ControlError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))
# Everything that waits is woken before the server stops; what still runs after this is cut off.
SHUTDOWN_TIMEOUT_S = 2.0
# Uploads of the size that tests and the playground use; the real networks take 10 MiB and more.
REQUEST_MAX_BYTES = 32 << 20


class LoopbackServer:
    """Listens while it is started. `is_control` tells the control side's paths from the platform's."""

    def __init__(self, is_control: Callable[[str], bool], request_max_bytes: int = REQUEST_MAX_BYTES) -> None:
        self.url = ""
        self._request_max_bytes = request_max_bytes
        self._is_control = is_control
        self._runner: web.AppRunner | None = None

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    async def start(self, routes: Iterable[web.AbstractRouteDef], host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the emulator listens on loopback only")
        if self._runner is not None:
            raise RuntimeError("the emulator runs already")
        app = web.Application(middlewares=[self._guard], client_max_size=self._request_max_bytes)
        app.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound_port = self._runner.addresses[0][1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"

    async def stop(self) -> None:
        """Close the port. Idempotent. Whoever waits or streams is woken by the emulator before."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Keep foreign pages off the control side and turn ControlError into a 400."""
        if not self._is_control(request.path):
            return await handler(request)
        if request.url.host not in LOOPBACK_HOSTS:
            return web.json_response({"error": "this emulator answers on loopback only"}, status=403)
        if request.method == "POST" and request.content_type != "application/json":
            return web.json_response({"error": "send application/json"}, status=415)
        try:
            return await handler(request)
        except ControlError as error:
            return web.json_response({"error": str(error)}, status=400)


def cut(request: web.Request, resets: bool) -> web.Response:
    """Close the connection; the response returned is never sent."""
    transport = request.transport
    if transport is not None:
        if resets:
            # No lingering turns the close into a reset (RST).
            peer = transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
