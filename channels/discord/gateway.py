"""The gateway: discord.py's socket in our loop, supervised by us.

The library's own supervision is replaced: it cannot survive a failure of the first connection, waits up to 17
minutes, and logs what people wrote. Its socket, compression, heartbeat, identify and resume are used as they
are. No objects are built from dispatches; they go to the listener as they come, in order. The library advances
its sequence before anybody has stored anything, so a resume proves nothing about storing: what was received but
not stored is the receiver's to keep, and what was missed is read back through REST.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from channels.discord.backoff import Backoff
from channels.discord.capabilities import CLOSE_TIMEOUT_S, GREETING_TIMEOUT_S
from channels.discord.rest import Http, Rest
from channels.errors import AuthLost, ChannelError, Permanent, RateLimited

log = logging.getLogger(__name__)

# What the receiver understands; everything else stays with the library, unread.
_EVENTS: Final = (
    "READY",
    "RESUMED",
    "MESSAGE_CREATE",
    "MESSAGE_UPDATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "INTERACTION_CREATE",
    "GUILD_CREATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_DELETE",
    "THREAD_CREATE",
    "THREAD_UPDATE",
    "THREAD_DELETE",
    "THREAD_LIST_SYNC",
)
# topics/opcodes-and-status-codes.mdx#gateway-gateway-close-event-codes: those after which nothing helps but a
# change of the configuration.
_AUTHENTICATION_FAILED, _DISALLOWED_INTENTS = 4004, 4014
_FATAL: Final[Mapping[int, str]] = {
    4010: "Discord refused the shard",
    4011: "the bot is in too many servers for one connection, and this adapter has one",
    4012: "Discord no longer speaks this version of the gateway",
    4013: "Discord does not know the intents asked for",
}
# A session that cannot be resumed so often is given up for a new one.
_RESUMES_MAX = 5


class Listener(Protocol):
    """Who takes dispatches."""

    def take(self, name: str, data: Any) -> None:
        """One dispatch, in order. Must not block or raise."""
        ...

    async def can_take(self) -> None:
        """Return when there is space for more; until then the socket is left unread."""
        ...


class _Client(discord.Client):
    """What the library's socket asks of a client, with our HTTP layer and without the library's cache."""

    def __init__(self, http: Http, intents: discord.Intents, take: Callable[[str, Any], None]) -> None:
        self._given_http = http
        self._take = take
        super().__init__(intents=intents, max_messages=None)

    def _get_state(self, **options: Any) -> Any:
        self.http = self._given_http
        state = super()._get_state(**options)
        state.parsers = {name: partial(self._take, name) for name in _EVENTS}
        return state

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """New sessions are spaced by `Gateway`."""


class _Session(NamedTuple):
    """What a resume needs."""

    id: str
    sequence: int | None
    gateway: yarl.URL


class Gateway:
    """One bot's connection. `run` once; the properties at any time."""

    def __init__(
        self, account: str, rest: Rest, token: str, listener: Listener, wants_content: bool, backoff: Backoff
    ) -> None:
        self._account = account
        self._rest = rest
        self._token = token
        self._listener = listener
        self._wants_content = wants_content
        self._backoff = backoff
        self._client: _Client | None = None
        self._socket: DiscordWebSocket | None = None
        self._session: _Session | None = None
        self._identified_at = -math.inf
        self._failures = 0
        self.reads_content = False
        """Whether the application has the Message Content intent and it is asked for."""
        self.is_ready = False
        """Whether a session runs: READY or RESUMED was seen on the socket that is open."""
        self.trouble: str | None = None
        """Why there is no session at the moment."""

    @property
    def latency_s(self) -> float | None:
        """From the last heartbeat to its acknowledgement; None before the first."""
        latency = math.inf if self._socket is None else self._socket.latency
        return latency if math.isfinite(latency) else None

    async def run(self) -> None:
        """Keep connected until cancelled. Raises AuthLost or Permanent when that is over for good."""
        while True:
            resumes = self._session is not None
            try:
                await self._converse()
            except ReconnectWebSocket:
                self._lost("the gateway asked for a new connection")
            except discord.ConnectionClosed as error:
                _raise_if_fatal(error.code)
                self._lost(f"the gateway closed the connection ({error.code})")
            except (AuthLost, Permanent):
                raise
            except ChannelError as error:
                after_s = error.after_s if isinstance(error, RateLimited) else 0.0
                self._lost(str(error))
                await asyncio.sleep(after_s)
            except (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError) as error:
                # OSError takes in a greeting that timed out; RuntimeError a write to a socket being closed.
                self._lost(str(error) or type(error).__name__)
            if resumes and self._failures > _RESUMES_MAX:
                self._session = None
            await asyncio.sleep(self._backoff.delay_s(self._failures))

    def _lost(self, why: str) -> None:
        """The first failure after a session is no reason to wait."""
        was_ready, self.is_ready = self.is_ready, False
        self._failures = 0 if was_ready else self._failures + 1
        self.trouble = why
        log.log(
            logging.INFO if was_ready else logging.WARNING,
            "discord connects again: %s",
            why,
            extra={"action": "discord.reconnects", "account": self._account},
        )

    async def _converse(self) -> None:
        """One socket, from connecting to its end, which is always an error."""
        client = self._client or await self._log_in()
        socket = await self._greet(client)
        self._socket = socket
        code = 4000
        try:
            while True:
                await self._listener.can_take()
                await socket.poll_event()
        except asyncio.CancelledError:
            # A goodbye: the bot goes offline at once, and the session ends.
            code, self.is_ready = 1000, False
            raise
        finally:
            # An invalidated session has no id any more.
            alive = socket.session_id is not None and code != 1000
            self._session = (
                _Session(socket.session_id or "", socket.sequence, socket.gateway) if alive else None
            )
            self._socket = None
            await _shut(socket, code)

    async def _log_in(self) -> _Client:
        """Who we are and what the application may see. Raises ChannelError."""
        application = await self._rest.call("GET", "/oauth2/applications/@me")
        flags = discord.ApplicationFlags._from_value(int(application.get("flags") or 0))
        has_content = flags.gateway_message_content or flags.gateway_message_content_limited
        self.reads_content = self._wants_content and has_content
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        intents.message_content = self.reads_content
        client = _Client(self._rest.http, intents, self._take)
        await self._rest.guard(client.login(self._token))
        self._client = client
        return client

    async def _greet(self, client: _Client) -> DiscordWebSocket:
        """A socket that has identified or asked to resume."""
        session = self._session
        if session is None:
            spacing_s = self._identified_at + self._backoff.identify_spacing_s - time.monotonic()
            await asyncio.sleep(max(spacing_s, 0.0))
            self._identified_at = time.monotonic()
        where: dict[str, Any] = {}
        if session is not None:
            where = {"gateway": session.gateway, "session": session.id, "sequence": session.sequence}
        self._rest.http.socket = None
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                return await DiscordWebSocket.from_client(
                    client, initial=True, resume=session is not None, **where
                )
        except BaseException:
            # The library drops a socket whose greeting failed, with its heartbeat running. Closed, both end.
            if self._rest.http.socket is not None:
                await self._rest.http.socket.close()
            raise

    def _take(self, name: str, data: Any) -> None:
        if name in ("READY", "RESUMED"):
            self.is_ready, self.trouble = True, None
            log.info(
                "discord connected",
                extra={"action": f"discord.{name.lower()}", "account": self._account},
            )
        self._listener.take(name, data)


def _raise_if_fatal(code: int) -> None:
    """Raises AuthLost or Permanent, saying what to do."""
    if code == _AUTHENTICATION_FAILED:
        raise AuthLost("the gateway refused the token: set a valid one")
    if code == _DISALLOWED_INTENTS:
        raise Permanent(
            "the gateway refused the Message Content intent (4014): enable it in the developer portal under Bot, "
            "Privileged Gateway Intents, or set message_content = false"
        )
    if code in _FATAL:
        raise Permanent(f"{_FATAL[code]} ({code})")


async def _shut(socket: DiscordWebSocket, code: int) -> None:
    """Close within CLOSE_TIMEOUT_S, whatever the other side does."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code=code)
    except (TimeoutError, OSError, RuntimeError, aiohttp.ClientError):
        # The session's connector cuts what is left when it is closed.
        return
