"""The one way to Slack's Web API: each call once, with the token of its workspace, errors typed and safe to log.

The SDK's own retries are off: its default sends any method again when the connection broke, also when the message
had been posted. Its logger is kept above what it would say of parameters, tokens and codes.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from channels.errors import AuthLost, UnknownOutcome, Unreachable
from channels.slack.capabilities import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S
from channels.slack.failures import (
    TRANSPORT,
    UNREADABLE,
    Refusal,
    refusal_of,
    to_channel_error,
    to_transport_error,
)

SDK_LOG = logging.getLogger("channels.slack.sdk")
# At lower levels the SDK writes parameters, bodies and the codes of installations.
SDK_LOG.setLevel(logging.CRITICAL)

Call = Callable[[AsyncWebClient], Awaitable[AsyncSlackResponse]]
"""One Web API method on the client of a workspace."""


class Tokens(Protocol):
    """Where a workspace's token comes from."""

    async def token(self, team: str) -> str:
        """The bot token; raises ChannelError, AuthLost when the workspace has none."""
        ...


class SlackCalls:
    """Makes calls while it is open. One connection pool for all workspaces."""

    def __init__(self, api_base_url: str, tokens: Tokens) -> None:
        self.base_url = api_base_url
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        self.auth_lost: Callable[[str, str], None] = lambda team, text: None
        """Called with the workspace and what to tell the operator."""
        self.scope_missed: Callable[[str], None] = lambda scope: None
        """Called with the scope a call would have needed."""

    def open(self) -> None:
        """Calls work again after a close."""
        self._is_closed = False

    async def close(self) -> None:
        """End all connections. Idempotent; later calls fail and certainly do nothing."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def session(self) -> aiohttp.ClientSession:
        """The connection pool. Raises Unreachable when closed."""
        if self._is_closed:
            raise Unreachable("the adapter is stopped")
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session

    def client(self, token: str | None) -> AsyncWebClient:
        """An SDK client that never repeats a call."""
        return AsyncWebClient(
            token=token,
            base_url=self.base_url,
            session=self.session(),
            retry_handlers=[],
            logger=SDK_LOG,
        )

    async def token(self, team: str) -> str:
        """The bot token of a workspace. Raises ChannelError."""
        return await self._tokens.token(team)

    async def call(self, team: str, method: str, call: Call, scope: str = "account") -> Mapping[str, Any]:
        """One call for one workspace; the answer's fields. Raises ChannelError."""
        if self._is_closed:
            raise Unreachable("the adapter is stopped")
        token = await self._tokens.token(team)
        try:
            return (await self.bare(token, method, call, scope)).fields
        except AuthLost as error:
            self.auth_lost(team, str(error))
            raise

    async def bare(self, token: str | None, method: str, call: Call, scope: str = "account") -> "Answer":
        """One call with a token of its own. Raises ChannelError without a cause: those may quote parameters."""
        client = self.client(token)
        try:
            response = await call(client)
            if not isinstance(response.data, Mapping):
                raise UnknownOutcome(f"{method}: unreadable answer")
            return Answer(response.data, response.headers)
        except SlackApiError as error:
            refusal = refusal_of(error)
            self._note_scope(refusal)
            raise to_channel_error(refusal, method, scope) from None
        except TRANSPORT as error:
            raise to_transport_error(error, method) from None
        except UNREADABLE as error:
            raise UnknownOutcome(f"{method}: unreadable answer ({type(error).__name__})") from None

    def _note_scope(self, refusal: Refusal) -> None:
        if refusal.code == "missing_scope" and refusal.needed:
            self.scope_missed(refusal.needed.split(",")[0])

    def is_ours(self, url: str) -> bool:
        """Whether an address belongs to the configured server, for everything that gets a token."""
        try:
            return _origin(url) == _origin(self.base_url)
        except ValueError:
            return False


class Answer:
    """What a method returned: its fields, and the headers that say which scopes the token has."""

    def __init__(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.fields = fields
        self.headers = headers


def _origin(url: str) -> tuple[str, str | None, int | None, str | None]:
    """What must be the same; a name before the host makes it another. Raises ValueError."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port, parts.username
