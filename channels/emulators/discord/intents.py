"""Gateway intents: which events a session asked for, and which an application may ask for. Pure.

Bits and privileges: events/gateway.mdx#gateway-intents of discord-api-docs.
"""

from enum import IntFlag
from typing import Final


class Intent(IntFlag):
    """One bit for each group of events."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    GUILD_MESSAGE_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    DIRECT_MESSAGE_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED: Final = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT
# 0-16, then scheduled events, moderation and polls; 17-19, 22 and 23 mean nothing.
KNOWN_BITS: Final = (1 << 17) - 1 | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25

# Application flags that say an intent is enabled, in the form that small applications have
# (resources/application.mdx#application-flags).
_FLAGS: Final = {
    Intent.GUILD_PRESENCES: 1 << 13,
    Intent.GUILD_MEMBERS: 1 << 15,
    Intent.MESSAGE_CONTENT: 1 << 19,
}


def application_flags(enabled: Intent) -> int:
    """The flags of an application with these privileged intents enabled."""
    return sum(flag for intent, flag in _FLAGS.items() if intent in enabled)
