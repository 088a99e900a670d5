"""A Discord message, its edit or its deletion -> what the core takes, or why it is ignored. Pure.

Payloads are dictionaries in the API's own spelling (discord-api-docs, resources/message.mdx). Whether a person
is allowed in is not decided here. Delivery ids: `m:` a message, `e:` an edit with its time, `d:` a deletion.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from channels.discord.places import Place, PlaceKind
from channels.discord.snowflakes import millis_of, millis_of_time
from channels.messages import Addressed, Attachment, Deleted, Edited, Ignored, Inbound, RoomRef, Sender
from channels.text import well_formed

# Message types that people write: DEFAULT and REPLY. All others are notes of the system or of applications.
_WRITTEN = frozenset({0, 19})
_FORWARD = 1
# What people put between a mention and what they say.
_AFTER_MENTION = " \t\r\n\u00a0,:;"
_USER_MENTION = re.compile(r"<@!?(\d{1,20})>")
NEEDS_CONTENT_INTENT = "no content: without the Message Content intent it is not told"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and how mentions are answered. `bot_id` is the bot's user id."""

    bot_id: str
    reply_in_threads: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """Where something happened. `takes_threads`: the bot may open one there; `bot_role`: the bot's own role."""

    place: Place
    takes_threads: bool = False
    bot_role: str | None = None


class User(BaseModel):
    """A user object."""

    id: str
    username: str = ""
    global_name: str | None = None
    bot: bool = False
    system: bool = False


class Member(BaseModel):
    """A guild member; interactions carry the user inside."""

    nick: str | None = None
    user: User | None = None


class _Attachment(BaseModel):
    id: str
    filename: str
    url: str
    size: int | None = None
    content_type: str | None = None


class _Answered(BaseModel):
    author: User | None = None


class _Reference(BaseModel):
    type: int = 0
    message_id: str | None = None


class _Forwarded(BaseModel):
    content: str = ""
    attachments: list[_Attachment] = Field(default_factory=list)


class _Snapshot(BaseModel):
    message: _Forwarded


class _Message(BaseModel):
    id: str
    channel_id: str
    author: User
    type: int = 0
    content: str = ""
    edited_timestamp: str | None = None
    guild_id: str | None = None
    member: Member | None = None
    webhook_id: str | None = None
    mentions: list[User] = Field(default_factory=list)
    mention_roles: list[str] = Field(default_factory=list)
    attachments: list[_Attachment] = Field(default_factory=list)
    message_reference: _Reference | None = None
    referenced_message: _Answered | None = None
    message_snapshots: list[_Snapshot] = Field(default_factory=list)


def is_own(payload: Mapping[str, Any], reader: Reader) -> bool:
    """Whether the bot wrote it itself: an echo, no delivery."""
    return bool((payload.get("author") or {}).get("id") == reader.bot_id)


def to_inbound(payload: Mapping[str, Any], scene: Scene, reader: Reader) -> Inbound | Ignored:
    """One message. Only a missing `id` raises (KeyError): such a thing is no delivery."""
    delivery_id = f"m:{payload['id']}"
    message = _read(payload)
    if isinstance(message, str):
        return Ignored(delivery_id, message)
    reason = _reason_to_ignore(message)
    if reason:
        return Ignored(delivery_id, reason)
    is_reply = _is_reply_to(message, reader.bot_id)
    addressed = _addressed(message, scene, reader, is_reply)
    text = _text(message, reader, scene)
    attachments = _attachments(message)
    if not text and not attachments and addressed is not Addressed.AMBIENT:
        return Ignored(delivery_id, _why_empty(message, scene))
    room = _room(message, scene, reader, is_reply)
    reference = message.message_reference
    return Inbound(
        delivery_id=delivery_id,
        room=room,
        message_ref=message.id,
        sender=to_sender(message.author, message.member),
        text=text,
        addressed=addressed,
        is_direct=scene.place.kind is PlaceKind.DIRECT,
        occurred_at_ms=millis_of(message.id),
        thread_key=thread_key(room, scene.place),
        reply_to=reference.message_id if reference and reference.type != _FORWARD else None,
        room_title=title_of(scene.place),
        attachments=attachments,
    )


def to_edited(payload: Mapping[str, Any], scene: Scene, reader: Reader) -> Edited | None:
    """One MESSAGE_UPDATE, or a message that shows it was edited. None when nobody changed the words: links that
    were unfolded, pins, and whatever else is told the same way."""
    message = _read(payload)
    if isinstance(message, str) or message.edited_timestamp is None or _reason_to_ignore(message):
        return None
    text = _text(message, reader, scene)
    if not text and not message.attachments:
        return None
    return Edited(
        delivery_id=f"e:{message.id}:{message.edited_timestamp}",
        room=_room(message, scene, reader, _is_reply_to(message, reader.bot_id)),
        message_ref=message.id,
        sender=to_sender(message.author, message.member),
        text=text,
        occurred_at_ms=millis_of_time(message.edited_timestamp),
    )


