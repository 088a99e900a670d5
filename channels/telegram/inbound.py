"""A Telegram update -> what the core takes, or why it is ignored. Pure; raises for no update with an id.

Updates are dictionaries in the Bot API's own spelling (https://core.telegram.org/bots/api#update, 10.0).
Whether a person is allowed in is not decided here. Every item of an album is a message of its own: nothing says
how many there will be, and what waits for the rest could be lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from channels.messages import Addressed, Delivery, Edited, Ignored, Inbound, Pressed, RoomRef, Sender
from channels.telegram.attachments import attachments_of
from channels.telegram.capabilities import GENERAL_TOPIC
from channels.telegram.updates import (
    CallbackQuery,
    CardMessage,
    Chat,
    Entity,
    MemberUpdate,
    Message,
    RepliedTo,
    User,
)
from channels.text import well_formed

# What people put between a mention and what they say.
_AFTER_MENTION = " \t\r\n\u00a0,:;"
_CHAT_TYPES = ("private", "group", "supergroup")
# Messages in which Telegram tells something instead of a person saying it.
_SERVICE = (
    *("new_chat_members", "left_chat_member", "new_chat_title", "new_chat_photo", "delete_chat_photo"),
    *("group_chat_created", "supergroup_chat_created", "migrate_to_chat_id", "migrate_from_chat_id"),
    *("pinned_message", "forum_topic_created", "forum_topic_edited", "forum_topic_closed"),
    *("forum_topic_reopened", "general_forum_topic_hidden", "general_forum_topic_unhidden"),
    *("message_auto_delete_timer_changed", "video_chat_started", "video_chat_ended"),
)
# What the SDK writes for a field that is not there; a topic that closes is told by an empty object.
_ABSENT: tuple[object, ...] = (None, False, [], ())
_Read = TypeVar("_Read", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BotIdentity:
    """Who we are, as getMe says. Usernames are compared without case, as Telegram does.

    `reads_everything`: in groups the bot sees all that is said, not only what is meant for it.
    """

    id: int
    username: str
    reads_everything: bool = False


class _Unreadable(Exception):
    """Part of an update is not what the documentation says; the text says where, not what."""


def to_delivery(update: Mapping[str, Any], bot: BotIdentity, now_ms: int) -> Delivery:
    """One update. Only a missing `update_id` raises (KeyError): such a thing is no delivery.

    `now_ms` is when it arrived: Telegram does not say when a button was pressed.
    """
    delivery_id = str(update["update_id"])
    kind = next((key for key in update if key != "update_id"), "empty update")
    try:
        match kind:
            case "message" | "edited_message":
                return _message(delivery_id, kind, update[kind], bot)
            case "callback_query":
                return _pressed(delivery_id, _read(CallbackQuery, update[kind]), now_ms)
            case "my_chat_member":
                change = _read(MemberUpdate, update[kind])
                return Ignored(
                    delivery_id, f"the bot is {change.new_chat_member.status} in {change.chat.type} chat"
                )
            case _:
                return Ignored(delivery_id, kind)
    except _Unreadable as error:
        return Ignored(delivery_id, f"unreadable {kind}: {error}")


def callback_to_answer(update: Mapping[str, Any]) -> str | None:
    """The id of the query that a pressed button waits for an answer to, however odd the rest may be."""
    query = update.get("callback_query")
    query_id = query.get("id") if isinstance(query, Mapping) else None
    return query_id if isinstance(query_id, str) else None


def _read(model: type[_Read], payload: object) -> _Read:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise _Unreadable(f"{place}: {first['type']}") from None


def _message(delivery_id: str, kind: str, payload: Any, bot: BotIdentity) -> Delivery:
    message = _read(Message, payload)
    reason = _reason_to_ignore(message, payload)
    if reason or message.from_user is None:
        return Ignored(delivery_id, reason or "no sender")
    inbound = _inbound(delivery_id, message, message.from_user, bot)
    if kind == "message":
        return inbound
    return Edited(
        delivery_id,
        inbound.room,
        str(message.message_id),
        inbound.sender,
        inbound.text,
        (message.edit_date or message.date) * 1000,
    )


def _pressed(delivery_id: str, query: CallbackQuery, now_ms: int) -> Delivery:
    card = query.message
    if card is None or not query.data:
        return Ignored(delivery_id, "a button that is not ours")
    return Pressed(
        delivery_id,
        RoomRef(str(card.chat.id), _topic(card)),
        str(card.message_id),
        Sender(str(query.from_user.id), _name(query.from_user), query.from_user.is_bot),
        well_formed(query.data),
        now_ms,
    )


def _reason_to_ignore(message: Message, payload: Mapping[str, Any]) -> str | None:
    if message.chat.type not in _CHAT_TYPES:
        return f"chat type {message.chat.type}"
    if message.from_user is None:
        return "no sender"
    if message.from_user.is_bot:
        return "sent by a bot"
    if message.sender_chat is not None:
        # A channel, or an admin who hides: there is no person whose rights could be checked.
        return "sent in the name of a chat"
    if not message.text and not attachments_of(message):
        return next((key for key in _SERVICE if payload.get(key) not in _ABSENT), "no text")
    return None


def _inbound(delivery_id: str, message: Message, sender: User, bot: BotIdentity) -> Inbound:
    chat = message.chat
    is_direct = chat.type == "private"
    topic = _topic(message)
    reply = _explicit_reply(message)
    text, entities = _words(message)
    mentions = [entity for entity in entities if _is_mention(entity, text, bot)]
    is_command = any(entity.type == "bot_command" and entity.offset == 0 for entity in entities)
    return Inbound(
        delivery_id=delivery_id,
        room=RoomRef(str(chat.id), topic),
        message_ref=str(message.message_id),
        sender=Sender(str(sender.id), _name(sender)),
        text=_without_own_mention(text, mentions, bot),
        addressed=_addressed(is_direct, is_command, bool(mentions), reply, bot),
        is_direct=is_direct,
        occurred_at_ms=message.date * 1000,
        thread_key=_thread_key(chat, topic, is_direct),
        reply_to=str(reply.message_id) if reply else None,
        room_title=well_formed(chat.title) if chat.title else None,
        attachments=attachments_of(message),
    )


def _words(message: Message) -> tuple[str, Sequence[Entity]]:
    """What a person wrote: the text, the caption of a file, or the emoji that a sticker stands for."""
    if message.text:
        return well_formed(message.text), message.entities
    if message.sticker is not None:
        return well_formed(message.sticker.emoji or ""), ()
    return well_formed(message.caption or ""), message.caption_entities


def _name(user: User) -> str:
    return well_formed(f"{user.first_name} {user.last_name}".strip()) or str(user.id)


def _topic(message: Message | CardMessage) -> str | None:
    """The topic's id. In a plain group `message_thread_id` only names a chain of replies: not a topic."""
    is_direct = message.chat.type == "private"
    if message.message_thread_id is not None and (is_direct or message.is_topic_message):
        return str(message.message_thread_id)
    return GENERAL_TOPIC if message.chat.is_forum else None


