"""Message texts as the network sees them: UTF-16 lengths, cleaning, entity checks and entity detection.

Pure. Offsets count UTF-16 code units everywhere. Detection covers @mentions, /commands, #hashtags and http(s)
links; the real server also finds e-mail addresses, phone and card numbers, cashtags and bare domains.
"""

import re

from channels.emulators.telegram.records import Json
from channels.emulators.telegram.refusals import Refusal, bad_request, not_emulated

# https://core.telegram.org/bots/api#sendmessage, 2026-06: "1-4096 characters after entities parsing".
TEXT_MAX_UTF16 = 4096
# https://core.telegram.org/bots/api#senddocument: "0-1024 characters after entities parsing".
CAPTION_MAX_UTF16 = 1024
# The server refuses a longer argument before it parses anything (get_formatted_text: 1 << 15 bytes).
TEXT_MAX_BYTES = 1 << 15
# The server calls an offset or a length beyond this "incorrect" instead of measuring it.
ENTITY_MAX_UTF16 = 1_000_000

_STYLES = frozenset(
    ("bold", "italic", "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote")
)
_VERBATIM = frozenset(("code", "pre"))
# Accepted and thrown away: the server finds these by itself.
_DETECTED = frozenset(
    ("mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bank_card_number")
)
_PATTERNS = (
    ("url", re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]")),
    ("mention", re.compile(r"(?<![\w@/])@[A-Za-z][A-Za-z0-9_]{3,31}\b")),
    ("bot_command", re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z][A-Za-z0-9_]{3,31})?(?![\w/])")),
    ("hashtag", re.compile(r"(?<!\w)#\w*[^\W\d]\w*")),
)


def utf16_length(text: str) -> int:
    """How long the network thinks a text is. A lone surrogate counts as one unit."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def clean(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Trim a text as the server does and move its entities along; raises Refusal for an impossible entity.

    Leading spaces and newlines before the first entity go, and all trailing white space: an edit that only
    adds a space at the end is "not modified".
    """
    text = text.replace("\r", "")
    _check_bounds(text, entities)
    entities = sorted((one for one in entities if one["length"] > 0), key=lambda one: _order(one))
    first = entities[0]["offset"] if entities else utf16_length(text)
    lead = min(len(text) - len(text.lstrip(" \n")), first)
    text = text[lead:].rstrip()
    end = utf16_length(text)
    kept = []
    for entity in entities:
        offset = entity["offset"] - lead
        length = min(entity["length"], end - offset)
        if length > 0:
            kept.append({**entity, "offset": offset, "length": length})
    return text, kept


def checked_text(text: str, entities: list[Json], too_long: str) -> tuple[str, list[Json]]:
    """The text a message gets, with the entities the server adds; raises Refusal when it may not be sent."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_MAX_BYTES:
        raise bad_request("text is too long")
    cleaned, kept = clean(text, entities)
    if not cleaned:
        raise bad_request("message text is empty")
    if utf16_length(cleaned) > TEXT_MAX_UTF16:
        raise bad_request(too_long)
    return cleaned, with_detected(cleaned, kept)


def checked_caption(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """The caption a file gets; it may be empty. Raises Refusal when it may not be sent."""
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_MAX_BYTES:
        raise bad_request("text is too long")
    cleaned, kept = clean(text, entities)
    if utf16_length(cleaned) > CAPTION_MAX_UTF16:
        raise bad_request("message caption is too long")
    return cleaned, with_detected(cleaned, kept)


def parse_entities(raw: object) -> list[Json]:
    """The `entities` argument, checked. Raises Refusal; kinds that the server finds itself are dropped."""
    if not isinstance(raw, list):
        return []
    return [entity for one in raw if (entity := _parse_entity(one)) is not None]


def with_detected(text: str, entities: list[Json]) -> list[Json]:
    """Add what the server finds in the text, outside code and links and never twice for the same place."""
    taken = [_span(one) for one in entities if one["type"] in _VERBATIM or one["type"] == "text_link"]
    found = []
    units = _unit_offsets(text)
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = units[match.start()], units[match.end()]
            if all(end <= left or start >= right for left, right in taken):
                taken.append((start, end))
                found.append({"type": kind, "offset": start, "length": end - start})
    return sorted(entities + found, key=lambda one: _order(one))


def entity_texts(text: str, entities: list[Json], kind: str) -> list[str]:
    """What the entities of one kind cover."""
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [
        encoded[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")
        for start, end in (_span(one) for one in entities if one["type"] == kind)
    ]


def _parse_entity(raw: object) -> Json | None:
    if not isinstance(raw, dict):
        raise _bad_entity("expected an Object")
    for name in ("offset", "length"):
        if not isinstance(raw.get(name), int) or isinstance(raw.get(name), bool):
            raise _bad_entity(f'Can\'t find field "{name}"')
    kind = raw.get("type")
    if not isinstance(kind, str) or not kind:
        raise _bad_entity('Can\'t find field "type"')
    entity: Json = {"type": kind, "offset": raw["offset"], "length": raw["length"]}
    if kind in _STYLES or kind in _VERBATIM:
        if kind == "pre" and raw.get("language"):
            entity["language"] = str(raw["language"])
        return entity
    if kind == "text_link":
        if not isinstance(raw.get("url"), str):
            raise _bad_entity('Can\'t find field "url"')
        return {**entity, "url": raw["url"]}
    if kind in _DETECTED:
        return None
    if kind in ("text_mention", "custom_emoji", "date_time"):
        raise not_emulated(f"entities of type {kind}")
    raise _bad_entity("Unsupported type specified")


def _check_bounds(text: str, entities: list[Json]) -> None:
    if not entities:
        return
    length = utf16_length(text)
    boundaries = set(_unit_offsets(text))
    for entity in entities:
        offset, size = entity["offset"], entity["length"]
        if not 0 <= offset <= ENTITY_MAX_UTF16:
            raise bad_request(f"receive an entity with incorrect offset {offset}")
        if not 0 <= size <= ENTITY_MAX_UTF16:
            raise bad_request(f"receive an entity with incorrect length {size}")
        if offset + size > length:
            raise bad_request(
                f"entity beginning at UTF-16 offset {offset} ends after the end of the text "
                f"at UTF-16 offset {offset + size}"
            )
        if offset not in boundaries:
            raise bad_request(f"entity begins in a middle of a UTF-16 symbol at UTF-16 offset {offset}")
        if offset + size not in boundaries:
            raise bad_request(
                f"entity beginning at UTF-16 offset {offset} ends in a middle of a UTF-16 symbol "
                f"at UTF-16 offset {offset + size}"
            )


def _unit_offsets(text: str) -> list[int]:
    """The UTF-16 offset of every character, and of the end."""
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + (2 if ord(character) > 0xFFFF else 1))
    return offsets


def _span(entity: Json) -> tuple[int, int]:
    return entity["offset"], entity["offset"] + entity["length"]


def _order(entity: Json) -> tuple[int, int, str]:
    # Outer entities first: that is how the server lists nested ones.
    return entity["offset"], -entity["length"], entity["type"]


def _bad_entity(reason: str) -> Refusal:
    return bad_request(f"can't parse MessageEntity: {reason}")
