"""Rendered content and cards -> bodies of REST calls, and how a message of ours is known again. Pure."""

import base64
import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

import discord

from channels.discord.capabilities import (
    ACTIONS_MAX,
    BUTTON_LABEL_MAX,
    BUTTONS_PER_ROW,
    NONCE_MAX,
    THREAD_HIDDEN_AFTER_MIN,
    THREAD_NAME_MAX,
)
from channels.discord.interactions import custom_id
from channels.discord.limits import CONTENT_MAX_CODEPOINTS, SUPPRESS_EMBEDS
from channels.discord.render import render_markdown
from channels.messages import Action, Card, Mark, Rendered

# Nobody is called unless the content says so on purpose.
_NOBODY: Final[Mapping[str, Any]] = {"parse": []}
# Previews are off: one makes Discord's servers fetch whatever address a text holds, which is a way to leak what an
# agent was tricked into writing there.
_STYLES: Final = {"primary": 1, "default": 2, "danger": 4}
_ROW, _BUTTON = 1, 2

EMOJI_BY_MARK: Final[Mapping[Mark, str]] = {Mark.SEEN: "👀", Mark.DONE: "✅", Mark.FAILED: "❌"}
THREAD_NAME: Final = "Conversation"


def nonce_of(operation_id: str) -> str:
    """The same for every attempt at an operation, in any process."""
    digest = hashlib.sha256(operation_id.encode()).digest()
    return base64.b32encode(digest).decode()[:NONCE_MAX]


def message_body(content: Rendered, operation_id: str) -> dict[str, Any]:
    """For Create Message."""
    return {**edit_body(content), "nonce": nonce_of(operation_id), "enforce_nonce": True}


def edit_body(content: Rendered) -> dict[str, Any]:
    """For Edit Message: everything is said, so that what stood there before is gone. Files stay."""
    payload = content.payload
    return {
        "content": _words(content),
        "embeds": payload.get("embeds", []),
        "components": payload.get("components", []),
        "allowed_mentions": payload.get("allowed_mentions", _NOBODY),
        "flags": payload.get("flags", SUPPRESS_EMBEDS),
    }


def file_body(content: Rendered, operation_id: str, name: str) -> dict[str, Any]:
    """For Create Message with one file beside it."""
    return {**message_body(content, operation_id), "attachments": [{"id": 0, "filename": name}]}


def file_form(body: Mapping[str, Any], file: discord.File, media_type: str) -> list[dict[str, Any]]:
    """The parts of the multipart request, as the library takes them."""
    part = {"name": "files[0]", "value": file.fp, "filename": file.filename, "content_type": media_type}
    return [{"name": "payload_json", "value": json.dumps(body), "content_type": "application/json"}, part]


def card_message(card: Card) -> Rendered:
    """A card as one message: words rather than an embed, which people can switch off and which needs a right."""
    parts = [f"**{card.title}**", card.body, card.outcome or ""]
    rendered = render_markdown("\n\n".join(part for part in parts if part))
    first = rendered[0]
    text = first.text
    if len(rendered) > 1:
        text = text[: CONTENT_MAX_CODEPOINTS - 2].rstrip() + "\n…"
    return Rendered(text, {**first.payload, "components": buttons(card.actions)})


def thread_body(starter: Mapping[str, Any], bot_id: str) -> dict[str, Any]:
    """For Start Thread from Message: named after what was said."""
    words = str(starter.get("content") or "")
    for mention in (f"<@{bot_id}>", f"<@!{bot_id}>"):
        words = words.replace(mention, "")
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    name = lines[0] if lines else THREAD_NAME
    if len(name) > THREAD_NAME_MAX:
        name = name[: THREAD_NAME_MAX - 1] + "…"
    return {"name": name, "auto_archive_duration": THREAD_HIDDEN_AFTER_MIN}


def buttons(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """Action rows. Raises ValueError for more than a message holds."""
    if len(actions) > ACTIONS_MAX:
        raise ValueError(f"{len(actions)} buttons, a message holds {ACTIONS_MAX}")
    made = [_button(action) for action in actions]
    rows = [made[at : at + BUTTONS_PER_ROW] for at in range(0, len(made), BUTTONS_PER_ROW)]
    return [{"type": _ROW, "components": row} for row in rows]


def _button(action: Action) -> dict[str, Any]:
    label = action.label
    if len(label) > BUTTON_LABEL_MAX:
        label = label[: BUTTON_LABEL_MAX - 1] + "…"
    return {
        "type": _BUTTON,
        "style": _STYLES[action.style],
        "label": label,
        "custom_id": custom_id(action.value, action.asks_reason),
    }


def find_own(
    messages: Iterable[Mapping[str, Any]],
    bot_id: str,
    contents: Sequence[Rendered],
    others: Container[str] = (),
) -> str | None:
    """The id of the newest message of ours that shows one of `contents`; buttons are compared by what they carry.

    Not one of `others`, which belong to other operations. Newest, because a room is written by one operation at a
    time: whatever stands before it is not its own.
    """
    wanted = [
        (
            _words(content).strip(),
            custom_ids(content.payload.get("components", [])),
            content.blob_id is not None,
        )
        for content in contents
    ]
    found = [
        str(message["id"])
        for message in messages
        if message["author"]["id"] == bot_id
        and str(message["id"]) not in others
        and _shown(message) in wanted
    ]
    return max(found, key=int, default=None)


def _shown(message: Mapping[str, Any]) -> tuple[str, list[str], bool]:
    """What of a message tells it from others: words, buttons, whether there is a file."""
    return (
        str(message["content"]).strip(),
        custom_ids(message.get("components", [])),
        bool(message["attachments"]),
    )


def custom_ids(components: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the buttons of a message carry, in order."""
    return [
        str(inner["custom_id"])
        for row in components
        for inner in row.get("components", ())
        if "custom_id" in inner
    ]


def marks_to_change(message: Mapping[str, Any], mark: Mark | None) -> tuple[list[str], str | None]:
    """The reactions of ours to take away from a message, and the one to add."""
    ours = {one["emoji"]["name"] for one in message.get("reactions", ()) if one.get("me")}
    wanted = None if mark is None else EMOJI_BY_MARK[mark]
    stale = [emoji for emoji in EMOJI_BY_MARK.values() if emoji in ours and emoji != wanted]
    return stale, None if wanted in ours else wanted


def _words(content: Rendered) -> str:
    return str(content.payload.get("content", content.text))