def _thread_key(chat: Chat, topic: str | None, is_direct: bool) -> str | None:
    if topic is not None:
        return f"{chat.id}/{topic}"
    return str(chat.id) if is_direct else None


def _explicit_reply(message: Message) -> RepliedTo | None:
    """Inside a topic every message "replies" to the topic's creation unless a person replied to another."""
    reply = message.reply_to_message
    return None if reply is None or reply.forum_topic_created is not None else reply


def _addressed(
    is_direct: bool, is_command: bool, is_mentioned: bool, reply: RepliedTo | None, bot: BotIdentity
) -> Addressed:
    if is_direct:
        return Addressed.COMMAND if is_command else Addressed.DIRECT
    if is_mentioned:
        return Addressed.MENTION
    if reply and reply.from_user and reply.from_user.id == bot.id:
        return Addressed.REPLY
    return Addressed.AMBIENT


def _is_mention(entity: Entity, text: str, bot: BotIdentity) -> bool:
    match entity.type:
        case "mention":
            return _slice(text, entity).lower() == f"@{bot.username}".lower()
        case "text_mention":
            return entity.user is not None and entity.user.id == bot.id
        case "bot_command":
            return _slice(text, entity).lower().endswith(f"@{bot.username}".lower())
        case _:
            return False


def _without_own_mention(text: str, mentions: Sequence[Entity], bot: BotIdentity) -> str:
    """The text without a leading mention of the bot, unless nothing else was said."""
    for entity in mentions:
        before, mention, after = _around(text, entity)
        if before.strip():
            continue
        if entity.type == "bot_command":
            return mention[: -len(f"@{bot.username}")] + after
        return after.lstrip(_AFTER_MENTION) or text
    return text


def _slice(text: str, entity: Entity) -> str:
    return _around(text, entity)[1]


def _around(text: str, entity: Entity) -> tuple[str, str, str]:
    """Before, inside and after an entity, whose place is counted in UTF-16 units of two bytes."""
    units = text.encode("utf-16-le")
    start, end = max(entity.offset, 0) * 2, max(entity.offset + entity.length, 0) * 2
    before, inside, after = units[:start], units[start:end], units[end:]
    return _decoded(before), _decoded(inside), _decoded(after)


def _decoded(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")
