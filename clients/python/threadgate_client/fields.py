"""Reading fields out of JSON objects: typed, tolerant of what is unknown, clear about what is missing.

Only `records.py` and the session read the wire through this. It knows no record.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from threadgate_client.errors import ProtocolViolation

T = TypeVar("T")


class Fields:
    """The fields of one JSON object. Every method raises ProtocolViolation when the field does not fit."""

    __slots__ = ("_name", "_values")

    def __init__(self, values: object, name: str) -> None:
        if not isinstance(values, Mapping):
            raise ProtocolViolation(f"{name} is not an object")
        self._values: Mapping[str, Any] = values
        self._name = name

    def text(self, key: str, default: str | None = None) -> str:
        """A string; required unless there is a default."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def maybe_text(self, key: str) -> str | None:
        """A string, or None when it is absent or null."""
        return None if self._values.get(key) is None else self.text(key)

    def number(self, key: str, default: int | None = None) -> int:
        """An integer; required unless there is a default."""
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "an integer")
        return value

    def maybe_number(self, key: str) -> int | None:
        """An integer, or None when it is absent or null."""
        return None if self._values.get(key) is None else self.number(key)

    def flag(self, key: str) -> bool:
        """A boolean; absent means false."""
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "a boolean")
        return value

    def instant(self, key: str) -> datetime:
        """An aware instant in UTC."""
        try:
            found = datetime.fromisoformat(self.text(key))
        except ValueError:
            raise self._wrong(key, "an instant") from None
        if found.tzinfo is None:
            raise self._wrong(key, "an instant with its offset")
        return found

    def maybe_instant(self, key: str) -> datetime | None:
        """An instant, or None when it is absent or null."""
        return None if self._values.get(key) is None else self.instant(key)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A JSON object, as it came; absent or null means empty."""
        value = {} if self._values.get(key) is None else self._values[key]
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return value

    def one(self, key: str, read: Callable[[object], T]) -> T:
        """A required value read by `read`."""
        if self._values.get(key) is None:
            raise self._wrong(key, "present")
        return read(self._values[key])

    def maybe(self, key: str, read: Callable[[object], T]) -> T | None:
        """A value read by `read`, or None when it is absent or null."""
        return None if self._values.get(key) is None else read(self._values[key])

    def many(self, key: str, read: Callable[[object], T]) -> tuple[T, ...]:
        """A list whose entries are read by `read`; absent means empty."""
        value = self._values.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return tuple(read(entry) for entry in value)

    def _wrong(self, key: str, wanted: str) -> ProtocolViolation:
        # The value is left out on purpose: it may be a secret or somebody's words.
        return ProtocolViolation(f"{self._name}.{key} is not {wanted}")
