"""The two chat networks of the governed scenario, and what people do and see there. They run in this process."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from channels.emulators import discord, slack

T = TypeVar("T")

PATIENCE_S: Final = 30.0
"""The longest anything here takes on a busy machine: a start of the gateway."""
LOOK_EVERY_S: Final = 0.05

ADA: Final = slack.DEFAULT_USER
GRACE: Final = slack.Person("U0GRACE", "grace", "Grace")
LINUS: Final = discord.User(discord.DEFAULT_USER.id + 2, "linus", "Linus")
APPROVERS: Final = (f"slack:{ADA.id}", f"slack:{GRACE.id}", f"discord:{LINUS.id}")
"""Ada is among them, and may not approve what she asked for herself."""

_APP: Final = slack.AppAccount(app_token="xapp-demo-app-token")
_BOT: Final = discord.BotAccount(token="demo-bot-token", id=940_000_000_000_000_001, username="threadgate")
_SLACK_TOKEN: Final = "xoxb-demo-bot-token"


class NotSeen(Exception):
    """What should have come did not; the text says what."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button of a card, and what pressing it needs."""

    label: str
    key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A message of the bot as people see it."""

    ref: str
    text: str
    buttons: tuple[Button, ...]


class Workspace:
    """Slack, with the room where Ada asks."""

    def __init__(self) -> None:
        self._emulator = slack.SlackEmulator([_APP], installed=[slack.Installed(token=_SLACK_TOKEN)])
        self._room = self._emulator.open_channel("releases", members=(ADA, GRACE))

    async def start(self) -> None:
        """Listen on loopback."""
        await self._emulator.start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._emulator.stop()

    def account(self) -> Mapping[str, Any]:
        """How the gateway joins it."""
        return {
            "kind": "slack",
            "account": "demo",
            "dm_policy": "open",
            "bot_token": _SLACK_TOKEN,
            "app_token": _APP.app_token,
            "api_base_url": self._emulator.api_url.rstrip("/"),
        }

    def say(self, text: str) -> None:
        """Ada mentions the bot in the room."""
        self._emulator.say(f"@{_APP.name} {text}", user=ADA, channel=self._room)

    def seen(self) -> list[Seen]:
        """What the bot has written, oldest first."""
        return [
            Seen(message.ts, _words(message.text, message.blocks), tuple(_slack_buttons(message.blocks)))
            for message in self._emulator.messages(self._room)
            if message.bot is not None and message.deleted_at is None
        ]

    def press(self, seen: Seen, label: str, person: slack.Person) -> None:
        """Somebody presses a button."""
        self._emulator.press(self._room, seen.ref, _key(seen, label), user=person)

    def whispers(self, person: slack.Person) -> list[str]:
        """What only this person was told."""
        return [
            _words(message.text, message.blocks)
            for message in self._emulator.ephemerals(self._room)
            if message.ephemeral_to == person.id
        ]


class Guild:
    """Discord, with the room where it is asked besides."""

    def __init__(self) -> None:
        self._emulator = discord.DiscordEmulator([_BOT], people=(LINUS,))
        self._channel = self._emulator.world.channels[discord.DEFAULT_CHANNEL.id]
        self.room = f"discord:demo:{self._channel.id}"

    async def start(self) -> None:
        """Listen on loopback."""
        await self._emulator.start()

    async def stop(self) -> None:
        """Listen no more."""
        await self._emulator.stop()

    def account(self) -> Mapping[str, Any]:
        """How the gateway joins it."""
        return {
            "kind": "discord",
            "account": "demo",
            "dm_policy": "open",
            "token": _BOT.token,
            "api_base_url": self._emulator.api_base_url,
            "gateway_url": self._emulator.gateway_url.rstrip("/"),
        }

    def seen(self) -> list[Seen]:
        """What the bot has written, oldest first."""
        return [
            Seen(str(message.id), message.content, tuple(_discord_buttons(message.components)))
            for message in sorted(self._channel.messages.values(), key=lambda one: one.id)
            if message.author_id == _BOT.id and message.deleted_at is None
        ]

    def press(self, seen: Seen, label: str) -> None:
        """Linus presses a button."""
        self._emulator.press(self._channel.id, int(seen.ref), _key(seen, label), user=LINUS)


async def until(look: Callable[[], T | None], what: str) -> T:
    """What `look` finds, once it finds something. Raises NotSeen."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (found := look()) is None:  # noqa: ASYNC110 - the emulators tell nobody
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise NotSeen(what) from None
    return found


def _key(seen: Seen, label: str) -> str:
    for button in seen.buttons:
        if button.label == label:
            return button.key
    raise NotSeen(f"a button {label!r} under {seen.text!r}")


def _slack_buttons(blocks: Iterable[Mapping[str, Any]]) -> Iterable[Button]:
    for block in blocks:
        for element in block.get("elements", ()) if block["type"] == "actions" else ():
            if element["type"] == "button":
                yield Button(element["text"]["text"], element["action_id"])


def _discord_buttons(components: Iterable[Mapping[str, Any]]) -> Iterable[Button]:
    for component in components:
        if "custom_id" in component and "label" in component:
            yield Button(component["label"], component["custom_id"])
        yield from _discord_buttons(component.get("components", ()))


def _words(text: str, blocks: Iterable[Mapping[str, Any]]) -> str:
    """All the text of a message, wherever in its blocks it stands."""
    found = list(_texts(list(blocks)))
    return "\n".join(found) if found else text


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("text"), str):
            yield value["text"]
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
