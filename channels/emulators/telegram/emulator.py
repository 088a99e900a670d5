"""The emulator as one object: start it, play people, script faults, look inside, stop it.

Wires the pure world to its HTTP sides. One instance, one loopback port; state lives in memory and ends with
the object (a stop followed by a start keeps it, as a network outlives its outages).
"""

import time
from collections.abc import Callable, Sequence
from typing import Self

from channels.emulators.calls import CallLog
from channels.emulators.control import ControlSide, Inspection
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import REQUEST_MAX_BYTES, LoopbackServer
from channels.emulators.telegram.control import Control
from channels.emulators.telegram.control_verbs import ControlVerbs
from channels.emulators.telegram.files import FileLimits
from channels.emulators.telegram.flood import FloodLimits
from channels.emulators.telegram.polling import Pollers
from channels.emulators.telegram.records import BotAccount
from channels.emulators.telegram.server import BotApi
from channels.emulators.telegram.stage import Stage
from channels.emulators.telegram.webhooks import Webhooks
from channels.emulators.telegram.world import NEWEST_API, World

# What a request carries beside its file; files too big are then refused by their own size, and in words.
REQUEST_SLACK_BYTES = 4 << 20


class TelegramEmulator(Stage):
    """A Bot API server on loopback. `clock` gives seconds since 1970 for dates, expiry and flood limits.

    `api_version` makes it an older server, without the methods and arguments that came later.
    `webhook_time_scale` shortens the waits between tries of a webhook; 0.01 makes a second ten milliseconds.
    """

    def __init__(
        self,
        bots: Sequence[BotAccount],
        *,
        clock: Callable[[], float] = time.time,
        flood_limits: FloodLimits | None = None,
        file_limits: FileLimits | None = None,
        slows_repeated_polls: bool = True,
        api_version: tuple[int, int] = NEWEST_API,
        webhook_time_scale: float = 1.0,
    ) -> None:
        world = World(
            bots,
            clock,
            flood_limits or FloodLimits(),
            slows_repeated_polls,
            file_limits=file_limits,
            api_version=api_version,
        )
        super().__init__(world, self._tell_everybody)
        self.faults = FaultScript()
        self.calls = CallLog()
        self._webhook_time_scale = webhook_time_scale
        request_max = max(REQUEST_MAX_BYTES, world.files.limits.upload_max + REQUEST_SLACK_BYTES)
        self._server = LoopbackServer(
            lambda path: not path.startswith(("/bot", "/file/bot")), request_max_bytes=request_max
        )
        self._pollers: Pollers | None = None
        self._webhooks: Webhooks | None = None
        self._feed: Feed | None = None
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
    def base_url(self) -> str:
        """What a `telegram.Bot` takes as `base_url`; the token and the method follow it."""
        return f"{self.url}/bot"

    @property
    def base_file_url(self) -> str:
        """What a `telegram.Bot` takes as `base_file_url`; the token and the file's path follow it."""
        return f"{self.url}/file/bot"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if self._server.is_running:
            raise RuntimeError("the emulator runs already")
        self._pollers, self._feed = Pollers(self.world), Feed()
        bot_api = BotApi(self.world, self._pollers, self.faults, self.calls, self._tell_everybody)
        self._webhooks = Webhooks(self.world, bot_api.call, self._webhook_time_scale)
        inspection = Inspection(self.faults, self.calls, self._feed)
        controls = [*Control(self).routes(), *ControlVerbs(self).routes(), *inspection.routes()]
        side = self._control_side = ControlSide("telegram", controls, self._feed)
        await self._server.start([*bot_api.routes(), *controls, *side.page_routes()], host, port)
        self._webhooks.open()

    async def stop(self) -> None:
        """Answer who waits, end the streams and posts, close the port. Idempotent."""
        if self._pollers is not None and self._feed is not None and self._webhooks is not None:
            self._pollers.close()
            self._feed.close()
            await self._webhooks.close()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def _tell_everybody(self) -> None:
        """Tell pages, pollers and webhooks what changed; forgets it when the emulator does not run."""
        changes = self.world.drain_changes()
        if self._feed is not None and self._pollers is not None and self._webhooks is not None:
            self._feed.publish([change.to_wire() for change in changes])
            self._pollers.wake()
            self._webhooks.wake()
