"""One run of the receiving side, from `start` to `stop`: inbox, sockets or hooks, and catching up.

Made anew for every start, so that nothing of an earlier one is left.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping

from slack_bolt.response import BoltResponse

from channels.errors import AuthLost, ChannelError, RateLimited
from channels.port import InboxSink
from channels.slack.agent import AgentView
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import OUTAGE_S
from channels.slack.history import CatchUp
from channels.slack.profiles import Profiles
from channels.slack.pulse import Pulse
from channels.slack.received import Left
from channels.slack.receiving import Committer, Receiver
from channels.slack.reconciling import Reconciler
from channels.slack.responding import Responder
from channels.slack.settings import SlackSettings
from channels.slack.sockets import Backoff, Sockets
from channels.slack.workspaces import Identities, Workspaces

log = logging.getLogger(__name__)


class Session:
    """Receiving, while it lasts."""

    def __init__(
        self,
        settings: SlackSettings,
        sink: InboxSink,
        calls: SlackCalls,
        workspaces: Workspaces,
        identities: Identities,
        reconciler: Reconciler,
        agent: AgentView,
        pulse: Pulse,
        *,
        app_token: str,
        signing_secret: str,
        backoff: Backoff,
        outage_s: float = OUTAGE_S,
    ) -> None:
        self._workspaces = workspaces
        self._identities = identities
        self._is_single = settings.bot_token is not None
        self._pulse = pulse
        self._backoff = backoff
        self._outage_s = outage_s
        self._jitter = random.Random()
        profiles = Profiles(calls, must_know=settings.dm_policy == "open" and not settings.allow_external)
        self._committer = Committer(sink)
        self._responder = Responder(calls, agent, reconciler, self._departed)
        self._receiver = Receiver(
            self._committer,
            profiles,
            identities.of,
            self._responder.answer,
            pulse,
            settings.experience,
            signing_secret,
        )
        self._catch_up = CatchUp(
            calls, identities, profiles, self._committer, sink, settings.experience, backoff
        )
        self._sockets = (
            Sockets(calls, app_token, self._receiver.over_socket, pulse, backoff)
            if settings.mode == "socket"
            else None
        )
        self._lost_at: float | None = None
        self._outage = asyncio.Event()
        self._is_loaded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in an owned task."""
        self._task = asyncio.create_task(self._run(), name="slack session")

    async def stop(self) -> None:
        """Receive nothing more; what is being stored is stored. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if self._sockets is not None:
            await self._sockets.stop()
        await self._committer.drain()
        await self._responder.stop()

    async def over_http(
        self, body: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> BoltResponse:
        """Answer what Slack sent; waits for the cursors to be known. Raises what the store raised."""
        await self._is_loaded.wait()
        return await self._receiver.over_http(body, query, headers)

    async def _run(self) -> None:
        await self._load()
        await self._identify()
        self._receiver.on_failure = self._lost
        self._receiver.on_recovery = self._outage.set
        if self._sockets is not None:
            self._sockets.on_lost = self._socketless
            self._sockets.start()
        is_first = True
        while True:
            if self._sockets is not None:
                await self._sockets.connected.wait()
            lost_at, self._lost_at = self._lost_at, None
            held = self._committer.hold()
            if is_first or (lost_at is not None and time.monotonic() - lost_at >= self._outage_s):
                await self._catch_up.run(held)
            else:
                # Slack repeats what it could not deliver for longer than this was.
                for scope in held:
                    self._committer.release(scope)
            is_first = False
            await self._outage.wait()
            self._outage.clear()

    def _lost(self) -> None:
        """Something may get lost: from now on cursors stay until it is known what."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        self._committer.hold()

    def _socketless(self) -> None:
        """No socket is open."""
        self._lost()
        self._outage.set()

    async def _load(self) -> None:
        """The cursors, from a store that may not be ready yet."""
        failures = 0
        while True:
            try:
                await self._committer.load_cursors()
            except Exception as error:
                # The edge of this task: whatever the store raises, it will be asked again.
                failures += 1
                self._pulse.troubles["store"] = "the cursors could not be read from the store; see the log"
                log.warning("slack cursors not read", exc_info=error, extra={"action": "slack.no_cursors"})
                await asyncio.sleep(self._backoff.delay_s(failures, self._jitter))
            else:
                self._pulse.troubles.pop("store", None)
                self._is_loaded.set()
                return

    async def _identify(self) -> None:
        """Ask who we are, until Slack answers or refuses: it shows whether the token and its scopes are good."""
        failures = 0
        while self._is_single:
            try:
                await self._identities.ask("")
            except AuthLost:
                return
            except ChannelError as error:
                failures += 1
                self._pulse.troubles["identity"] = str(error)
                after_s = error.after_s if isinstance(error, RateLimited) else 0.0
                await asyncio.sleep(max(after_s, self._backoff.delay_s(failures, self._jitter)))
            else:
                break
        self._pulse.troubles.pop("identity", None)
        self._pulse.is_probed = True

    async def _departed(self, left: Left) -> None:
        """A workspace took its token back. With the one token of the configuration that is the end."""
        await self._workspaces.forget(left.team)
        self._identities.forget(left.team)
        if self._is_single:
            what = (
                "the app was removed from the workspace"
                if left.is_uninstalled
                else "the bot's token was revoked"
            )
            self._pulse.auth_lost = f"{what}: install the app again and set its new bot_token"
