"""Which names fit the patterns of a rule. Pure.

A pattern is a name, or has `*` for any characters, none included. Upper and lower case differ, and an empty name fits
nothing, not even `*`: what is not known is nobody's. A match takes time in proportion to the name: the pieces between
the stars are looked for once each, from left to right.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

Fits: TypeAlias = Callable[[str], bool]


def fits_any(patterns: Iterable[str]) -> Fits:
    """Whether a name fits one of these."""
    known = tuple(patterns)
    exact = frozenset(pattern for pattern in known if "*" not in pattern)
    loose = tuple(_loose(pattern) for pattern in known if "*" in pattern)
    if not loose:
        return exact.__contains__  # patterns are not empty, so no empty name is in it
    if len(known) == 1:
        return loose[0]

    def fits(name: str) -> bool:
        if name in exact:
            return True
        for one in loose:  # noqa: SIM110 - any() would take three times as long, and this runs for every rule
            if one(name):
                return True
        return False

    return fits


def _loose(pattern: str) -> Fits:
    first, *middle, last = pattern.split("*")
    pieces = tuple(piece for piece in middle if piece)
    shortest = max(1, len(first) + len(last))
    if not pieces and not last:
        return lambda name: name.startswith(first) and bool(name)

    def fits(name: str) -> bool:
        if not (name.startswith(first) and name.endswith(last) and len(name) >= shortest):
            return False
        place, end = len(first), len(name) - len(last)
        for piece in pieces:
            found = name.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return True

    return fits
