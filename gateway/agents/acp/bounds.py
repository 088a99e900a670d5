"""How much is kept and shown of what an agent's program chose itself: titles, ids, arguments, outputs. Pure."""

import re
from typing import Final

from gateway.agents.port import Json
from protocol.canonical import canonical, digest

ID_CHARS: Final = 80
"""Of an id within a key; others are named by their hash."""
HASH_CHARS: Final = 32
"""Of a SHA-256 that names something: 128 bits."""
_PLAIN: Final = re.compile(rf"[A-Za-z0-9_.:-]{{1,{ID_CHARS}}}")
_SPACE: Final = re.compile(r"[\x00-\x20\x7f-\x9f]+")


def short(text: str, chars: int) -> str:
    """One line of at most so many characters."""
    line = _SPACE.sub(" ", text[: 4 * chars]).strip()
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def named(call_id: str) -> str:
    """An id as a part of a key."""
    return call_id if _PLAIN.fullmatch(call_id) else digest(call_id)[:HASH_CHARS]


def bounded(value: Json, chars: int) -> Json:
    """The value itself when its JSON text is short enough, else its beginning and its hash."""
    text = canonical(value)
    if len(text) <= chars:
        return value
    return {"cut": text[:chars], "chars": len(text), "sha256": digest(value)}
