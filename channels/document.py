"""The document model: what a message says, independent of any network's markup.

Frozen values and one question about them. Made by `channels.markdown`, cut by `channels.split`, turned into
a platform's form by each network's renderer. No parsing and no platform limits live here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Characters as they are. A line ends with `LineBreak`, never with a newline in here."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Literal characters within a line."""

    text: str


@dataclass(frozen=True, slots=True)
class LineBreak:
    """The next span starts on a new line."""


@dataclass(frozen=True, slots=True)
class Strong:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Emphasis:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Strike:
    children: "tuple[Inline, ...]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link as written, with something to show for it. Whether it may be followed is the renderer's call."""

    children: "tuple[Inline, ...]"
    url: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A wish to call somebody: `user` is a network's immutable id, `name` what stands there if nobody is called.

    Written `[name](mention:user)`. A renderer calls only users of the allowlist it was given.
    """

    name: str
    user: str


Inline: TypeAlias = Text | Code | LineBreak | Strong | Emphasis | Strike | Link | Mention
Inlines: TypeAlias = tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    children: Inlines


@dataclass(frozen=True, slots=True)
class Heading:
    """`level` counts from 1, the most important, to 6."""

    children: Inlines
    level: int


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Literal lines, without the final line ending. `language` is a word of `A-Za-z0-9_+.#-`, or empty."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class ListBlock:
    """Items in order. `start` is the first number, or None for bullets.

    `tight` items stand without blank lines between them. With `continued` the first item goes on from an
    earlier part: it shows no marker, yet it counts in the numbering.
    """

    items: "tuple[tuple[Block, ...], ...]"
    start: int | None = None
    tight: bool = True
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    children: "tuple[Block, ...]"


class Alignment(StrEnum):
    """Where a column's text stands."""

    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows, each with one cell per alignment."""

    header: tuple[Inlines, ...]
    rows: tuple[tuple[Inlines, ...], ...]
    alignments: tuple[Alignment, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Block: TypeAlias = Paragraph | Heading | CodeBlock | ListBlock | Quote | Table | Rule
Blocks: TypeAlias = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    blocks: Blocks


def plain_text(spans: Sequence[Inline]) -> str:
    """The characters one reads, without markup; a line break is a newline."""
    return "".join(_span_text(span) for span in spans)


def _span_text(span: Inline) -> str:
    match span:
        case Text(text) | Code(text) | Mention(text):
            return text
        case LineBreak():
            return "\n"
        case Strong(children) | Emphasis(children) | Strike(children) | Link(children):
            return plain_text(children)
