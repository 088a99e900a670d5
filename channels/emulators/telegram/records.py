"""The things of the emulated network: accounts, people, rooms, messages, files, drafts and updates.

Plain records without rules; the rules live in `world.py` and beside it, the wire form in `wire.py`.
All times are seconds since 1970, as on the Bot API's wire; the clock is injected where they are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChatType = Literal["private", "group", "supergroup"]
FileKind = Literal["photo", "document", "voice", "audio", "video", "sticker"]
Role = Literal["creator", "administrator", "member", "left", "kicked"]


@dataclass(frozen=True, slots=True)
class BotAccount:
    """One bot. `privacy_mode` is the network's default: in groups the bot sees only what is meant for it.

    `webhook_url` is a webhook left behind by an earlier set-up: until it is deleted, polling is a conflict.
    `has_topics` is the forum mode of private chats, `users_create_topics` who may open topics there.
    `may_stream_drafts` off makes drafts answer TEXTDRAFT_PEER_INVALID, as before Bot API 9.5 for most bots.
    """

    token: str
    id: int
    username: str
    first_name: str = "Bot"
    privacy_mode: bool = True
    webhook_url: str = ""
    has_topics: bool = False
    users_create_topics: bool = False
    may_stream_drafts: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: int
    first_name: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file the network keeps. `path` is what getFile answers; sizes are those of a picture, else 0."""

    kind: FileKind
    unique_id: str
    data: bytes
    path: str
    name: str | None = None
    mime: str | None = None
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Media:
    """What hangs on a message. A photo has several files (its sizes, smallest first), all others one.

    `facts` is what the wire form has beside the file: duration, performer, emoji …
    """

    kind: FileKind
    files: tuple[StoredFile, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """What a message shows. With media the text is its caption; with `rich` it is the plain form of that."""

    text: str = ""
    entities: list[Json] = field(default_factory=list)
    media: Media | None = None
    rich: Json | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One version of a message that was replaced at `at`."""

    at: float
    content: Content

    @property
    def text(self) -> str:
        """The text or caption it had."""
        return self.content.text

    @property
    def entities(self) -> list[Json]:
        """The entities it had."""
        return self.content.entities


@dataclass(slots=True)
class Message:
    """One message with everything that happened to it. `sender` is a bot or a person.

    `service` is the wire form of what a service message tells. An ephemeral message has the id 0, an
    `ephemeral_id` and the one person who sees it; `order` says what was posted before what in the world.
    """

    id: int
    at: float
    sender: BotAccount | User
    content: Content
    order: int = 0
    thread_id: int | None = None
    reply_to: int | None = None
    keyboard: list[list[Json]] | None = None
    media_group_id: str | None = None
    service: Json | None = None
    ephemeral_id: int | None = None
    ephemeral_to: User | None = None
    edited_at: float | None = None
    edits: list[Edit] = field(default_factory=list)
    reactions: dict[int, list[str]] = field(default_factory=dict)
    deleted_at: float | None = None

    @property
    def text(self) -> str:
        """The text or caption."""
        return self.content.text

    @property
    def entities(self) -> list[Json]:
        """The entities of the text or caption."""
        return self.content.entities


@dataclass(slots=True)
class Topic:
    """A topic of a forum or of a private chat; its id is the id of its first message."""

    id: int
    name: str
    icon_color: int
    creator_id: int
    is_closed: bool = False


@dataclass(slots=True)
class Draft:
    """A message that is being written before a person's eyes. An empty text is the thinking placeholder."""

    id: int
    bot: BotAccount
    content: Content
    thread_id: int | None
    expires_at: float
    versions: int = 1


@dataclass(slots=True)
class Chat:
    """A room. A private chat belongs to one bot and has its user's id; a supergroup may hold several bots.

    `bots` are those in it now, `first_bot` the one it was made with. `roles` holds what differs from member.
    """

    id: int
    type: ChatType
    title: str
    bots: dict[int, BotAccount]
    first_bot: BotAccount
    user: User | None = None
    members: dict[int, User] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    ephemeral: dict[int, Message] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)
    drafts: dict[int, Draft] = field(default_factory=dict)
    last_bot_id: int | None = None
    last_message_id: int = 0
    has_forum: bool = False
    migrated_to: int | None = None

    @property
    def is_forum(self) -> bool:
        """A supergroup becomes a forum when somebody says so or opens a topic."""
        return self.type == "supergroup" and (self.has_forum or bool(self.topics))

    def role_of(self, member_id: int) -> Role:
        """Somebody's role; strangers have left."""
        is_here = member_id in self.bots or member_id in self.members
        return self.roles.get(member_id, "member" if is_here else "left")

    def is_admin(self, member_id: int) -> bool:
        """Whether somebody has an administrator's rights; here every administrator has all of them."""
        return self.role_of(member_id) in ("creator", "administrator")


@dataclass(slots=True)
class CallbackQuery:
    """A pressed button that waits for `answerCallbackQuery`. `answer` is the text the person was shown."""

    id: str
    bot_id: int
    chat: Chat
    at: float
    user_id: int = 0
    is_answered: bool = False
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of a bot's update queue. `payload` is the wire form, frozen when it was made."""

    id: int
    kind: str
    payload: Json
    expires_at: float


@dataclass(slots=True)
class Webhook:
    """Where a bot's updates are posted to; an empty url means nowhere. Errors as getWebhookInfo shows them."""

    url: str = ""
    secret_token: str = ""
    max_connections: int = 40
    last_error_at: float | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Something visible happened in a chat; what the page and the waiting pollers are told."""

    kind: str
    chat_id: int
    bot: str
    detail: Json

    def to_wire(self) -> Json:
        """As pages are told."""
        return {"type": self.kind, "chat_id": self.chat_id, "bot": self.bot, "detail": self.detail}
