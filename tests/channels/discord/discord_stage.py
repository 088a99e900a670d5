"""What the adapter's tests share: the bot, its adapter, and its rooms in the emulator."""

from pydantic import SecretStr

from channels.discord.adapter import DiscordAdapter
from channels.discord.backoff import Backoff
from channels.discord.settings import DiscordSettings
from channels.emulators.discord import (
    DEFAULT_CHANNEL,
    DEFAULT_GUILD,
    NO_RATE_LIMITS,
    BotAccount,
    DiscordEmulator,
    Message,
)
from channels.messages import HealthState, RoomRef

GATE = BotAccount(token="bot-secret", id=940_000_000_000_000_001, username="gate", display_name="Gate")
GENERAL = RoomRef(str(DEFAULT_CHANNEL.id))
GUILD_ID = DEFAULT_GUILD.id
MENTION = f"<@{GATE.id}>"
# Failures follow one another at once: tests wait for outcomes, not for the clock.
AT_ONCE = Backoff(first_s=0.005, max_s=0.01, identify_spacing_s=0.0)
REQUEST_TIMEOUT_S = 2.0


def make_emulator(bot: BotAccount = GATE) -> DiscordEmulator:
    return DiscordEmulator([bot], rate_limits=NO_RATE_LIMITS)


def make_adapter(
    emulator: DiscordEmulator,
    *,
    token: str = GATE.token,
    backoff: Backoff = AT_ONCE,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    **settings: object,
) -> DiscordAdapter:
    made = DiscordSettings.model_validate(
        {
            "kind": "discord",
            "account": "gate",
            "token": SecretStr(token),
            "api_base_url": emulator.api_base_url,
            "gateway_url": emulator.gateway_url,
            **settings,
        }
    )
    return DiscordAdapter(made, token, backoff, request_timeout_s)


def is_connected(adapter: DiscordAdapter) -> bool:
    return adapter.health().state is HealthState.CONNECTED


def from_bot(emulator: DiscordEmulator, channel_id: int = DEFAULT_CHANNEL.id) -> list[Message]:
    return [one for one in emulator.messages(channel_id) if one.author_id == GATE.id]
