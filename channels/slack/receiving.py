"""Receiving: what Slack sends is converted, stored, and only then acknowledged, over sockets and over HTTP alike.

Theory of operation: slack-bolt by itself acknowledges an event before its listener has run, and drops it when its
own auth.test fails. So `before_authorize` is the end of its chain: our middleware stores the delivery and returns 200;
when the store fails it raises, bolt answers 500, which is no acknowledgement, and Slack sends the event again. Nothing
falls through: what says nothing is stored as ignored.

Deliveries of one channel are stored in the order they came, those of different ones side by side; whatever waits for
the store is stored as one batch. What the adapter itself does with a delivery (`After`) begins when it is stored.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from channels.messages import Verdict
from channels.port import InboxSink
from channels.slack import inbound, interactions
from channels.slack.calls import SDK_LOG
from channels.slack.capabilities import COMMIT_BATCH_MAX
from channels.slack.ordering import Lines
from channels.slack.places import later, moved
from channels.slack.profiles import Profiles
from channels.slack.pulse import Pulse
from channels.slack.received import BotIdentity, Received
from channels.slack.settings import Experience

log = logging.getLogger(__name__)

# The finest step of a `ts`.
JUST_BEFORE_S = 0.000001
_NOT_STORED = "an event could not be stored and was not acknowledged; Slack sends it again. See the log"

Answer = Callable[[Received, Verdict], Awaitable[dict[str, Any] | None]]
"""What to answer Slack with once a delivery is stored; None for a bare acknowledgement. Begins what comes after."""


class Committer:
    """Batches for the sink. Calls in the order of their beginning; whatever waits goes together."""

    def __init__(self, sink: InboxSink) -> None:
        self._sink = sink
        self._waiting: list[tuple[Received, asyncio.Future[Verdict]]] = []
        self._task: asyncio.Task[None] | None = None
        self._cursors: dict[str, str] = {}
        self._held: set[str] = set()

    async def load_cursors(self) -> None:
        """Where receiving stood. Cursors never move back from there, and not forward before `release`."""
        stored = await self._sink.cursors()
        for scope, cursor in stored.items():
            self._forward(scope, cursor.value)
        self.hold()

    def hold(self) -> dict[str, str]:
        """Something may have been missed: the known cursors stay where they are until it is read back, or else a
        crash meanwhile would make us forget that. Returns those that stay."""
        self._held |= set(self._cursors)
        return {scope: self._cursors[scope] for scope in self._held}

    def release(self, scope: str) -> None:
        """The room of this cursor is caught up."""
        self._held.discard(scope)

    async def commit(self, received: Received) -> Verdict:
        """Durable when it returns. Raises what the store raises."""
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, verdict))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="slack inbox")
        # Cancelling one who waits must not cancel what is being stored for others.
        return await asyncio.shield(verdict)

    async def drain(self) -> None:
        """Wait for what is being stored."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def store(self, batch: Sequence[Received], *, is_catching_up: bool = False) -> Sequence[Verdict]:
        """One transaction with the cursors of its deliveries. Raises what the store raises."""
        cursors: dict[str, str] = {}
        for received in batch:
            if received.cursor is not None and (is_catching_up or received.cursor[0] not in self._held):
                scope, ts = received.cursor
                known = cursors.get(scope, self._cursors.get(scope))
                if known is None or later(ts, known):
                    cursors[scope] = ts
        verdicts = await self._sink.commit([received.delivery for received in batch], cursors)
        for scope, ts in cursors.items():
            self._forward(scope, ts)
        return verdicts

    async def _work(self) -> None:
        while self._waiting:
            batch = self._waiting[:COMMIT_BATCH_MAX]
            del self._waiting[:COMMIT_BATCH_MAX]
            if not await self._stored(batch) and len(batch) > 1:
                # One that the store cannot take must not keep the others from being taken.
                for one in batch:
                    await self._stored([one], is_last=True)

    async def _stored(
        self, batch: list[tuple[Received, "asyncio.Future[Verdict]"]], *, is_last: bool = False
    ) -> bool:
        try:
            verdicts = await self.store([received for received, _ in batch])
        except Exception as error:
            # The edge of this task: whatever the store raised belongs to those who wait.
            if is_last or len(batch) == 1:
                self._keep_in_sight([received for received, _ in batch])
                for _, waiting in batch:
                    waiting.set_exception(error)
                    waiting.exception()  # who waited may be gone
                log.warning("slack delivery not stored", exc_info=error, extra={"action": "slack.not_stored"})
            return False
        for (_, waiting), verdict in zip(batch, verdicts, strict=True):
            waiting.set_result(verdict)
        return True

    def _keep_in_sight(self, batch: Sequence[Received]) -> None:
        """Rooms without a cursor get one, in memory, before what was not stored: Slack may give up on it."""
        for received in batch:
            if received.cursor is not None and received.cursor[0] not in self._cursors:
                scope, ts = received.cursor
                self._cursors[scope] = moved(ts, -JUST_BEFORE_S)

    def _forward(self, scope: str, ts: str) -> None:
        known = self._cursors.get(scope)
        if known is None or later(ts, known):
            self._cursors[scope] = ts


