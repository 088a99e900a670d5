"""The emulator as one object: start it, play people, script faults, look inside, stop it.

Wires the pure world to its HTTP and WebSocket sides. One instance, one loopback port; state lives in memory and
ends with the object (a stop followed by a start keeps it, as a network outlives its outages).
"""

import time
from collections.abc import Callable, Sequence
from typing import Self

from channels.emulators.control import ControlSide, Inspection
from channels.emulators.feed import Feed
from channels.emulators.loopback import LoopbackServer
from channels.emulators.slack.control import Control
from channels.emulators.slack.deliveries import Timing
from channels.emulators.slack.dispatching import Dispatcher
from channels.emulators.slack.network import Network
from channels.emulators.slack.records import AppAccount, Installed, Workspace
from channels.emulators.slack.web_api import WebApi

_DEFAULT_APPS = (AppAccount(),)
_DEFAULT_WORKSPACES = (Workspace(),)
_DEFAULT_INSTALLED = (Installed(),)


class SlackEmulator(Network):
    """A Slack on loopback. `clock` gives seconds since 1970 for timestamps, streams and triggers; `timing` says
    how patient it is (real seconds); `has_rate_limits` switches the tiers on."""

    def __init__(
        self,
        apps: Sequence[AppAccount] = _DEFAULT_APPS,
        workspaces: Sequence[Workspace] = _DEFAULT_WORKSPACES,
        installed: Sequence[Installed] = _DEFAULT_INSTALLED,
        *,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
        has_rate_limits: bool = False,
    ) -> None:
        super().__init__(apps, workspaces, installed, clock, timing or Timing(), has_rate_limits)
        self._server = LoopbackServer(lambda path: path.startswith("/control/"))
        self._web_api: WebApi | None = None
        self._control_side: ControlSide | None = None

    @property
    def control_side(self) -> ControlSide:
        """What the playground shows of it. Raises RuntimeError before it has started."""
        if self._control_side is None:
            raise RuntimeError("the emulator does not run")
        return self._control_side

    @property
    def url(self) -> str:
        """Where it listens; the last address while it is stopped."""
        return self._server.url

    @property
    def api_url(self) -> str:
        """What an `AsyncWebClient` takes as `base_url`."""
        return f"{self.url}/api/"

    @property
    def authorize_url(self) -> str:
        """Where people are sent to install an app."""
        return f"{self.url}/oauth/v2/authorize"

    def deny_installations(self, times: int = 1) -> None:
        """Let the next people who are asked to install an app say no."""
        if self._web_api is None:
            raise RuntimeError("the emulator does not run")
        self._web_api.denials = times

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if self._server.is_running:
            raise RuntimeError("the emulator runs already")
        feed, dispatcher = Feed(), Dispatcher(self.world, self.spread)
        web_api = WebApi(self.world, dispatcher.sockets, self.tiers, self.faults, self.calls, self.spread)
        inspection = Inspection(self.faults, self.calls, feed)
        controls = [*Control(self).routes(), *inspection.routes()]
        side = ControlSide("slack", controls, feed)
        try:
            await self._server.start([*web_api.routes(), *controls, *side.page_routes()], host, port)
        except BaseException:
            await dispatcher.close()
            raise
        self.world.base_url = self.url
        self._control_side = side
        self.feed, self.dispatcher, self._web_api = feed, dispatcher, web_api

    async def stop(self) -> None:
        """End sockets and streams, send nothing any more, close the port. Idempotent."""
        feed, dispatcher, web_api = self.feed, self.dispatcher, self._web_api
        self.feed, self.dispatcher, self._web_api = None, None, None
        if feed is not None and dispatcher is not None and web_api is not None:
            web_api.close()
            feed.close()
            await dispatcher.close()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
