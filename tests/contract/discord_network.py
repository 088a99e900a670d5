"""Discord for contract scenarios: `networks.Network` over the emulated REST API and gateway."""

import asyncio
from collections.abc import Iterable
from typing import Any

from channels.discord.render import render_markdown
from channels.emulators.calls import Call
from channels.emulators.discord import (
    NO_RATE_LIMITS,
    BotAccount,
    Channel,
    ChannelSeed,
    DiscordEmulator,
    GuildSeed,
    Message,
    Permission,
    RateLimits,
    Upload,
    User,
)
from channels.emulators.discord.components import BUTTON, walk
from channels.emulators.discord.records import SYSTEM_TYPES
from channels.emulators.faults import FaultKind
from channels.messages import Mark
from tests.contract.code_blocks import fenced_code
from tests.contract.networks import ADA, GATE, NIGHT, Act, Facts, File, Person, Said, Shown, Spot

BOTS = {
    GATE: BotAccount("gate-secret", 940_000_000_000_000_001, "gate", "Gate"),
    NIGHT: BotAccount("night-secret", 940_000_000_000_000_002, "night", "Night"),
}
_FIRST_PERSON = 930_000_000_000_000_000
_GUILD = 910_000_000_000_000_001
_HALL = ChannelSeed(920_000_000_000_000_001, "hall")
COMMAND, COMMAND_TEXT = "ask", "text"
_CALLS = {
    Act.SEND: "POST /channels/{c}/messages",
    Act.EDIT: "PATCH /channels/{c}/messages/{m}",
    Act.UPLOAD: "POST /channels/{c}/messages",
}
_MARKS = {"👀": Mark.SEEN, "✅": Mark.DONE, "❌": Mark.FAILED}
_FORM_S = 3.0


