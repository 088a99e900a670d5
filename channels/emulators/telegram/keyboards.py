"""Inline keyboards: checking `reply_markup` and finding a button again when a person presses it.

Pure. Emulated are callback and link buttons; every other kind is refused by name.
"""

from channels.emulators.telegram.records import Json
from channels.emulators.telegram.refusals import bad_request, not_emulated

# https://core.telegram.org/bots/api#inlinekeyboardbutton: "1-64 bytes".
CALLBACK_DATA_MAX_BYTES = 64
# Not documented; the network keeps 100 buttons, 8 in a row, and drops the rest. We refuse so that it shows.
BUTTONS_MAX = 100
ROW_MAX = 8
_LINKS = ("https://", "http://", "tg://")
_OTHER_KINDS = ("keyboard", "remove_keyboard", "force_reply")


def parse_keyboard(markup: object) -> list[list[Json]] | None:
    """The rows of an inline keyboard; None when there is none (an empty one takes the keyboard away)."""
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    for kind in _OTHER_KINDS:
        if markup.get(kind):
            raise not_emulated(f"reply markup with {kind}")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    parsed = [[_parse_button(button) for button in row] for row in rows if row]
    if sum(map(len, parsed)) > BUTTONS_MAX or any(len(row) > ROW_MAX for row in parsed):
        raise bad_request("reply markup is too long")
    return parsed or None


def has_button(keyboard: list[list[Json]] | None, callback_data: str) -> bool:
    """Whether a person can press a button with this payload."""
    return any(button.get("callback_data") == callback_data for row in keyboard or [] for button in row)


def _parse_button(button: object) -> Json:
    if not isinstance(button, dict):
        raise bad_request("InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad_request("can't parse inline keyboard button: Can't find field \"text\"")
    if not text.strip():
        raise bad_request("inline keyboard button text must be non-empty")
    parsed: Json = {"text": text, **_parse_style(button.get("style"))}
    url, data = button.get("url"), button.get("callback_data")
    if url:
        if not str(url).startswith(_LINKS):
            raise bad_request(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
        return {**parsed, "url": str(url)}
    if data:
        if len(str(data).encode()) > CALLBACK_DATA_MAX_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
        return {**parsed, "callback_data": str(data)}
    others = set(button) - {"text", "style", "icon_custom_emoji_id", "callback_data", "url"}
    if others:
        raise not_emulated(f"inline keyboard button with {min(others)}")
    raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")


def _parse_style(style: object) -> Json:
    if style in (None, "", "default"):
        return {}
    if style not in ("primary", "danger", "success"):
        raise bad_request("can't parse inline keyboard button: invalid button style specified")
    return {"style": style}
