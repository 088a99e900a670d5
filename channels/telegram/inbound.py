"""A Telegram update -> what the core takes, or why it is ignored. Pure; raises for no update with an id.

Updates are dictionaries in the Bot API's own spelling (https://core.telegram.org/bots/api#update, 10.0).
Whether a person is allowed in is not decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from channels.messages import Addressed, Ignored, Inbound, RoomRef, Sender
from channels.telegram.capabilities import GENERAL_TOPIC
from channels.text import well_formed

# What people put between a mention and what they say.
_AFTER_MENTION = " \t\r\n\u00a0,:;"


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who we are, as getMe says. Usernames are compared without case, as Telegram does."""

    id: int
    username: str


class _User(BaseModel):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""


class _Chat(BaseModel):
    id: int
    type: str
    title: str | None = None
    is_forum: bool = False


class _Entity(BaseModel):
    """A part of the text with a meaning; offset and length are UTF-16 units."""

    type: str
    offset: int
    length: int
    user: _User | None = None


class _RepliedTo(BaseModel):
    message_id: int
    from_user: _User | None = Field(default=None, alias="from")
    forum_topic_created: Any = None


class _Message(BaseModel):
    message_id: int
    date: int
    chat: _Chat
    from_user: _User | None = Field(default=None, alias="from")
    sender_chat: Any = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    reply_to_message: _RepliedTo | None = None
    text: str | None = None
    entities: list[_Entity] = Field(default_factory=list)


def to_inbound(update: Mapping[str, Any], bot: BotIdentity) -> Inbound | Ignored:
    """One update. Only a missing `update_id` raises (KeyError): such a thing is no delivery."""
    delivery_id = str(update["update_id"])
    if "message" not in update:
        kind = next((key for key in update if key != "update_id"), "empty update")
        return Ignored(delivery_id, kind)
    try:
        message = _Message.model_validate(update["message"])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        return Ignored(delivery_id, f"unreadable message: {place}: {first['type']}")
    reason = _reason_to_ignore(message, update["message"])
    if reason or message.from_user is None or message.text is None:
        return Ignored(delivery_id, reason or "no text")
    return _inbound(delivery_id, message, message.from_user, well_formed(message.text), bot)


def _reason_to_ignore(message: _Message, payload: Mapping[str, Any]) -> str | None:
    if message.chat.type not in ("private", "group", "supergroup"):
        return f"chat type {message.chat.type}"
    if message.from_user is None:
        return "no sender"
    if message.from_user.is_bot:
        return "sent by a bot"
    if message.sender_chat is not None:
        # A channel, or an admin who hides: there is no person whose rights could be checked.
        return "sent in the name of a chat"
    if not message.text:
        for key in ("new_chat_members", "left_chat_member", "migrate_to_chat_id"):
            if key in payload:
                return key
        return "no text"
    return None


def _inbound(delivery_id: str, message: _Message, sender: _User, text: str, bot: BotIdentity) -> Inbound:
    chat = message.chat
    is_direct = chat.type == "private"
    topic = _topic(message, is_direct)
    reply = _explicit_reply(message)
    mentions = [entity for entity in message.entities if _is_mention(entity, text, bot)]
    return Inbound(
        delivery_id=delivery_id,
        room=RoomRef(str(chat.id), topic),
        message_ref=str(message.message_id),
        sender=Sender(str(sender.id), _name(sender)),
        text=_without_own_mention(text, mentions, bot),
        addressed=_addressed(message, is_direct, bool(mentions), reply, bot),
        is_direct=is_direct,
        occurred_at_ms=message.date * 1000,
        thread_key=_thread_key(chat, topic, is_direct),
        reply_to=str(reply.message_id) if reply else None,
        room_title=well_formed(chat.title) if chat.title else None,
    )


def _name(user: _User) -> str:
    return well_formed(f"{user.first_name} {user.last_name}".strip()) or str(user.id)


def _topic(message: _Message, is_direct: bool) -> str | None:
    """The topic's id. In a plain group `message_thread_id` only names a chain of replies: not a topic."""
    if message.message_thread_id is not None and (is_direct or message.is_topic_message):
        return str(message.message_thread_id)
    return GENERAL_TOPIC if message.chat.is_forum else None


def _thread_key(chat: _Chat, topic: str | None, is_direct: bool) -> str | None:
    if topic is not None:
        return f"{chat.id}/{topic}"
    return str(chat.id) if is_direct else None


def _explicit_reply(message: _Message) -> _RepliedTo | None:
    """Inside a topic every message "replies" to the topic's creation unless a person replied to another."""
    reply = message.reply_to_message
    return None if reply is None or reply.forum_topic_created is not None else reply


def _addressed(
    message: _Message, is_direct: bool, is_mentioned: bool, reply: _RepliedTo | None, bot: BotIdentity
) -> Addressed:
    if is_direct:
        is_command = any(e.type == "bot_command" and e.offset == 0 for e in message.entities)
        return Addressed.COMMAND if is_command else Addressed.DIRECT
    if is_mentioned:
        return Addressed.MENTION
    if reply and reply.from_user and reply.from_user.id == bot.id:
        return Addressed.REPLY
    return Addressed.AMBIENT


def _is_mention(entity: _Entity, text: str, bot: BotIdentity) -> bool:
    match entity.type:
        case "mention":
            return _slice(text, entity).lower() == f"@{bot.username}".lower()
        case "text_mention":
            return entity.user is not None and entity.user.id == bot.id
        case "bot_command":
            return _slice(text, entity).lower().endswith(f"@{bot.username}".lower())
        case _:
            return False


def _without_own_mention(text: str, mentions: Sequence[_Entity], bot: BotIdentity) -> str:
    """The text without a leading mention of the bot, unless nothing else was said."""
    for entity in mentions:
        before, mention, after = _around(text, entity)
        if before.strip():
            continue
        if entity.type == "bot_command":
            return mention[: -len(f"@{bot.username}")] + after
        return after.lstrip(_AFTER_MENTION) or text
    return text


def _slice(text: str, entity: _Entity) -> str:
    return _around(text, entity)[1]


def _around(text: str, entity: _Entity) -> tuple[str, str, str]:
    """Before, inside and after an entity, whose place is counted in UTF-16 units of two bytes."""
    units = text.encode("utf-16-le")
    start, end = max(entity.offset, 0) * 2, max(entity.offset + entity.length, 0) * 2
    before, inside, after = units[:start], units[start:end], units[end:]
    return _decoded(before), _decoded(inside), _decoded(after)


def _decoded(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")
