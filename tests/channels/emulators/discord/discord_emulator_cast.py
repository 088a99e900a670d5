"""What the emulator's tests share: bots, people and rooms, a clock moved by hand, and three ways to talk to it.

`Watcher` is the unmodified library, `Api` plain REST, `Wire` a plain gateway socket.
"""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import discord
from aiohttp import ClientSession, ClientWebSocketResponse, FormData, WSMsgType

from channels.emulators.discord import BotAccount, ChannelSeed, DiscordEmulator, GuildSeed, RoleSeed, User

GATE = BotAccount(token="gate-secret", id=940_000_000_000_000_001, username="gate", display_name="Gate")
SHY = BotAccount(
    token="shy-secret", id=940_000_000_000_000_002, username="shy", display_name="Shy", message_content=False
)
ADA = User(930_000_000_000_000_001, "ada", "Ada")
BO = User(930_000_000_000_000_002, "bo", "Bo")
GENERAL = 920_000_000_000_000_001
RANDOM = 920_000_000_000_000_002
WORKSHOP = 910_000_000_000_000_001
MAKERS = 950_000_000_000_000_001
GUILD = GuildSeed(
    WORKSHOP,
    "Workshop",
    (ChannelSeed(GENERAL, "general"), ChannelSeed(RANDOM, "random")),
    roles=(RoleSeed(MAKERS, "makers", is_mentionable=True),),
)
# Longer than anything on loopback takes, shorter than a test may.
DEADLINE_S = 5.0
ALL_INTENTS = discord.Intents.default().value | 1 << 15


@dataclass
class Clock:
    """Seconds since 1970, moved by hand."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


class Watcher(discord.Client):
    """A client of the library that writes down what it is told."""

    def __init__(self, intents: discord.Intents) -> None:
        super().__init__(
            intents=intents, guild_ready_timeout=0.02, allowed_mentions=discord.AllowedMentions.none()
        )
        self.messages: list[discord.Message] = []
        self.events: list[tuple[Any, ...]] = []
        self.interactions: list[discord.Interaction] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library waits five seconds before it identifies again; here nobody has to."""

    def names(self) -> list[str]:
        """The kinds of what was told, in order."""
        return [event[0] for event in self.events]

    async def on_ready(self) -> None:
        self.events.append(("ready",))

    async def on_resumed(self) -> None:
        self.events.append(("resumed",))

    async def on_message(self, message: discord.Message) -> None:
        self.messages.append(message)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        self.events.append(("edit", payload.message.content))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        self.events.append(("delete", payload.message_id))

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        self.events.append(("bulk_delete", payload.message_ids))

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.events.append(("reaction_add", str(payload.emoji), payload.user_id))

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        self.events.append(("reaction_remove", str(payload.emoji), payload.user_id))

    async def on_typing(self, channel: discord.abc.Messageable, user: discord.User, when: object) -> None:
        self.events.append(("typing", user.id))

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self.events.append(("thread_create", thread.id))

    async def on_raw_thread_update(self, payload: discord.RawThreadUpdateEvent) -> None:
        self.events.append(("thread_update", payload.data["thread_metadata"]["archived"]))

    async def on_thread_join(self, thread: discord.Thread) -> None:
        self.events.append(("thread_join", thread.id))

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self.events.append(("guild_remove", guild.id))

    async def on_guild_join(self, guild: discord.Guild) -> None:
        self.events.append(("guild_join", guild.id))

    async def on_guild_channel_create(self, channel: discord.abc.GuildChannel) -> None:
        self.events.append(("channel_create", channel.name))

    async def on_guild_channel_update(self, before: object, after: discord.abc.GuildChannel) -> None:
        self.events.append(("channel_update", after.name))

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        self.events.append(("channel_delete", channel.name))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        self.interactions.append(interaction)

    async def heard(self, *texts: str) -> list[discord.Message]:
        """Wait until these texts were told, in this order and nothing else."""
        await until(lambda: len(self.messages) >= len(texts))
        assert [message.content for message in self.messages] == list(texts)
        return self.messages

    async def told(self, *event: object) -> None:
        """Wait until this event came."""
        await until(lambda: event in self.events)

    async def asked(self, count: int = 1) -> discord.Interaction:
        """The last of so many interactions."""
        await until(lambda: len(self.interactions) == count)
        return self.interactions[-1]

    def channel(self, channel_id: int = GENERAL) -> discord.TextChannel:
        """A text channel from the client's cache."""
        found = self.get_channel(channel_id)
        assert isinstance(found, discord.TextChannel)
        return found


# Makes a library client for an account (GATE by default); closed at the end of the test.
Connect = Callable[..., Awaitable[Watcher]]


@dataclass
class Api:
    """Plain REST calls as a bot."""

    emulator: DiscordEmulator
    session: ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        verb: str,
        path: str,
        body: object = None,
        *,
        token: str | None = GATE.token,
        form: FormData | None = None,
        params: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and JSON of the answer; the headers are kept in `headers`."""
        given = {} if token is None else {"Authorization": f"Bot {token}"}
        options: dict[str, Any] = {"headers": given, "params": params or {}}
        if body is not None:
            options["json"] = body
        if form is not None:
            options["data"] = form
        async with self.session.request(verb, self.emulator.api_base_url + path, **options) as answer:
            self.headers = dict(answer.headers)
            text = await answer.text()
            assert text == "" or answer.headers["Content-Type"] == "application/json"
            return answer.status, json.loads(text) if text else None

    async def send(self, channel_id: int = GENERAL, **fields: object) -> tuple[int, Any]:
        """POST a message."""
        return await self.call("POST", f"/channels/{channel_id}/messages", fields)


@dataclass
class Wire:
    """A plain gateway socket."""

    socket: ClientWebSocketResponse
    inflate: Any = None

    @classmethod
    async def open(
        cls, session: ClientSession, emulator: DiscordEmulator, query: str = "v=10&encoding=json"
    ) -> "Wire":
        """Connect without saying anything."""
        socket = await session.ws_connect(f"{emulator.gateway_url}?{query}")
        return cls(socket, zlib.decompressobj() if "zlib-stream" in query else None)

    async def next(self) -> dict[str, Any]:
        """The next frame; a closed socket is `{"closed": code}`."""
        message = await self.socket.receive(timeout=DEADLINE_S)
        if message.type is WSMsgType.BINARY:
            assert message.data.endswith(b"\x00\x00\xff\xff")
            return dict(json.loads(self.inflate.decompress(message.data)))
        if message.type is WSMsgType.TEXT:
            return dict(json.loads(message.data))
        return {"closed": self.socket.close_code}

    async def send(self, op: int, data: object = None) -> None:
        """One frame."""
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, account: BotAccount = GATE, intents: int = ALL_INTENTS) -> None:
        """Hello and identify; what follows is READY or the end."""
        assert (await self.next())["op"] == 10
        await self.send(2, {"token": account.token, "intents": intents, "properties": {}})

    async def ready(self, account: BotAccount = GATE, intents: int = ALL_INTENTS) -> dict[str, Any]:
        """The data of READY, after the guild came too."""
        await self.identify(account, intents)
        ready = await self.next()
        assert ready["t"] == "READY"
        assert (await self.next())["t"] == "GUILD_CREATE"
        return dict(ready["d"])
