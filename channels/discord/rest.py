"""REST calls through discord.py's HTTP layer: each once, failing with a ChannelError.

The layer is taken as it is but for three things. Its addresses are set for each client instead of for the
process. Its buckets report a wait instead of sleeping through it (a bucket that is empty for less than
PACE_MAX_S is waited for), and a 429 always surfaces. Its tries after 500, 502, 504 and 524 stay: everything sent
through here may be repeated, messages thanks to their nonce; REQUEST_TIMEOUT_S bounds them.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import HTTPClient, Ratelimit, Route

from channels.discord.capabilities import (
    CONNECT_TIMEOUT_S,
    OLD_EDIT_WAIT_S,
    PACE_MAX_S,
    REQUEST_TIMEOUT_S,
    SHIELD_BAN_S,
)
from channels.errors import (
    AuthLost,
    ChannelError,
    Gone,
    Permanent,
    RateLimited,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)

# Certain failures: aiohttp raises these before a byte of the request has left.
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# What the SDK raises when an answer does not look as it expects; the request was carried out by then.
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
# topics/opcodes-and-status-codes.mdx#json-json-error-codes
UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_EMOJI = 10003, 10008, 10014
THREAD_EXISTS, THREAD_ARCHIVED = 160004, 50083
UNKNOWN_INTERACTION, INTERACTION_ANSWERED = 10062, 40060
_MISSING_ACCESS = 50001
_GONE: Final = frozenset({UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, 10004, 10013, _MISSING_ACCESS})
_TOO_LARGE: Final = frozenset({40005})
# Slow mode, too many edits of an old message, a busy resource: told with different statuses.
_SLOW_DOWN: Final = frozenset({20016, 20028, 30046, 40062})
# A description is a sentence; what is longer is the page of some proxy.
_DESCRIPTION_MAX = 200


class Refused(Permanent):
    """A refusal with Discord's own number for it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Vanished(Gone):
    """What was named is not there, with Discord's own number for it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Rest:
    """One bot's calls. Made in the running loop; logs in with the first call; `close` ends it."""

    def __init__(
        self, token: str, api_base_url: str, gateway_url: str, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        _quiet_library()
        self.http = Http(api_base_url, gateway_url)
        self._token = token
        self._timeout_s = timeout_s
        self._login = asyncio.Lock()
        self._is_closed = False

    async def identify(self) -> Mapping[str, Any]:
        """The bot's own user object, asked for once. Raises ChannelError."""
        async with self._login:
            if self.http.me is None:
                try:
                    await self.guard(self.http.static_login(self._token))
                except UnknownOutcome as error:
                    # Nothing was asked of Discord yet but who we are.
                    raise Unreachable(str(error)) from None
        assert self.http.me is not None
        return self.http.me

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, str | int] | None = None,
        file: discord.File | None = None,
        form: Sequence[Mapping[str, Any]] | None = None,
        **places: str,
    ) -> Any:
        """One call; the decoded answer, None when it is empty. `places` fill the path. Raises ChannelError.

        `channel_id`, `webhook_id` and `webhook_token` in `places` are what Discord limits separately.
        """
        await self.identify()
        arguments: dict[str, Any] = {}
        if json is not None:
            arguments["json"] = json
        if query is not None:
            arguments["params"] = query
        if file is not None:
            arguments |= {"files": [file], "form": form}
        trace = Trace()
        request = self.http.request(Route(method, path, **places), trace_request_ctx=trace, **arguments)
        return await self.guard(request, "room" if "channel_id" in places else "account", trace)

    async def close(self) -> None:
        """Close connections. Idempotent."""
        self._is_closed = True
        await self.http.close()

    async def guard(
        self, request: Coroutine[Any, Any, Any], scope: str = "account", trace: "Trace | None" = None
    ) -> Any:
        """A coroutine of the library, within REQUEST_TIMEOUT_S. Raises ChannelError."""
        if self._is_closed:
            request.close()
            raise Unreachable("the adapter is stopped")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await request
        except discord.RateLimited as error:
            is_global = trace is not None and trace.is_global
            raise RateLimited(error.retry_after, "account" if is_global else scope) from None
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            # OSError takes in the timeout.
            raise self._to_channel_error(error, scope) from None
        except RuntimeError as error:
            # The session was closed under the call.
            raise UnknownOutcome(f"call cut off ({error})") from None
        except _UNREADABLE as error:
            raise UnknownOutcome(f"unreadable answer ({type(error).__name__})") from None

    def _to_channel_error(self, error: Exception, scope: str) -> ChannelError:
        text = str(error).replace(self._token, "<token>")[:_DESCRIPTION_MAX] or type(error).__name__
        return to_channel_error(error, text, scope)


