"""A Discord for tests, the demo and offline play: REST and gateway, strict about the network's rules.

An unmodified client library talks to it (`api_base_url`, `gateway_url`). `world`, `acts`, `people*`, `bot_*`,
`responses`, `sessions` and `handshake` are the pure rules; `rest`, `gateway`, `control` and `emulator` the shell.
"""

from channels.emulators.discord.emulator import DiscordEmulator
from channels.emulators.discord.intents import Intent
from channels.emulators.discord.limits import NO_RATE_LIMITS, RateLimits
from channels.emulators.discord.network import DEFAULT_CHANNEL, DEFAULT_GUILD, DEFAULT_USER
from channels.emulators.discord.permissions import Permission
from channels.emulators.discord.records import (
    BotAccount,
    Channel,
    ChannelSeed,
    GuildSeed,
    Interaction,
    Message,
    RoleSeed,
    Upload,
    User,
)
from channels.emulators.errors import ControlError
from channels.emulators.faults import Fault, FaultKind, FaultScript

__all__ = [
    "DEFAULT_CHANNEL",
    "DEFAULT_GUILD",
    "DEFAULT_USER",
    "NO_RATE_LIMITS",
    "BotAccount",
    "Channel",
    "ChannelSeed",
    "ControlError",
    "DiscordEmulator",
    "Fault",
    "FaultKind",
    "FaultScript",
    "GuildSeed",
    "Intent",
    "Interaction",
    "Message",
    "Permission",
    "RateLimits",
    "RoleSeed",
    "Upload",
    "User",
]
