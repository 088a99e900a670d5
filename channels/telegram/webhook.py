"""Receiving by webhook: Telegram posts each update to our port, and is told 200 when it is stored.

Theory of operation: posts come one at a time for each chat and come again until they are taken, so a commit before
the answer keeps everything and its order. They carry a secret that we made and only Telegram was told. The cursor
of polling is left alone: chats are posted side by side, so no number says what was confirmed. A task registers
the webhook, and looks again and again whether it is still ours and whether posts arrive.

Knows no SDK and no HTTP server.
"""

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from channels.messages import HealthState, HttpRequest, HttpResponse
from channels.port import Vault
from channels.telegram.capabilities import WEBHOOK_CHECK_S
from channels.telegram.receiving import Receiver

log = logging.getLogger(__name__)

PATH: Final = "webhook"
"""Under `/hooks/telegram/{account}/`."""
SCOPE: Final = "webhook"
"""The cursor scope in which it is noted that we listen."""
SECRET_HEADER: Final = "x-telegram-bot-api-secret-token"
_SECRET_KEY = "webhook.secret"
_ADDRESS_KEY = "webhook.address"
# Of the 1-256 characters of A-Z, a-z, 0-9, _ and - that setWebhook takes; 32 random bytes cannot be guessed.
_SECRET_BYTES = 32
_LISTENING = "on"
# Telegram tries again after 120 s at the latest (WEBHOOK_MAX_RESEND_TIMEOUT, doubled at random).
_FAILURE_OLD_S = 180.0


@dataclass(frozen=True, slots=True)
class WebhookState:
    """What Telegram says about the webhook. Times are seconds since 1970; `waiting` counts updates."""

    url: str
    waiting: int = 0
    failed_at: float | None = None
    failure: str = ""


class WebhookApi(Protocol):
    """The calls about webhooks. All raise ChannelError."""

    async def set_webhook(self, url: str, secret: str) -> None:
        """Have updates posted to `url`."""
        ...

    async def delete_webhook(self) -> None:
        """Have updates wait for a poller."""
        ...

    async def webhook_state(self) -> WebhookState:
        """Where updates are posted to, and how that goes."""
        ...


@dataclass(slots=True)
class Webhook:
    """One account's webhook. `run` once; `receive` at any time."""

    api: WebhookApi
    vault: Vault
    receiver: Receiver
    url: str
    _secret: str | None = None
    _is_set: bool = False

    async def run(self) -> None:
        """Register the webhook and watch it, until cancelled or until the token is refused."""
        await self.receiver.persist(self._round)

    async def _round(self) -> None:
        if not self._is_set:
            await self._register()
        if await self.look():
            await self.receiver.note_alive({SCOPE: _LISTENING})
        await asyncio.sleep(WEBHOOK_CHECK_S)

    async def _register(self) -> None:
        await self.receiver.get_ready()
        secret = await self.vault.get(_SECRET_KEY)
        if secret is None:
            secret = secrets.token_urlsafe(_SECRET_BYTES)
            await self.vault.put(_SECRET_KEY, secret)
        # Before it is set: a webhook that is ours must never be taken for somebody else's.
        await self.vault.put(_ADDRESS_KEY, self.url)
        self._secret = secret
        await self.api.set_webhook(self.url, secret)
        self._is_set = True

    async def look(self) -> bool:
        """Ask how posts fare and show it; whether they arrive. Raises ChannelError."""
        if not self._is_set:
            return False
        state = await self.api.webhook_state()
        problem = self._problem(state)
        self._is_set = bool(state.url)
        self.receiver.show(HealthState.DEGRADED if problem else HealthState.CONNECTED, problem)
        return problem is None

    def _problem(self, state: WebhookState) -> str | None:
        if not state.url:
            return "somebody took the webhook away: it will be set again"
        if state.url != self.url:
            host = urlsplit(state.url).hostname
            return f"somebody set another webhook, at {host}: stop it and restart, or use another token"
        age_s = self.receiver.now_ms() / 1000 - (state.failed_at or 0)
        if state.waiting and age_s < _FAILURE_OLD_S:
            return f"Telegram cannot deliver to webhook_url: {state.failure}"
        return None

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Take one post. Raises what the store raises, so that Telegram posts it again."""
        if request.method != "POST":
            return HttpResponse(405, headers={"Allow": "POST"})
        if self._secret is None or not self.receiver.is_ready:
            return HttpResponse(503, headers={"Retry-After": "1"})
        # HTTP servers hand on bytes that are no text as half characters.
        claimed = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(claimed, self._secret.encode()):
            return HttpResponse(403)
        update = _update_in(request.body)
        if update is None:
            # Posted again it would be no better, and everything behind it would wait.
            log.error("telegram posted what is no update", extra={"action": "telegram.no_update"})
            return HttpResponse(200)
        await self.receiver.take([update], {SCOPE: _LISTENING})
        return HttpResponse(200)


async def leave_own_webhook(api: WebhookApi, vault: Vault) -> None:
    """Take back the webhook that this account has set, if it is still there. Raises ChannelError."""
    address = await vault.get(_ADDRESS_KEY)
    if address is None:
        return
    if (await api.webhook_state()).url == address:
        await api.delete_webhook()
    await vault.delete(_ADDRESS_KEY)


def _update_in(body: bytes) -> Mapping[str, Any] | None:
    try:
        update = json.loads(body)
    except ValueError:
        return None
    return update if isinstance(update, dict) and isinstance(update.get("update_id"), int) else None
