"""The parts of the Bot API's types that we read, as https://core.telegram.org/bots/api spells them (10.0).

Unknown fields are left alone; what a type needs and does not have is a ValidationError. Decides nothing.
"""

from typing import Any

from pydantic import BaseModel, Field


class User(BaseModel):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""


class Chat(BaseModel):
    id: int
    type: str
    title: str | None = None
    is_forum: bool = False


class Entity(BaseModel):
    """A part of the text with a meaning; offset and length are UTF-16 units."""

    type: str
    offset: int
    length: int
    user: User | None = None


class RepliedTo(BaseModel):
    message_id: int
    from_user: User | None = Field(default=None, alias="from")
    forum_topic_created: Any = None


class File(BaseModel):
    """A document, voice, audio, video, animation, video note or sticker, or one size of a photo."""

    file_id: str
    file_name: str | None = None
    mime_type: str | None = None
    file_size: int | None = None
    width: int = 0
    height: int = 0
    emoji: str | None = None
    is_animated: bool = False
    is_video: bool = False


class Message(BaseModel):
    message_id: int
    date: int
    edit_date: int | None = None
    chat: Chat
    from_user: User | None = Field(default=None, alias="from")
    sender_chat: Any = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    reply_to_message: RepliedTo | None = None
    text: str | None = None
    entities: list[Entity] = Field(default_factory=list)
    caption: str | None = None
    caption_entities: list[Entity] = Field(default_factory=list)
    photo: list[File] = Field(default_factory=list)
    document: File | None = None
    voice: File | None = None
    audio: File | None = None
    video: File | None = None
    video_note: File | None = None
    animation: File | None = None
    sticker: File | None = None


class CardMessage(BaseModel):
    """The message a button hangs on; of one that is too old only its number and chat are told."""

    message_id: int
    chat: Chat
    message_thread_id: int | None = None
    is_topic_message: bool = False


class CallbackQuery(BaseModel):
    id: str
    from_user: User = Field(alias="from")
    message: CardMessage | None = None
    data: str | None = None


class Member(BaseModel):
    status: str


class MemberUpdate(BaseModel):
    chat: Chat
    new_chat_member: Member
