"""What the adapter's tests share: the bot and its adapter."""

from typing import Any

from channel_stage import MemoryVault
from pydantic import SecretStr

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, TelegramEmulator
from channels.messages import RoomRef
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
