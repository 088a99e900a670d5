"""The things of the emulated network: accounts, people, rooms, messages and updates.

Plain mutable records without rules; the rules live in `world.py`, the wire form in `wire.py`.
All times are seconds since 1970, as on the Bot API's wire; the clock is injected where they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChatType = Literal["private", "group", "supergroup"]


@dataclass(frozen=True, slots=True)
class BotAccount:
    """One bot. `privacy_mode` is the network's default: in groups the bot sees only what is meant for it.

    `webhook_url` is a webhook left behind by an earlier set-up: until it is deleted, polling is a conflict.
    """

    token: str
    id: int
    username: str
    first_name: str = "Bot"
    privacy_mode: bool = True
    webhook_url: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: int
    first_name: str
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One version of a message that was replaced at `at`."""

    at: float
    text: str
    entities: Sequence[Json]


@dataclass(slots=True)
class Message:
    """One message with everything that happened to it. `sender` is a bot or a person."""

    id: int
    at: float
    sender: BotAccount | User
    text: str
    entities: list[Json]
    thread_id: int | None = None
    reply_to: int | None = None
    keyboard: list[list[Json]] | None = None
    edited_at: float | None = None
    edits: list[Edit] = field(default_factory=list)
    reactions: dict[int, list[str]] = field(default_factory=dict)
    deleted_at: float | None = None
    topic_created: str | None = None


@dataclass(slots=True)
class Chat:
    """A room. A private chat belongs to one bot and has its user's id; a supergroup may hold several bots."""

    id: int
    type: ChatType
    title: str
    bots: dict[int, BotAccount]
    user: User | None = None
    members: dict[int, User] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    topics: dict[int, str] = field(default_factory=dict)
    last_bot_id: int | None = None
    last_message_id: int = 0

    @property
    def is_forum(self) -> bool:
        """A supergroup becomes a forum with its first topic."""
        return bool(self.topics)


@dataclass(slots=True)
class CallbackQuery:
    """A pressed button that waits for `answerCallbackQuery`. `answer` is the text the person was shown."""

    id: str
    bot_id: int
    chat: Chat
    at: float
    is_answered: bool = False
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of a bot's update queue. `payload` is the wire form, frozen when it was made."""

    id: int
    kind: str
    payload: Json
    expires_at: float


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
