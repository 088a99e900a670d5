"""Marks of emphasis stand where every parser sees them, and nowhere else."""

import pytest

from channels.marks import Edge, Mark, Piece, with_delimiters

DELIMITERS = {Mark.STRONG: ("**",), Mark.EMPHASIS: ("_", "*"), Mark.STRIKE: ("~~",)}
WORD_BOUND = frozenset("_")


def pieces(notation: str) -> list[Piece]:
    """`S(…)`, `E(…)` and `K(…)` are strong, emphasis and strike."""
    marks = {"S": Mark.STRONG, "E": Mark.EMPHASIS, "K": Mark.STRIKE}
    found: list[Piece] = []
    still_open: list[Edge] = []
    for number, character in enumerate(notation):
        if character == "(":
            still_open.append(Edge(marks[str(found.pop())], number, opens=True))
            found.append(still_open[-1])
        elif character == ")":
            edge = still_open.pop()
            found.append(Edge(edge.mark, edge.number, opens=False))
        else:
            found.append(character)
    joined: list[Piece] = []
    for piece in found:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("a S(b) c", "a **b** c"),
        ("E(b)", "_b_"),
        ("aE(b)c", "a*b*c"),
        ("S( a )b", " **a** b"),
        ("aS( )b", "a b"),
        ("S(a)S(b)", "**ab**"),
        ("S(E(a))", "**_a_**"),
        ("E(a)S(b)", "*a*b"),
        ("xE(a)S(b)", "x*a*b"),
        ('xS("a")y', 'x"a"y'),
        ('S("a") y', '**"a"** y'),
        ("K(a)", "~~a~~"),
        ("E(a S(b) c)", "_a **b** c_"),
    ],
)
def test_golden(notation: str, expected: str) -> None:
    assert with_delimiters(pieces(notation), DELIMITERS, WORD_BOUND) == expected
