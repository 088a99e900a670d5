"""What a detector gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`text[start:end]` is of this kind. `value` is the same however it was written: in lower case, without blanks."""

    start: int
    end: int
    kind: str
    value: str


Detector = Callable[[str], Iterator[Finding]]
"""Gives the findings of one kind in a text, from left to right and without overlaps."""
