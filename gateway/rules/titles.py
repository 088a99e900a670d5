"""A thread's title from its first message."""

from typing import Final

TITLE_CHARS: Final = 60
"""About one line of a list on a phone."""

LOOK_AT_CHARS: Final = 1000
"""A title is found in the beginning of a text, or not at all."""


def title_from(text: str) -> str:
    """The first line with words in it, cut between words; empty when there are none."""
    lines = (" ".join(line.split()).lstrip("#>*- ") for line in text[:LOOK_AT_CHARS].splitlines())
    line = next(filter(None, lines), "")
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[: TITLE_CHARS - 1]
    head, _, _ = cut.rpartition(" ")
    # A line without spaces is cut where it must be; otherwise at the last space that leaves most of it.
    return (head if len(head) > TITLE_CHARS // 2 else cut).rstrip(" ,;:.") + "…"
