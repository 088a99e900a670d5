"""Rendered content, rooms and files -> keyword arguments of the SDK's Bot methods. Pure; calls nothing.

Whatever goes out is well-formed: half characters and NULs never reach the network.
"""

import hashlib
import mimetypes
from typing import Any

from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, MessageEntity
from telegram.constants import ChatAction, ReactionEmoji

from channels.messages import Mark, Operation, OutboundFile, Rendered, RoomRef
from channels.telegram.capabilities import (
    CALLBACK_ANSWER_MAX_UTF16,
    CAPTION_MAX_UTF16,
    GENERAL_TOPIC,
    PHOTO_MAX_BYTES,
)
from channels.text import utf16_length, well_formed

# A preview makes Telegram's servers fetch whatever address a text holds, which is a way to leak what an agent
# was tricked into writing there; it also changes the look of a message being edited.
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
# Bots may use the free reactions only, of which these are three (ReactionTypeEmoji). There is no check mark, and
# thumbs down would judge what the person wrote.
_REACTIONS = {
    Mark.SEEN: ReactionEmoji.EYES,
    Mark.DONE: ReactionEmoji.THUMBS_UP,
    Mark.FAILED: ReactionEmoji.CRYING_FACE,
}
# What clients play or show in the room; everything else is a document, which arrives as it is.
_KINDS = {
    "image/jpeg": "photo",
    "image/png": "photo",
    "audio/ogg": "voice",
    "audio/mpeg": "audio",
    "audio/mp4": "audio",
    "video/mp4": "video",
}
# The server reads draft ids as signed numbers; 0 is none. 31 bits fit every client.
_DRAFT_ID_MAX = 2**31 - 1
_CUT = "…"


def send_arguments(room: RoomRef, content: Rendered) -> dict[str, Any]:
    """For Bot.send_message."""
    return {**_place(room), **_text(content), **_keyboard(content)}


def edit_arguments(room: RoomRef, ref: str, content: Rendered) -> dict[str, Any]:
    """For Bot.edit_message_text: a message is named by its chat and its number there, whatever the topic.

    Without a keyboard in `content` the message has none afterwards.
    """
    return {**_message(room, ref), **_text(content), **_keyboard(content)}


def draft_arguments(operation: Operation, room: RoomRef, content: Rendered) -> dict[str, Any]:
    """For Bot.send_message_draft: all drafts of one operation are one, which is animated."""
    shown = _text(content)
    return {
        **_place(room),
        "draft_id": draft_id(operation),
        "text": shown["text"],
        "entities": shown["entities"],
    }


def draft_id(operation: Operation) -> int:
    """A number other than zero that follows from the operation."""
    digest = hashlib.sha256(operation.id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % _DRAFT_ID_MAX + 1


def typing_arguments(room: RoomRef) -> dict[str, Any]:
    """For Bot.send_chat_action."""
    return {**_place(room), "action": ChatAction.TYPING}


def reaction_arguments(room: RoomRef, ref: str, mark: Mark | None) -> dict[str, Any]:
    """For Bot.set_message_reaction: what is not named is taken away."""
    return {**_message(room, ref), "reaction": [] if mark is None else [_REACTIONS[mark]]}


def answer_arguments(query_id: str, says: str | None) -> dict[str, Any]:
    """For Bot.answer_callback_query; without a text the button just stops turning."""
    text = None if says is None else _cut(_sendable(says), CALLBACK_ANSWER_MAX_UTF16)
    return {"callback_query_id": query_id, "text": text}


def upload_kind(file: OutboundFile) -> str:
    """As what a file is sent: `photo`, `voice`, `audio`, `video` or `document`."""
    kind = _KINDS.get(file.media_type, "document")
    return "document" if kind == "photo" and len(file.data) > PHOTO_MAX_BYTES else kind


def upload_arguments(room: RoomRef, content: Rendered, file: OutboundFile, kind: str) -> dict[str, Any]:
    """For Bot.send_photo and its siblings. A caption that is too long is cut: one call posts one message."""
    shown = _text(content)
    caption = _cut(shown["text"], CAPTION_MAX_UTF16)
    kept = utf16_length(caption) - (0 if caption == shown["text"] else utf16_length(_CUT))
    return {
        **_place(room),
        **_keyboard(content),
        kind: file.data,
        "filename": _file_name(file),
        "caption": caption or None,
        "caption_entities": _within(shown["entities"], kept),
    }


def message_ref(room: RoomRef, chat_id: int, message_id: int) -> str:
    """The reference of a message. It names its chat when that is not the room: a group that has moved."""
    return str(message_id) if str(chat_id) == room.room else f"{chat_id}/{message_id}"


def _message(room: RoomRef, ref: str) -> dict[str, Any]:
    chat, _, number = ref.rpartition("/")
    return {"chat_id": int(chat or room.room), "message_id": int(number)}


def _place(room: RoomRef) -> dict[str, Any]:
    place: dict[str, Any] = {"chat_id": int(room.room)}
    if room.topic is not None and room.topic != GENERAL_TOPIC:
        place["message_thread_id"] = int(room.topic)
    return place


def _text(content: Rendered) -> dict[str, Any]:
    entities = [MessageEntity(**entity) for entity in content.payload.get("entities", ())]
    return {"text": _sendable(content.text), "entities": entities, "link_preview_options": _NO_PREVIEW}


def _keyboard(content: Rendered) -> dict[str, Any]:
    rows = content.payload.get("keyboard")
    if not rows:
        return {}
    buttons = [
        [InlineKeyboardButton(**{**button, "text": _sendable(button["text"])}) for button in row]
        for row in rows
    ]
    return {"reply_markup": InlineKeyboardMarkup(buttons)}


def _sendable(text: str) -> str:
    # As long as before in UTF-16 units, so that entities stay where they were.
    return well_formed(text).replace("\0", "\ufffd")


def _cut(text: str, most_utf16: int) -> str:
    if utf16_length(text) <= most_utf16:
        return text
    units = text.encode("utf-16-le")[: 2 * (most_utf16 - utf16_length(_CUT))]
    # Half of a character at the end is left out.
    return units.decode("utf-16-le", "ignore") + _CUT


def _within(entities: list[MessageEntity], most_utf16: int) -> list[MessageEntity]:
    """The entities of a text of which `most_utf16` units are left."""
    kept = []
    for entity in entities:
        length = min(entity.length, most_utf16 - entity.offset)
        if length > 0:
            kept.append(MessageEntity(**{**entity.to_dict(), "length": length}))
    return kept


def _file_name(file: OutboundFile) -> str:
    name = _sendable(file.name)
    if "." in name:
        return name
    # The server goes by the name before anything else.
    return name + (mimetypes.guess_extension(file.media_type) or "")
