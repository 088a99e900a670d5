"""Texts of others as people are shown them when they decide: nothing hides in them, and nothing breaks out. Pure."""

import json
import re
from difflib import unified_diff
from typing import Any, Final

_TICKS: Final = re.compile(r"`{3,}")


def visible(text: str) -> str:
    """The text, with what cannot be seen, or turns the direction of text, as an escape."""
    return "".join(char if char.isprintable() or char in "\n\t" else escaped(char) for char in text)


def escaped(char: str) -> str:
    """As JSON writes it."""
    return json.dumps(char)[1:-1]


def fenced(text: str, language: str = "") -> str:
    """A code block of CommonMark that its text cannot end."""
    fence = "`" * max([3, *(len(run) + 1 for run in _TICKS.findall(text))])
    return f"{fence}{language}\n{visible(text)}\n{fence}"


def pretty(value: Any) -> str:
    """JSON for people: one key a line, in order."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def difference(before: Any, after: Any) -> str:
    """What differs between two JSON values, line by line."""
    lines = unified_diff(
        pretty(before).splitlines(), pretty(after).splitlines(), "asked", "edited", lineterm="", n=3
    )
    return visible("\n".join(lines))