class Receiver:
    """slack-bolt's app with our inbox in front, for one sink."""

    def __init__(
        self,
        committer: Committer,
        profiles: Profiles,
        identify: Callable[[str], Awaitable[BotIdentity]],
        answer: Answer,
        pulse: Pulse,
        experience: Experience,
        signing_secret: str,
    ) -> None:
        self._committer = committer
        self._profiles = profiles
        self._identify = identify
        self._answer = answer
        self._pulse = pulse
        self._experience = experience
        self._lines = Lines()
        self.on_failure: Callable[[], None] = lambda: None
        """Called when something could not be stored."""
        self.on_recovery: Callable[[], None] = lambda: None
        """Called when something could be stored again."""
        self._app = AsyncApp(
            name="threadgate",
            logger=SDK_LOG,
            # Nothing is ever called with it: the chain ends before bolt authorizes anybody.
            client=AsyncWebClient(token="unused", retry_handlers=[], logger=SDK_LOG),
            signing_secret=signing_secret,
            before_authorize=self._inbox,
            ignoring_self_events_enabled=False,
            process_before_response=True,
        )

    async def over_socket(self, payload: Mapping[str, Any]) -> tuple[bool, dict[str, Any] | None]:
        """Whether to acknowledge, and with what."""
        request = AsyncBoltRequest(mode="socket_mode", body=dict(payload))
        response = await self._app.async_dispatch(request)
        return response.status == 200, _json_of(response)

    async def over_http(
        self, body: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> BoltResponse:
        """The answer to a request; bolt has checked its signature before anything is read."""
        request = AsyncBoltRequest(mode="http", body=body, query=dict(query), headers=dict(headers))
        return await self._app.async_dispatch(request)

    async def _inbox(self, body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> BoltResponse | None:
        """The middleware. Names of parameters are bolt's."""
        if body.get("type") in ("url_verification", "ssl_check"):
            await next()
            return None
        try:
            line = inbound.line_of(body)
            async with nullcontext() if line is None else self._lines.turn(*line):
                received = await self._convert(body)
                verdict = await self._committer.commit(received)
        except Exception:
            # The edge of a request: unacknowledged, and shown until something is stored again.
            self._pulse.troubles["inbox"] = _NOT_STORED
            self.on_failure()
            raise
        if self._pulse.troubles.pop("inbox", None) is not None:
            self.on_recovery()
        self._pulse.event(time.time_ns() // 1_000_000, received.sent_at_ms)
        answer = await self._answer(received, verdict)
        return BoltResponse(status=200, body=answer if answer is not None else "")

    async def _convert(self, body: Mapping[str, Any]) -> Received:
        if body.get("type") == "event_callback":
            author = await self._profiles.of(inbound.author_of(body))
            bot = inbound.bot_in(body)
            if bot is None and inbound.author_of(body) is not None:
                bot = await self._identify(str(body.get("team_id")))
            bot = bot or BotIdentity(str(body.get("team_id")), "")
            return inbound.to_received(body, bot, author, self._experience)
        author = await self._profiles.of(interactions.author_in(body))
        return interactions.to_received(body, author, time.time_ns() // 1_000_000)


def _json_of(response: BoltResponse) -> dict[str, Any] | None:
    """The answer that `_inbox` gave, or none."""
    if not response.body.startswith("{"):
        return None
    parsed: dict[str, Any] = json.loads(response.body)
    return parsed
