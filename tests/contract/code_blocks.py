"""Fenced code in Markdown as people see it, for networks whose messages are Markdown."""

import re

_FENCED = re.compile(
    r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)`*[ ]*$", re.DOTALL | re.MULTILINE
)


def fenced_code(markdown: str) -> tuple[tuple[str, str], ...]:
    """Language and content of every closed fence."""
    return tuple((found["language"], found["code"]) for found in _FENCED.finditer(markdown))
