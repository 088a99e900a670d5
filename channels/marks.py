"""Where a mark of emphasis can be written so that any parser sees it, and with which delimiter.

In CommonMark delimiters work only in some places: `** a**` and `x**"a"**y` are no bold, `_` is none within a word,
and asterisks of two marks that touch may pair wrongly. Marks that cannot be written are left out: the words matter
more than their look. Pure functions on pieces of markup; nothing here knows a document or a network.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Mark(Enum):
    """A style of words."""

    STRONG = auto()
    EMPHASIS = auto()
    STRIKE = auto()


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning or the end of a mark; both edges of one mark have its number."""

    mark: Mark
    number: int
    opens: bool


Piece = str | Edge
Delimiters = Mapping[Mark, Sequence[str]]
"""The delimiters of every mark, the preferred one first."""


def with_delimiters(pieces: Sequence[Piece], delimiters: Delimiters, word_bound: frozenset[str]) -> str:
    """The pieces as one text. Delimiters of `word_bound` mean nothing next to a letter or digit outside."""
    if not any(isinstance(piece, Edge) for piece in pieces):
        return "".join(piece for piece in pieces if isinstance(piece, str))
    placed = _without_empty(_joined(_hoisted(pieces)))
    chosen = _chosen(placed, delimiters, word_bound)
    return "".join(piece if isinstance(piece, str) else chosen.get(piece.number, "") for piece in placed)


def _hoisted(pieces: Sequence[Piece]) -> list[Piece]:
    """White space just inside a mark moves outside."""
    forward: list[Piece] = []  # ends of marks move to the left of the white space before them
    for piece in pieces:
        space = ""
        if isinstance(piece, Edge) and not piece.opens and forward and isinstance(forward[-1], str):
            words = forward[-1].rstrip()
            space = forward[-1][len(words) :]
            forward[-1] = words
        forward += [piece, space] if space else [piece]
    backward: list[Piece] = []
    for piece in reversed(forward):
        space = ""
        if isinstance(piece, Edge) and piece.opens and backward and isinstance(backward[-1], str):
            words = backward[-1].lstrip()
            space = backward[-1][: len(backward[-1]) - len(words)]
            backward[-1] = words
        backward += [piece, space] if space else [piece]
    return backward[::-1]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one mark as one."""
    joined: list[Piece] = []
    number_of: dict[int, int] = {}
    for piece in pieces:
        if piece == "":
            continue
        if isinstance(piece, str):
            joined.append(piece)
            continue
        last = joined[-1] if joined else ""
        if piece.opens and isinstance(last, Edge) and not last.opens and last.mark == piece.mark:
            joined.pop()
            number_of[piece.number] = last.number
            continue
        joined.append(Edge(piece.mark, number_of.get(piece.number, piece.number), piece.opens))
    return joined


def _without_empty(pieces: Sequence[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    for piece in pieces:
        last = kept[-1] if kept else ""
        if isinstance(piece, Edge) and isinstance(last, Edge) and last.number == piece.number:
            kept.pop()
        else:
            kept.append(piece)
    return kept


def _chosen(pieces: Sequence[Piece], delimiters: Delimiters, word_bound: frozenset[str]) -> dict[int, str]:
    """The delimiter of every mark that can be written."""
    ends = {
        piece.number: at for at, piece in enumerate(pieces) if isinstance(piece, Edge) and not piece.opens
    }
    chosen: dict[int, str] = {}
    for start, piece in enumerate(pieces):
        if not isinstance(piece, Edge) or not piece.opens:
            continue
        end = ends[piece.number]
        touching = {
            chosen[edge.number][0]
            for at, step in ((start, -1), (start, 1), (end, -1), (end, 1))
            for edge in _edges_beside(pieces, at, step)
            if edge.number in chosen
        }
        before, after = _nearest(pieces, start, -1), _nearest(pieces, end, 1)
        if not _flanks(pieces[start + 1], 0, before) or not _flanks(pieces[end - 1], -1, after):
            continue
        for delimiter in delimiters[piece.mark]:
            bound_fits = delimiter not in word_bound or (_is_soft(before) and _is_soft(after))
            if bound_fits and delimiter[0] not in touching:
                chosen[piece.number] = delimiter
                break
    return chosen


def _edges_beside(pieces: Sequence[Piece], at: int, step: int) -> list[Edge]:
    """The edges that stand next to the one at `at`, up to the next text."""
    beside: list[Edge] = []
    at += step
    while 0 <= at < len(pieces):
        piece = pieces[at]
        if isinstance(piece, str):
            break
        beside.append(piece)
        at += step
    return beside


def _nearest(pieces: Sequence[Piece], at: int, step: int) -> str:
    """The nearest character of text on one side, empty at the end."""
    at += step
    while 0 <= at < len(pieces):
        piece = pieces[at]
        if isinstance(piece, str) and piece:
            return piece[0 if step > 0 else -1]
        at += step
    return ""


def _flanks(inner: Piece, side: int, outside: str) -> bool:
    """Whether a delimiter between `inner` and `outside` counts. A neighbouring edge may be punctuation or not."""
    if isinstance(inner, Edge):
        return _is_soft(outside)
    return not inner[side].isspace() and (not _is_punctuation(inner[side]) or _is_soft(outside))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _is_soft(character: str) -> bool:
    """The end of the text, white space or punctuation, by every reading of the two."""
    return (
        not character
        or character in " \t\n"
        or unicodedata.category(character)[0] == "P"
        or (unicodedata.category(character) == "Zs")
    )
