"""Who we are in each workspace, and with which token: one that was configured, or those of people's installations.

Identities come from auth.test and are kept in memory: a bot user's id never changes for an installation.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from channels.errors import AuthLost
from channels.slack.calls import SlackCalls
from channels.slack.received import BotIdentity


class Workspaces(Protocol):
    """Tokens by workspace. Raises AuthLost for a workspace that has none."""

    async def token(self, team: str) -> str:
        """The bot token."""
        ...

    async def teams(self) -> Sequence[str]:
        """The workspaces that are known; "" for the one of a configured token, whatever its id."""
        ...

    async def forget(self, team: str) -> None:
        """The workspace took its token back."""
        ...


class OneWorkspace:
    """The token of the configuration, for whatever workspace an event names."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, team: str) -> str:
        return self._token

    async def teams(self) -> Sequence[str]:
        return [""]

    async def forget(self, team: str) -> None:
        """Nothing to forget: the operator must set another token."""


class Identities:
    """auth.test, remembered. `scopes` are those of the last answer."""

    def __init__(self, calls: SlackCalls) -> None:
        self._calls = calls
        self._known: dict[str, BotIdentity] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self.scopes: set[str] = set()
        self.known: Callable[[str], None] = lambda team: None
        """Called with the workspace whenever Slack has answered for its token."""

    async def of(self, team: str) -> BotIdentity:
        """Who we are there. Raises ChannelError."""
        if team in self._known:
            return self._known[team]
        async with self._asking.setdefault(team, asyncio.Lock()):
            if team not in self._known:
                await self.ask(team)
        return self._known[team]

    async def ask(self, team: str) -> BotIdentity:
        """Ask anew, whether it is known or not. Raises ChannelError."""
        token = await self._calls.token(team)
        try:
            answer = await self._calls.bare(token, "auth.test", lambda client: client.auth_test())
        except AuthLost as error:
            self._calls.auth_lost(team, str(error))
            raise
        self.scopes = _scopes(answer.headers.get("x-oauth-scopes", ""))
        fields = answer.fields
        identity = BotIdentity(
            str(fields.get("team_id") or team),
            str(fields.get("user_id") or ""),
            str(fields.get("bot_id") or ""),
        )
        self._known[team] = identity
        self.known(team)
        return identity

    def forget(self, team: str) -> None:
        """Ask again the next time."""
        self._known.pop(team, None)


def _scopes(header: str) -> set[str]:
    return {scope.strip() for scope in header.split(",") if scope.strip()}
