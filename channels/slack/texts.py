"""The text of a Slack message (mrkdwn with `<…>` tokens and three escaped characters) -> what a person reads. Pure.

https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from channels.text import well_formed

_TOKEN = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
# What people put between a mention and what they say.
_AFTER_MENTION = " \t\r\n\u00a0,:;"
_SCHEMES = ("mailto:", "tel:")


def mentions_user(text: str, user_id: str) -> bool:
    """Whether the text calls this user."""
    return any(sign == "@" and inner == user_id for sign, inner, _ in _TOKEN.findall(text))


def readable(text: str, own_user_id: str = "") -> str:
    """The text without Slack's tokens, and without a mention of `own_user_id` at its beginning unless that is all."""
    whole = _plain(text)
    match = _TOKEN.match(text.lstrip())
    if not own_user_id or match is None or match.group(1, 2) != ("@", own_user_id):
        return whole
    return _plain(text.lstrip()[match.end() :]).lstrip(_AFTER_MENTION) or whole


def storable(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose texts can all be encoded: half of a character, which JSON may carry, is no text."""
    return {well_formed(key): _storable(value) for key, value in body.items()}


def _storable(value: Any) -> Any:
    match value:
        case str():
            return well_formed(value)
        case Mapping():
            return storable(value)
        case list():
            return [_storable(one) for one in value]
    return value


def _plain(text: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts += [_unescaped(text[end : match.start()]), _unescaped(_shown(*match.groups()))]
        end = match.end()
    return well_formed("".join([*parts, _unescaped(text[end:])]))


def _shown(sign: str, inner: str, label: str | None) -> str:
    match sign:
        case "@" | "#":
            return f"{sign}{(label or inner).removeprefix(sign)}"
        case "!":
            # Broadcasts, groups (`!subteam^S…`) and dates (`!date^…`); the label is what Slack shows.
            return label or f"@{inner.partition('^')[0]}"
    address = next((inner.removeprefix(scheme) for scheme in _SCHEMES if inner.startswith(scheme)), inner)
    return address if not label or label in (inner, address) else f"{label} ({address})"


def _unescaped(text: str) -> str:
    """Only the three that Slack escapes: other references are what somebody typed."""
    return re.sub(r"&(amp|lt|gt);", lambda match: unescape(match.group()), text)
