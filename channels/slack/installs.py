"""Workspaces that installed the app by themselves: their tokens on the vault, and the way from Slack and back.

The OAuth flow is slack-bolt's. The state of a flow is a signed text in the browser's cookie and in Slack's redirect;
nothing is stored for who only opens the page.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from logging import Logger
from typing import Any

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.errors import SlackApiError, SlackTokenRotationError
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.models.bot import Bot
from slack_sdk.oauth.installation_store.models.installation import Installation
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from channels.errors import AuthLost, Unreachable
from channels.port import Vault
from channels.slack.calls import SDK_LOG
from channels.slack.failures import TRANSPORT
from channels.slack.manifest import BOT_SCOPES

log = logging.getLogger(__name__)

INSTALL_PATH = "install"
REDIRECT_PATH = "oauth_redirect"
# Slack's own code is good for ten minutes as well.
STATE_LIFE_S = 600
# Used states are remembered while they would be good; more than this in ten minutes is an attack.
USED_STATES_MAX = 10_000
# Tokens that expire are exchanged this long before they do; Slack gives them twelve hours.
ROTATE_BEFORE_MIN = 120
_KEY = "install:"


class VaultInstallationStore(AsyncInstallationStore):
    """slack_sdk's store on the vault: one bot token per workspace, no tokens of people."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._cache: dict[str, Bot] = {}

    @property
    def logger(self) -> Logger:
        return SDK_LOG

    async def async_save(self, installation: Installation) -> None:
        await self.async_save_bot(installation.to_bot())

    async def async_save_bot(self, bot: Bot) -> None:
        key = _key(bot.enterprise_id, bot.team_id)
        await self._vault.put(key, json.dumps(_to_fields(bot)))
        self._cache[key] = bot

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        key = _key(enterprise_id, team_id)
        if key in self._cache:
            return self._cache[key]
        stored = await self._vault.get(key)
        if stored is None:
            return None
        self._cache[key] = Bot(**json.loads(stored))
        return self._cache[key]

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """None: only bot tokens are kept."""
        return None

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        key = _key(enterprise_id, team_id)
        await self._vault.delete(key)
        self._cache.pop(key, None)

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Nothing: only bot tokens are kept."""

    async def teams(self) -> Sequence[str]:
        """The workspaces with a token."""
        keys = await self._vault.keys()
        return [key.removeprefix(_KEY) for key in keys if key.startswith(_KEY)]


class InstalledWorkspaces:
    """`workspaces.Workspaces` over the store; exchanges tokens that expire."""

    def __init__(
        self,
        store: VaultInstallationStore,
        client_id: str,
        client_secret: str,
        client: Callable[[], AsyncWebClient],
    ) -> None:
        self._store = store
        self._secrets = (client_id, client_secret)
        self._client = client
        self._rotating = asyncio.Lock()

    async def token(self, team: str) -> str:
        bot = await self._store.async_find_bot(enterprise_id=None, team_id=team)
        if bot is not None and _expires_soon(bot):
            bot = await self._rotated(team)
        if bot is None or not bot.bot_token:
            raise AuthLost(f"workspace {team} has not installed the app, or removed it")
        return bot.bot_token

    async def teams(self) -> Sequence[str]:
        return await self._store.teams()

    async def forget(self, team: str) -> None:
        await self._store.async_delete_all(enterprise_id=None, team_id=team)

    async def _rotated(self, team: str) -> Bot | None:
        """One exchange at a time: an old refresh token is good for one."""
        async with self._rotating:
            bot = await self._store.async_find_bot(enterprise_id=None, team_id=team)
            if bot is None or not _expires_soon(bot):
                return bot
            client_id, client_secret = self._secrets
            rotator = AsyncTokenRotator(
                client=self._client(), client_id=client_id, client_secret=client_secret
            )
            try:
                fresh = await rotator.perform_bot_token_rotation(
                    bot=bot, minutes_before_expiration=ROTATE_BEFORE_MIN
                )
            except (SlackTokenRotationError, SlackApiError):
                raise AuthLost(
                    f"workspace {team}: the token could not be exchanged, install the app again"
                ) from None
            except TRANSPORT as error:
                raise Unreachable(f"oauth.v2.access: {type(error).__name__}") from None
            if fresh is None:
                return bot
            await self._store.async_save_bot(fresh)
            return fresh


class SignedStates(AsyncOAuthStateStore):
    """States that need no store: a random part, when it ends, and our signature; each is good once."""

    def __init__(self, secret: str, now_s: Callable[[], float] = time.time) -> None:
        self._key = hashlib.sha256(f"state:{secret}".encode()).digest()
        self._now_s = now_s
        self._used: OrderedDict[str, float] = OrderedDict()

    @property
    def logger(self) -> Logger:
        return SDK_LOG

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        text = f"{secrets.token_urlsafe(16)}.{int(self._now_s()) + STATE_LIFE_S}"
        return f"{text}.{self._signature(text)}"

    async def async_consume(self, state: str) -> bool:
        text, _, signature = state.rpartition(".")
        if not text or not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return False
        until_s = float(text.rpartition(".")[2])
        now_s = self._now_s()
        while self._used and next(iter(self._used.values())) < now_s:
            self._used.popitem(last=False)
        if until_s < now_s or state in self._used or len(self._used) >= USED_STATES_MAX:
            return False
        self._used[state] = until_s
        return True

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def make_flow(
    store: VaultInstallationStore,
    client: AsyncWebClient,
    *,
    client_id: str,
    client_secret: str,
    redirect_uri: str,
    authorize_url: str,
) -> AsyncOAuthFlow:
    """slack-bolt's flow over our stores. `client` makes its calls."""
    settings = AsyncOAuthSettings(
        client_id=client_id,
        client_secret=client_secret,
        scopes=list(BOT_SCOPES),
        user_scopes=[],
        redirect_uri=redirect_uri,
        authorization_url=authorize_url,
        installation_store=store,
        installation_store_bot_only=True,
        state_store=SignedStates(client_secret),
        state_expiration_seconds=STATE_LIFE_S,
        # A page would have to be escaped; a redirect says the same.
        install_page_rendering_enabled=False,
        logger=SDK_LOG,
    )
    return AsyncOAuthFlow(client=client, logger=SDK_LOG, settings=settings)


def authorize_url(api_base_url: str) -> str:
    """Where people agree to an installation: beside the Web API."""
    return f"{api_base_url.removesuffix('/api')}/oauth/v2/authorize"


def _expires_soon(bot: Bot) -> bool:
    if not bot.bot_refresh_token or bot.bot_token_expires_at is None:
        return False
    return bool(bot.bot_token_expires_at <= time.time() + ROTATE_BEFORE_MIN * 60)


def _key(enterprise_id: str | None, team_id: str | None) -> str:
    return f"{_KEY}{team_id or enterprise_id or ''}"


def _to_fields(bot: Bot) -> dict[str, Any]:
    """What Bot's constructor takes, as JSON."""
    fields = bot.to_dict_for_copying()
    for name, value in fields.items():
        if isinstance(value, datetime):
            fields[name] = value.timestamp()
    if (expires_at := fields.get("bot_token_expires_at")) is not None:
        fields["bot_token_expires_at"] = int(expires_at)
    return fields