def to_channel_error(error: Exception, text: str, scope: str) -> ChannelError:
    """What an error of the SDK lets the caller do next. `text` is its description, safe to log."""
    match error:
        case discord.LoginFailure():
            return AuthLost("the token was refused: set a valid token, or check api_base_url")
        case discord.HTTPException():
            return _of_answer(error, text, scope)
        case _ if isinstance(error, _NEVER_SENT):
            return Unreachable(text)
        case _:
            return UnknownOutcome(text)


def _of_answer(error: discord.HTTPException, text: str, scope: str) -> ChannelError:
    code, status = error.code, error.status
    if status == 401:
        return AuthLost("the token was refused: set a valid token, or check api_base_url")
    if code in _SLOW_DOWN:
        return RateLimited(_retry_after(error, OLD_EDIT_WAIT_S), scope)
    if status == 429:
        # Without the API's own header: the shield in front of it has banned this address.
        return RateLimited(_retry_after(error, SHIELD_BAN_S), "account")
    if status >= 500:
        return UnknownOutcome(text)
    if code in _GONE:
        return Vanished(text, code)
    if code in _TOO_LARGE or status == 413:
        return TooLarge(text)
    return Refused(text, code)


def _retry_after(error: discord.HTTPException, default_s: float) -> float:
    try:
        return float(error.response.headers["Retry-After"])
    except (KeyError, ValueError):
        return default_s


class Trace:
    """What one request's answer said in its headers that the layer does not pass on."""

    def __init__(self) -> None:
        self.is_global = False


async def _note_scope(session: Any, context: Any, answer: aiohttp.TraceRequestEndParams) -> None:
    trace = context.trace_request_ctx
    if isinstance(trace, Trace) and answer.response.status == 429:
        headers = answer.response.headers
        trace.is_global = "X-RateLimit-Global" in headers or headers.get("X-RateLimit-Scope") == "global"


class Bucket(Ratelimit):
    """A rate limit that is told rather than slept through.

    The library's own holds back the answer of the call that took the last token until the bucket is full
    again, and lets others wait up to its timeout of at least 30 s.
    """

    __slots__ = ()

    async def acquire(self) -> None:
        self._last_request = self._loop.time()
        while True:
            if self.is_expired():
                self.reset()  # type: ignore[no-untyped-call] # the library forgot to type it
            if self.remaining > 0 or self.expires is None:
                break
            wait_s = self.expires - self._loop.time()
            if wait_s > PACE_MAX_S:
                raise discord.RateLimited(wait_s)
            await asyncio.sleep(max(wait_s, 0.001))
        self.remaining -= 1
        self.outgoing += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.outgoing -= 1


class Http(HTTPClient):
    """discord.py's HTTP layer with addresses of its own."""

    def __init__(self, api_base_url: str, gateway_url: str) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(_note_scope)
        super().__init__(asyncio.get_running_loop(), http_trace=trace, max_ratelimit_timeout=30.0)
        # Below the constructor's least value: every 429 surfaces, and `Bucket` keeps the library's pre-emptive
        # sleeps away.
        self.max_ratelimit_timeout = 0.001
        self.me: Mapping[str, Any] | None = None
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        """The gateway's newest socket, to be closed when its greeting fails."""
        self._api_base_url = api_base_url
        self._gateway_url = yarl.URL(gateway_url)

    async def static_login(self, token: str) -> Any:
        """Open the session and ask who the token belongs to, once."""
        if self.me is None:
            # Ours, because closing a session closes its connector, and the library would use it again.
            self.connector = aiohttp.TCPConnector(limit=0)
            try:
                self.me = await super().static_login(token)
            except BaseException:
                await self.close()
                raise
        return self.me

    async def request(self, route: Route, **arguments: Any) -> Any:
        route.url = self._api_base_url + route.url.removeprefix(Route.BASE)
        arguments.setdefault("timeout", aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S))
        return await super().request(route, **arguments)

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        """Connect to the configured gateway, or where the gateway itself said to resume."""
        wanted, default = yarl.URL(url), DiscordWebSocket.DEFAULT_GATEWAY
        if wanted.host == default.host:
            wanted = self._gateway_url.with_query(wanted.query)
        self.socket = await super().ws_connect(str(wanted), compress=compress)
        return self.socket

    def get_ratelimit(self, key: str) -> Ratelimit:
        if key not in self._buckets:
            self._buckets[key] = Bucket(self.max_ratelimit_timeout)
            self._try_clear_expired_ratelimits()
        return self._buckets[key]


def _quiet_library() -> None:
    """The library's debug lines hold what people wrote, and its warnings the addresses of interactions, which
    are credentials for a quarter of an hour. A level set on purpose stays."""
    library = logging.getLogger("discord")
    if library.level == logging.NOTSET:
        library.setLevel(logging.ERROR)
