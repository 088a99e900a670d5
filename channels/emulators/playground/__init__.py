"""All emulated networks on one page: people write in Slack, Telegram and Discord side by side.

One small server on loopback: the page, the control side of every network under its name (`/slack/control/…`), and
one stream of changes, because a browser keeps only a few connections to one address open.
"""

from collections.abc import Sequence

from aiohttp import web

from channels.emulators.control import ControlSide, stream_changes
from channels.emulators.loopback import LoopbackServer
from channels.emulators.page import page_routes

EVENTS_PATH = "/events"


class Playground:
    """The server. The emulators run already when it starts, and are stopped before it: that ends their streams."""

    def __init__(self) -> None:
        self._server = LoopbackServer(lambda path: True)

    @property
    def url(self) -> str:
        """Where it listens; the last address while it is stopped."""
        return self._server.url

    async def start(self, sides: Sequence[ControlSide], host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        feeds = {side.network: side.feed for side in sides}

        async def events(request: web.Request) -> web.StreamResponse:
            return await stream_changes(request, feeds)

        routes = [web.get(EVENTS_PATH, events)]
        for side in sides:
            routes += [_under(f"/{side.network}", route) for route in side.routes]
        paths = {side.network: f"/{side.network}/control" for side in sides}
        await self._server.start([*page_routes(paths, EVENTS_PATH), *routes], host, port)

    async def stop(self) -> None:
        """Close the port. Idempotent."""
        await self._server.stop()


def _under(prefix: str, route: web.RouteDef) -> web.RouteDef:
    return web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs)
