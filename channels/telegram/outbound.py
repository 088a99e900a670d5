"""Rendered content and rooms -> keyword arguments of the SDK's Bot methods. Pure; calls nothing."""

from typing import Any

from telegram import LinkPreviewOptions, MessageEntity
from telegram.constants import ChatAction

from channels.messages import Rendered, RoomRef
from channels.telegram.capabilities import GENERAL_TOPIC

# A preview makes Telegram's servers fetch whatever address a text holds, which is a way to leak what an agent
# was tricked into writing there; it also changes the look of a message being edited.
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


def send_arguments(room: RoomRef, content: Rendered) -> dict[str, Any]:
    """For Bot.send_message."""
    return {**_place(room), **_text(content)}


def edit_arguments(room: RoomRef, ref: str, content: Rendered) -> dict[str, Any]:
    """For Bot.edit_message_text: a message is named by its chat and its number there, whatever the topic."""
    return {"chat_id": int(room.room), "message_id": int(ref), **_text(content)}


def typing_arguments(room: RoomRef) -> dict[str, Any]:
    """For Bot.send_chat_action."""
    return {**_place(room), "action": ChatAction.TYPING}


def _place(room: RoomRef) -> dict[str, Any]:
    place: dict[str, Any] = {"chat_id": int(room.room)}
    if room.topic is not None and room.topic != GENERAL_TOPIC:
        place["message_thread_id"] = int(room.topic)
    return place


def _text(content: Rendered) -> dict[str, Any]:
    entities = [MessageEntity(**entity) for entity in content.payload.get("entities", ())]
    return {"text": content.text, "entities": entities, "link_preview_options": _NO_PREVIEW}
