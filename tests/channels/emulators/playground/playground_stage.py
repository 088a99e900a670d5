"""What the tests of the playground share: the networks, and a reader of its stream of changes."""

import asyncio
import json
from typing import Any, NamedTuple

from aiohttp import ClientResponse

from channels.emulators.discord import BotAccount as DiscordBot
from channels.emulators.discord import DiscordEmulator
from channels.emulators.slack import SlackEmulator
from channels.emulators.telegram import BotAccount as TelegramBot
from channels.emulators.telegram import TelegramEmulator

PATIENCE_S = 5.0
Emulator = SlackEmulator | TelegramEmulator | DiscordEmulator


class Networks(NamedTuple):
    """In the order of the columns."""

    slack: SlackEmulator
    telegram: TelegramEmulator
    discord: DiscordEmulator


def make_networks() -> Networks:
    """Not started."""
    return Networks(
        SlackEmulator(),
        TelegramEmulator([TelegramBot(token="42:secret", id=42, username="gate_bot")]),
        DiscordEmulator([DiscordBot(token="secret", id=940_000_000_000_000_001, username="gate")]),
    )


async def next_change(stream: ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next change of the stream, with the name of its network."""
    name = ""
    while True:
        line = (await asyncio.wait_for(stream.content.readline(), PATIENCE_S)).decode()
        assert line, "the stream has ended"
        if line.startswith("event: "):
            name = line.removeprefix("event: ").strip()
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))
