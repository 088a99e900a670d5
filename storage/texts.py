"""Documents as the store keeps them: JSON as text."""

from typing import Any

import orjson


def to_text(value: object) -> str:
    """JSON as the store keeps it."""
    return orjson.dumps(value).decode()


def from_text(text: str) -> Any:
    """The inverse of `to_text`."""
    return orjson.loads(text)
