"""The things of the emulated network: applications, people, guilds, rooms, messages and interactions.

Plain records without rules; the rules live in `world.py` and the modules above it, the wire form in `wire.py`.
All times are seconds since 1970 of the injected clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, Literal

from channels.emulators.discord.intents import Intent
from channels.emulators.discord.permissions import EVERYONE, NO_PERMISSIONS, Permission

Json = dict[str, Any]
Nonce = str | int


class ChannelType(IntEnum):
    """Kinds of rooms; public threads of text channels are the usual ones."""

    TEXT = 0
    DM = 1
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12


class MessageType(IntEnum):
    """What a message is; everything but DEFAULT, REPLY and CHAT_INPUT_COMMAND is a system message."""

    DEFAULT = 0
    THREAD_CREATED = 18
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    THREAD_STARTER = 21


SYSTEM_TYPES = frozenset({MessageType.THREAD_CREATED, MessageType.THREAD_STARTER})


class MessageFlag(IntFlag):
    """Bits of a message's `flags`."""

    SUPPRESS_EMBEDS = 1 << 2
    HAS_THREAD = 1 << 5
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_COMPONENTS_V2 = 1 << 15


NO_FLAGS = MessageFlag(0)


@dataclass(frozen=True, slots=True)
class BotAccount:
    """An application with its bot user; both have the same id, as with all applications made since 2016.

    The three last fields are the privileged intents that are enabled in the application's settings.
    """

    token: str
    id: int
    username: str
    display_name: str = "Bot"
    message_content: bool = True
    guild_members: bool = False
    guild_presences: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """Somebody: a person, or a bot (also one that is not ours, to try how bots treat each other)."""

    id: int
    username: str
    display_name: str | None = None
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class RoleSeed:
    """A role beside @everyone."""

    id: int
    name: str
    is_mentionable: bool = False


@dataclass(frozen=True, slots=True)
class ChannelSeed:
    """A text channel that a guild starts with."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class GuildSeed:
    """A guild to start with. `bots` None puts every bot into it."""

    id: int
    name: str
    channels: Sequence[ChannelSeed]
    roles: Sequence[RoleSeed] = ()
    bots: Sequence[int] | None = None


@dataclass(slots=True)
class Bot:
    """What the network knows about an application now. `commands` are by guild id, 0 for the global ones."""

    token: str
    user: User
    enabled: Intent
    is_revoked: bool = False
    commands: dict[int, list[Json]] = field(default_factory=dict)
    command_creates: dict[int, list[float]] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """The application's and the bot user's id."""
        return self.user.id


@dataclass(slots=True)
class Guild:
    """A server. `members` holds ids of people and bots with the time they joined."""

    id: int
    name: str
    owner_id: int
    roles: Sequence[RoleSeed]
    members: dict[int, float] = field(default_factory=dict)
    everyone: Permission = EVERYONE


@dataclass(slots=True)
class ThreadState:
    """What only threads have. `members` are ids with the time they joined; `total_sent` never goes down."""

    archived: bool
    locked: bool
    auto_archive_minutes: int
    archive_at: float
    created_at: float
    members: dict[int, float] = field(default_factory=dict)
    message_count: int = 0
    total_sent: int = 0


@dataclass(slots=True)
class Overwrite:
    """What one member may or may not do in a channel, whatever the roles say."""

    allow: Permission = NO_PERMISSIONS
    deny: Permission = NO_PERMISSIONS


@dataclass(slots=True)
class Channel:
    """A room. `guild_id` is None for DMs, whose `recipients` are the bot and the person."""

    id: int
    type: ChannelType
    name: str
    guild_id: int | None = None
    parent_id: int | None = None
    owner_id: int | None = None
    recipients: tuple[int, ...] = ()
    topic: str | None = None
    position: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    thread: ThreadState | None = None
    messages: dict[int, "Message"] = field(default_factory=dict)
    last_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes with a message. `index` is the n of `files[n]`."""

    index: int
    filename: str
    data: bytes
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message."""

    id: int
    channel_id: int
    filename: str
    content_type: str | None
    data: bytes
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Mentions:
    """Who is notified by a message."""

    users: tuple[int, ...] = ()
    roles: tuple[int, ...] = ()
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """The message that another one answers, or starts from."""

    channel_id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Edit:
    """One version of a message that was replaced at `at`."""

    at: float
    content: str
    embeds: Sequence[Json]
    components: Sequence[Json]


@dataclass(slots=True)
class Message:
    """One message with everything that happened to it. Reactions are user ids by emoji.

    `interaction_id` is set on what answers an interaction; `ephemeral_to` is the one person who sees it.
    """

    id: int
    channel_id: int
    author_id: int
    at: float
    content: str
    type: MessageType = MessageType.DEFAULT
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: MessageFlag = NO_FLAGS
    mentions: Mentions = Mentions()
    reference: Reference | None = None
    nonce: Nonce | None = None
    tts: bool = False
    edited_at: float | None = None
    edits: list[Edit] = field(default_factory=list)
    reactions: dict[str, list[int]] = field(default_factory=dict)
    deleted_at: float | None = None
    interaction_id: int | None = None
    ephemeral_to: int | None = None


InteractionKind = Literal["command", "component", "modal"]


@dataclass(slots=True)
class Interaction:
    """Something a person did that waits for the application. `wire_type` is 2, 3 or 5.

    `acknowledged_at` is None until the first response; `original_id` is the message that `@original` means.
    """

    id: int
    token: str
    bot_id: int
    kind: InteractionKind
    channel_id: int
    user_id: int
    at: float
    data: Json
    message_id: int | None = None
    acknowledged_at: float | None = None
    response_type: int | None = None
    original_id: int | None = None
    modal: Json | None = None
    follow_ups: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An event for one bot. A session gets it when it asked for `intent`, `bare` when it may not read content."""

    bot_id: int
    event: str
    intent: Intent
    data: Json
    bare: Json | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something visible happened; what pages are told."""

    kind: str
    channel_id: int | None
    detail: Mapping[str, Any]

    def to_wire(self) -> Json:
        """As pages are told; ids are texts, because scripts cannot count that far."""
        channel_id = None if self.channel_id is None else str(self.channel_id)
        return {"type": self.kind, "channel_id": channel_id, "detail": dict(self.detail)}
