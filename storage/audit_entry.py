"""What an audit entry of version 2 says, as pure code: its fields, and values that can always be written.

An entry holds ids, closed words and small facts. What people said or are called, and where they connected from, stands
behind a commitment (`audit_content.py`). Canonical JSON is defined for strings, booleans, null, integers below 2^53,
lists and objects; whatever else reaches an entry is written as text and the entry is marked `escaped`, because an act
must never fail on how somebody spelled something. Chaining and hashing are `audit_chain.py`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

TEXT_CHARS: Final = 1024
"""Longest text in an entry itself: callers control some of them, and entries are kept for ever."""
CONTENT_CHARS: Final = 65_536
"""Longest text in the content behind an entry."""
ITEMS: Final = 1000
"""Most items of one list or object."""
DEPTH: Final = 24
"""How deep lists and objects go; deeper ones are left out."""
SALT_BYTES: Final = 32
"""A commitment without a salt could be opened by trying: there are few phone numbers."""
_INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259 §6)."""


class Plain:
    """Turns any value into one that canonical JSON can say, and remembers whether something was escaped."""

    def __init__(self, text_chars: int = TEXT_CHARS) -> None:
        self._text_chars = text_chars
        self.has_escaped = False

    def of(self, value: object, depth: int = 0) -> Any:
        """The value, with what cannot be written as it is turned into text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and -_INTEGER_MAX <= value <= _INTEGER_MAX:
            return int(value)
        if depth < DEPTH and isinstance(value, Mapping):
            return self._object(value, depth)
        if depth < DEPTH and isinstance(value, list | tuple):
            return [self.of(item, depth + 1) for item in self._first(value)]
        self.has_escaped = True
        return self._described(value)

    def text(self, value: str) -> str:
        """A text without lone surrogates, cut where it is too long."""
        value = str(value)  # of an enumeration: its value
        if len(value) > self._text_chars:
            self.has_escaped = True
            value = value[: self._text_chars] + "…"
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                self.has_escaped = True
                value = value.encode(errors="backslashreplace").decode()
        return value

    def _object(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        if _is_simple(value):
            return dict(value)
        made: dict[str, Any] = {}
        for key in self._first(list(value)):
            name = self.text(key) if isinstance(key, str) else self._key(key)
            while name in made:  # two names that look alike once they are escaped
                name += "'"
            made[name] = self.of(value[key], depth + 1)
        return made

    def _key(self, key: object) -> str:
        self.has_escaped = True
        return self.text(self._described(key))

    def _first(self, items: "list[Any] | tuple[Any, ...]") -> "list[Any] | tuple[Any, ...]":
        if len(items) > ITEMS:
            self.has_escaped = True
        return items[:ITEMS]

    @staticmethod
    def _described(value: object) -> str:
        """A number as its digits; of anything else only what it is, since its text may hold anything."""
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, int):
            return str(value) if value.bit_length() <= 4096 else f"<integer of {value.bit_length()} bits>"
        return f"<{type(value).__name__}>"


def _is_simple(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping is short ASCII texts alone, as nearly all are: an entry is made for every message."""
    for key, text in value.items():
        if type(key) is not str or type(text) is not str or not (key.isascii() and text.isascii()):
            return False
        if len(text) > TEXT_CHARS or len(key) > TEXT_CHARS:
            return False
    return len(value) <= ITEMS


def fields(
    *,
    log_id: str,
    epoch: int,
    org_id: str,
    at: str,
    actor: Mapping[str, Any],
    via: str,
    action: str,
    outcome: str,
    subject: Mapping[str, Any],
    detail: Mapping[str, Any],
    reason: str | None = None,
    policy: Mapping[str, Any] | None = None,
    content: str | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    """The fields of an entry but for its place; optional ones are left out when they are None.

    `actor` is `{id, kind, token_id?}`, `reason` a short word that programs compare, `policy` is `{rule, digest}`;
    `content` and `address` are commitments.
    """
    plain = Plain()
    entry: dict[str, Any] = {
        "log_id": log_id,
        "epoch": epoch,
        "org_id": org_id,
        "at": at,
        "actor": plain.of(actor),
        "via": plain.text(via),
        "action": plain.text(action),
        "outcome": plain.text(outcome),
        "subject": plain.of(subject),
        "detail": plain.of(detail),
    }
    if reason is not None:
        entry["reason"] = plain.text(reason)
    if policy is not None:
        entry["policy"] = plain.of(policy)
    if content is not None:
        entry["content"] = content
    if address is not None:
        entry["address"] = address
    if plain.has_escaped:
        entry["escaped"] = True
    return entry


def canonical_content(value: object) -> bytes:
    """The bytes of a content that is committed to: canonical JSON, whatever the value was."""
    return orjson.dumps(Plain(CONTENT_CHARS).of(value), option=orjson.OPT_SORT_KEYS)


def commitment(salted: bytes) -> str:
    """What an entry says of a content, which comes behind its salt: SHA-256 in hexadecimal."""
    return hashlib.sha256(salted).hexdigest()
