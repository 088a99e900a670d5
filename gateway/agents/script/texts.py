"""Values in the texts of a script: `{{name}}` becomes what is saved under that name, and nothing else. Pure.

A text is looked through once: what a value says is never looked through again, whoever wrote it.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.agents.port import Json
from protocol.canonical import canonical
from protocol.limits import TEXT_CHARS

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")


FILLED_CHARS: Final = TEXT_CHARS
"""Of a text with its values in it."""


class BadValue(ValueError):
    """A text cannot be filled; the text says why."""


def fill(text: str, values: Mapping[str, Json]) -> str:
    """A text with its values, those that are no texts as JSON. Raises BadValue."""
    parts: list[str] = []
    size = end = 0
    for found in _PLACE.finditer(text):
        parts += text[end : found.start()], _as_text(_value(found[1], values))
        size += len(parts[-1]) + len(parts[-2])
        end = found.end()
        if size > FILLED_CHARS:
            raise BadValue(f"with its values the text has more than {FILLED_CHARS} characters")
    return "".join([*parts, text[end:]])


def fill_all(content: Json, values: Mapping[str, Json]) -> Json:
    """Every text inside a JSON value, filled. A text that is nothing but `{{name}}` becomes the value itself."""
    if isinstance(content, str):
        alone = _PLACE.fullmatch(content)
        return _value(alone[1], values) if alone else fill(content, values)
    if isinstance(content, list):
        return [fill_all(one, values) for one in content]
    if isinstance(content, dict):
        return {key: fill_all(one, values) for key, one in content.items()}
    return content


def _value(name: str, values: Mapping[str, Json]) -> Json:
    if name not in values:
        raise BadValue(f"there is no value {name!r}; there are {', '.join(sorted(values))}")
    return values[name]


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else canonical(value)