class DiscordNetwork:
    """The emulator and who is on it. `has_limits` switches the rate limits on."""

    kind = "discord"
    facts = Facts(acknowledges=False)

    def __init__(self, *, has_limits: bool = False) -> None:
        self.emulator = DiscordEmulator(
            list(BOTS.values()),
            [GuildSeed(_GUILD, "Workshop", (_HALL,))],
            people=[self._user(ADA)],
            rate_limits=RateLimits() if has_limits else NO_RATE_LIMITS,
        )
        self._rooms: dict[str, Spot] = {}
        self._port = 0

    async def open(self) -> None:
        await self.emulator.start(port=self._port)
        self._port = int(self.emulator.url.rpartition(":")[2])

    async def close(self) -> None:
        await self.emulator.stop()

    async def unplug(self) -> None:
        await self.emulator.stop()

    async def plug(self) -> None:
        await self.open()

    def table(self, account: str = GATE) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "account": account,
            "token": BOTS[account].token,
            "api_base_url": self.emulator.api_base_url,
            "gateway_url": self.emulator.gateway_url,
        }

    # --- places and people --------------------------------------------------------------------

    def id_of(self, person: Person) -> str:
        return str(_FIRST_PERSON + person.number)

    def direct(self, person: Person = ADA, account: str = GATE) -> Spot:
        channel = self.emulator.dm(self._user(person), bot=BOTS[account].username)
        return Spot(str(channel.id), is_direct=True, account=account)

    def room(self, name: str = "lobby") -> Spot:
        if name not in self._rooms:
            channel = self.emulator.moderation.create_channel(_GUILD, name)
            self._rooms[name] = Spot(str(channel.id), is_direct=False)
        return self._rooms[name]

    def room_id(self, spot: Spot) -> str:
        return spot.room

    # --- what people do -----------------------------------------------------------------------

    def say(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        message = self.emulator.say(text, user=self._user(person), channel_id=_channel_id(spot))
        return Said(spot, str(message.id), person, message.id)

    def mention(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        return self.say(spot, f"<@{BOTS[spot.account].id}> {text}", person)

    def reply(self, said: Said, answer: Shown, text: str, person: Person = ADA) -> Said:
        if answer.spot.thread is None and not said.spot.is_direct:
            message = self.emulator.say(
                text,
                user=self._user(person),
                channel_id=_channel_id(said.spot),
                reply_to=int(answer.ref),
            )
            return Said(said.spot, str(message.id), person, message.id)
        return self.say(answer.spot, text, person)

    def command(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        options = {COMMAND_TEXT: text}
        bot = BOTS[spot.account].username
        self.emulator.slash(COMMAND, options, user=self._user(person), channel_id=_channel_id(spot), bot=bot)
        return Said(spot, "", person)

    def edit(self, said: Said, text: str) -> None:
        mention = "" if said.spot.is_direct or said.spot.thread else f"<@{BOTS[said.spot.account].id}> "
        self.emulator.edit(_channel_id(said.spot), int(said.ref), mention + text)

    def delete(self, said: Said) -> None:
        self.emulator.delete(_channel_id(said.spot), int(said.ref))

    def upload(self, spot: Spot, file: File, text: str = "", person: Person = ADA) -> Said:
        words = text if spot.is_direct else f"<@{BOTS[spot.account].id}> {text}"
        message = self.emulator.say(
            words,
            user=self._user(person),
            channel_id=_channel_id(spot),
            uploads=[Upload(0, file.name, file.data)],
        )
        return Said(spot, str(message.id), person, message.id)

    async def press(self, shown: Shown, label: str, person: Person = ADA) -> None:
        channel_id = _channel_id(shown.spot)
        message = self._channel(shown.spot).messages[int(shown.ref)]
        (custom_id,) = [one["custom_id"] for one in _buttons(message) if one["label"] == label]
        interaction = self.emulator.press(channel_id, message.id, custom_id, user=self._user(person))
        if custom_id.startswith("tg1.r."):
            async with asyncio.timeout(_FORM_S):
                while interaction.modal is None:  # noqa: ASYNC110 - the emulator tells nobody
                    await asyncio.sleep(0.01)
            self.emulator.submit(interaction.id, {})

    # --- what people see ----------------------------------------------------------------------

    def parts(self, markdown: str) -> list[str]:
        return [str(part.payload.get("content", part.text)) for part in render_markdown(markdown)]

    def from_bot(self, spot: Spot, last: int = 0) -> list[Shown]:
        found = [one for one in self._messages(spot) if one.deleted_at is None]
        return [self._shown(spot, one) for one in found[-last:]]

    def answers(self, said: Said) -> list[Shown]:
        thread = said.spot.thread or (
            said.ref if int(said.ref or 0) in self.emulator.world.channels else None
        )
        shown = self.from_bot(Spot(said.spot.room, said.spot.is_direct, None, said.spot.account))
        return [one for one in shown if one.spot.thread == thread]

    def growing(self, spot: Spot) -> str:
        shown = self.from_bot(spot)
        return shown[-1].text if shown else ""

    def posts(self, spot: Spot) -> int:
        return len(self._messages(spot))

    def marks(self, said: Said) -> set[Mark]:
        reactions = self._channel(said.spot).messages[int(said.ref)].reactions
        bot_id = BOTS[said.spot.account].id
        return {_MARKS[emoji] for emoji, users in reactions.items() if bot_id in users}

    def whispers(self, spot: Spot, person: Person) -> list[str]:
        return [
            message.content
            for channel in self._channels(spot)
            for message in channel.messages.values()
            if message.ephemeral_to == int(self.id_of(person))
        ]

    def signs_of_work(self, spot: Spot) -> int:
        channels = {str(channel.id) for channel in self._channels(spot)}
        calls = self.emulator.calls.select("POST /channels/{c}/typing")
        return sum(call.arguments.get("c") in channels for call in calls)

    # --- what can go wrong --------------------------------------------------------------------

    def disturb(self, act: Act, kind: FaultKind, **options: Any) -> None:
        self.emulator.faults.add(kind, _CALLS[act], **options)

    def calls(self, act: Act) -> list[Call]:
        return self.emulator.calls.select(_CALLS[act])

    def hold(self) -> None:
        self.emulator.gateway.hold()

    def release(self, *, backwards: bool = False) -> None:
        count = len(self.emulator.gateway.held())
        self.emulator.gateway.release(list(reversed(range(count))) if backwards else None)

    def redeliver(self, said: Said) -> None:
        self.emulator.gateway.redeliver("MESSAGE_CREATE")

    def undelivered(self, account: str = GATE) -> int:
        return 0

    def acknowledged(self, sayings: Iterable[Said]) -> list[Said]:
        return []

    def revoke(self) -> None:
        self.emulator.moderation.revoke_token()

    def restore(self) -> None:
        self.emulator.moderation.restore_token()

    def expel(self, spot: Spot) -> None:
        everything = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES
        self.emulator.moderation.set_permissions(int(spot.room), deny=everything)

    # --- parts --------------------------------------------------------------------------------

    def _user(self, person: Person) -> User:
        return User(_FIRST_PERSON + person.number, person.name.lower(), person.name, person.is_bot)

    def _channel(self, spot: Spot) -> Channel:
        return self.emulator.world.channels[_channel_id(spot)]

    def _channels(self, spot: Spot) -> list[Channel]:
        """A place with its threads."""
        world, place = self.emulator.world, self._channel(spot)
        return [place, *(world.threads_in(place) if place.thread is None else ())]

    def _messages(self, spot: Spot) -> list[Message]:
        """The bot's own, in the order of posting; not what only one person sees, nor the echo of a command."""
        bot_id = BOTS[spot.account].id
        found = [
            message
            for channel in self._channels(spot)
            for message in channel.messages.values()
            if message.author_id == bot_id
            and message.type not in SYSTEM_TYPES
            and message.interaction_id is None
            and message.ephemeral_to is None
        ]
        return sorted(found, key=lambda message: message.id)

    def _shown(self, spot: Spot, message: Message) -> Shown:
        thread = None if str(message.channel_id) == spot.room else str(message.channel_id)
        mentions = message.mentions
        return Shown(
            Spot(spot.room, spot.is_direct, thread, spot.account),
            str(message.id),
            message.content,
            earlier=tuple(edit.content for edit in message.edits),
            code=fenced_code(message.content),
            buttons=tuple(one["label"] for one in _buttons(message)),
            files=tuple(File(one.filename, one.data) for one in message.attachments),
            called=(
                *map(str, mentions.users),
                *map(str, mentions.roles),
                *(("everyone",) if mentions.everyone else ()),
            ),
        )


def _channel_id(spot: Spot) -> int:
    return int(spot.thread or spot.room)


def _buttons(message: Message) -> list[dict[str, Any]]:
    return [one for one in walk(message.components) if one["type"] == BUTTON and "custom_id" in one]
