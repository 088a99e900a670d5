"""The emulator as one object: start it, play people, script faults, look inside, stop it.

Wires the network to its HTTP and WebSocket sides. One instance, one loopback port; state lives in memory and
ends with the object (a stop followed by a start keeps it, as a network outlives its outages).
"""

import time
from collections.abc import Callable, Sequence
from typing import Self

from channels.emulators.calls import CallLog
from channels.emulators.control import ControlSide, Inspection
from channels.emulators.discord.control import Control
from channels.emulators.discord.control_above import ControlAbove
from channels.emulators.discord.gateway import HEARTBEAT_INTERVAL_S
from channels.emulators.discord.limits import Buckets, RateLimits
from channels.emulators.discord.network import DEFAULT_GUILD, DEFAULT_USER, Network
from channels.emulators.discord.records import BotAccount, GuildSeed, User
from channels.emulators.discord.rest import API_PATH, RestApi
from channels.emulators.discord.world import NONCE_WINDOW_S, World
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import LoopbackServer


class DiscordEmulator(Network):
    """A Discord on loopback. `clock` gives seconds since 1970 for ids, dates, expiry and limits.

    Faults of REST calls are scripted with `faults`; methods are named as in `routes.py`.
    """

    def __init__(
        self,
        bots: Sequence[BotAccount],
        guilds: Sequence[GuildSeed] = (DEFAULT_GUILD,),
        *,
        people: Sequence[User] = (DEFAULT_USER,),
        clock: Callable[[], float] = time.time,
        nonce_window_s: float = NONCE_WINDOW_S,
        rate_limits: RateLimits | None = None,
        heartbeat_interval_s: float = HEARTBEAT_INTERVAL_S,
    ) -> None:
        world = World(bots, guilds, people, clock, nonce_window_s)
        super().__init__(world, lambda: f"{self.gateway_url}resume", heartbeat_interval_s)
        self.faults = FaultScript()
        self.calls = CallLog()
        self._buckets = Buckets(rate_limits or RateLimits())
        self._server = LoopbackServer(lambda path: path.startswith("/control/"))
        self._rest: RestApi | None = None
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
    def api_base_url(self) -> str:
        """What `discord.http.Route.BASE` has to be."""
        return f"{self.url}{API_PATH}"

    @property
    def gateway_url(self) -> str:
        """What `discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY` has to be."""
        return f"{self.url.replace('http', 'ws', 1)}/"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if self._server.is_running:
            raise RuntimeError("the emulator runs already")
        self._feed = Feed()
        self._rest = RestApi(
            self.world, self._buckets, self.faults, self.calls, lambda: self.gateway_url, self._spread
        )
        inspection = Inspection(self.faults, self.calls, self._feed)
        controls = [*Control(self).routes(), *ControlAbove(self).routes(), *inspection.routes()]
        side = self._control_side = ControlSide("discord", controls, self._feed)
        routes = [*self._rest.routes(), *self._sockets.routes(), *controls, *side.page_routes()]
        await self._server.start(routes, host, port)
        self.world.cdn.base_url = self.url

    async def stop(self) -> None:
        """Close the sockets, end the streams, close the port. Idempotent."""
        if self._rest is not None and self._feed is not None:
            self._rest.close()
            self._feed.close()
            self._sockets.shut()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