def to_deleted(message_id: str, scene: Scene, now_ms: int) -> Deleted:
    """One id of a MESSAGE_DELETE or MESSAGE_DELETE_BULK, which tell neither author nor time."""
    place = scene.place
    room = RoomRef(place.parent or place.id, place.id if place.kind is PlaceKind.THREAD else None)
    return Deleted(f"d:{message_id}", room, message_id, now_ms)


def to_sender(user: User, member: Member | None) -> Sender:
    """A person. Discord has no people from outside: a guild's members are its members."""
    nick = member.nick if member else None
    name = well_formed(nick or user.global_name or user.username)
    return Sender(user.id, name or user.id, user.bot)


def thread_key(room: RoomRef, place: Place) -> str | None:
    """What names the conversation: a thread, or a direct chat as a whole."""
    if room.topic is not None:
        return f"{room.room}/{room.topic}"
    return room.room if place.kind is PlaceKind.DIRECT else None


def title_of(place: Place) -> str | None:
    """What people call the place; direct chats have no name."""
    return well_formed(place.title) if place.title else None


def _read(payload: Mapping[str, Any]) -> "_Message | str":
    try:
        return _Message.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"unreadable message: {where}: {first['type']}"


def _reason_to_ignore(message: _Message) -> str | None:
    if message.webhook_id is not None:
        # Its name and picture are whatever the sender says: there is no person whose rights could be checked.
        return "sent through a webhook"
    if message.author.bot:
        return "sent by a bot"
    if message.author.system or message.type not in _WRITTEN:
        return f"message type {message.type}"
    return None


def _why_empty(message: _Message, scene: Scene) -> str:
    is_told = scene.place.kind is PlaceKind.DIRECT or bool(message.mentions)
    return "no text" if is_told else NEEDS_CONTENT_INTENT


def _is_reply_to(message: _Message, bot_id: str) -> bool:
    answered = message.referenced_message
    return answered is not None and answered.author is not None and answered.author.id == bot_id


def _addressed(message: _Message, scene: Scene, reader: Reader, is_reply: bool) -> Addressed:
    """A reply mentions whom it answers, so it is asked for first."""
    if scene.place.kind is PlaceKind.DIRECT:
        return Addressed.DIRECT
    if is_reply:
        return Addressed.REPLY
    is_named = any(user.id == reader.bot_id for user in message.mentions)
    if is_named or (scene.bot_role is not None and scene.bot_role in message.mention_roles):
        return Addressed.MENTION
    return Addressed.AMBIENT


def _room(message: _Message, scene: Scene, reader: Reader, is_reply: bool) -> RoomRef:
    """Where the answer goes: the thread it was asked in, or one to be opened at the message."""
    place = scene.place
    if place.kind is PlaceKind.THREAD:
        return RoomRef(place.parent or place.id, place.id)
    if scene.takes_threads and reader.reply_in_threads and not is_reply:
        return RoomRef(place.id, message.id)
    return RoomRef(place.id)


def _text(message: _Message, reader: Reader, scene: Scene) -> str:
    forwarded = [one.message.content for one in message.message_snapshots]
    own = _without_own_mention(message.content, reader.bot_id, scene.bot_role)
    text = "\n\n".join(part for part in (own, *forwarded) if part)
    names = {user.id: user.global_name or user.username for user in message.mentions}
    return well_formed(_USER_MENTION.sub(lambda found: _called(found, names), text))


def _called(mention: re.Match[str], names: Mapping[str, str]) -> str:
    """A mention as people see it; an unknown one stays as it is."""
    name = names.get(mention[1])
    return f"@{name}" if name else mention[0]


def _without_own_mention(content: str, bot_id: str, bot_role: str | None) -> str:
    """The content without a leading mention of the bot, unless nothing else was said."""
    text = content.lstrip()
    for mention in (f"<@{bot_id}>", f"<@!{bot_id}>", f"<@&{bot_role}>"):
        if text.startswith(mention):
            return text[len(mention) :].lstrip(_AFTER_MENTION) or content
    return content


def _attachments(message: _Message) -> tuple[Attachment, ...]:
    forwarded = [one for snapshot in message.message_snapshots for one in snapshot.message.attachments]
    return tuple(_attachment(one, message) for one in _each_once([*message.attachments, *forwarded]))


def _each_once(attachments: Sequence[_Attachment]) -> list[_Attachment]:
    return list({one.id: one for one in attachments}.values())


def _attachment(one: _Attachment, message: _Message) -> Attachment:
    """The address runs out within a day; with the message a fresh one can be had."""
    return Attachment(
        key={"url": one.url, "id": one.id, "channel": message.channel_id, "message": message.id},
        name=well_formed(one.filename),
        media_type=one.content_type,
        size_bytes=one.size,
    )
