"""What the adapter's tests share: the bot, its adapter and a port for webhooks."""

from typing import Any

from aiohttp import web
from channel_stage import MemoryVault
from pydantic import SecretStr

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, TelegramEmulator
from channels.messages import HttpRequest, HttpResponse, RoomRef
from channels.port import Vault
from channels.telegram.adapter import TelegramAdapter
from channels.telegram.poller import Backoff
from channels.telegram.settings import TelegramSettings

GATE = BotAccount(token="42:gate-secret", id=42, username="gate_bot", first_name="Gate")
ADA = RoomRef("1001")
# Failures follow one another at once: tests wait for outcomes, not for the clock.
AT_ONCE = Backoff(first_s=0.005, max_s=0.01)


def make_emulator() -> TelegramEmulator:
    return TelegramEmulator([GATE], flood_limits=NO_FLOOD_LIMITS, slows_repeated_polls=False)


def make_adapter(
    api_base_url: str,
    token: str = GATE.token,
    backoff: Backoff = AT_ONCE,
    vault: Vault | None = None,
    **extra: Any,
) -> TelegramAdapter:
    settings = TelegramSettings(
        kind="telegram",
        account="gate",
        token=SecretStr(token),
        api_base_url=api_base_url,
        poll_timeout_s=20,
        **extra,
    )
    return TelegramAdapter(settings, token, vault or MemoryVault(), backoff)


class HookServer:
    """What the gateway's port does for an adapter: requests under /hooks, and a 500 for what escapes."""

    def __init__(self) -> None:
        self.adapter: TelegramAdapter | None = None
        self.url = ""
        self.statuses: list[int] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/hooks/telegram/gate/{path:.*}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        assert self.adapter is not None
        hook = HttpRequest(
            request.method,
            request.match_info["path"],
            {name.lower(): value for name, value in request.headers.items()},
            dict(request.query),
            await request.read(),
        )
        try:
            answer = await self.adapter.receive(hook)
        except OSError:
            answer = HttpResponse(500)
        self.statuses.append(answer.status)
        return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
