"""Growing Markdown: what ends up on the screen, whatever the chunks; and what a terminal must not be told."""

import io
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from rich.console import Console

from gateway.cli import painter
from gateway.cli.chat.keyboard import _inserted
from gateway.cli.painter import Painter, Plain, split_blocks
from gateway.cli.printing import clean, one_line

TEXT = (
    "# Title\n\nA paragraph that is long enough to wrap in a narrow window.\n\n- one\n- two\n  - three\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n\ny = 2\n```\n\nThe *end*.\n"
)


class Window:
    """As much of a terminal as the painter uses."""

    def __init__(self) -> None:
        self.rows = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\x1b[D78]|.|\n", text, re.DOTALL):
            self._take(token)

    def _take(self, token: str) -> None:
        if token == "\n":
            self.row, self.column = self.row + 1, 0
            self.rows += [""] * (self.row + 1 - len(self.rows))
        elif token == "\r":
            self.column = 0
        elif token == "\x1b[K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif token == "\x1b[J":
            self.rows[self.row :] = [self.rows[self.row][: self.column]]
        elif token.endswith("A") and token.startswith("\x1b"):
            self.row -= int(token[2:-1])
            assert self.row >= 0
        elif not token.startswith("\x1b"):
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + token + line[self.column + 1 :]
            self.column += 1


def _painted(monkeypatch: pytest.MonkeyPatch, chunks: Sequence[str], interrupted: bool = False) -> list[str]:
    output = io.StringIO()
    monkeypatch.setattr(painter.sys, "stdout", output)
    monkeypatch.setenv("COLUMNS", "41")
    monkeypatch.setenv("LINES", "24")
    shown = Painter(Console(force_terminal=True, width=40, file=io.StringIO()))
    for chunk in chunks:
        shown.grow(chunk)
        if interrupted:
            shown.above(lambda: output.write("NOTE\n"))
    shown.finish()
    window = Window()
    window.feed(output.getvalue())
    return [row.rstrip() for row in window.rows]


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_the_chunks_do_not_show(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _painted(monkeypatch, [TEXT])
    chunks = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    assert _painted(monkeypatch, chunks) == whole
    assert whole[0] == "Title"
    assert "• one" in "\n".join(whole)
    assert not any(first == second == "" for first, second in pairwise(whole))


def test_what_is_written_above_does_not_tear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [TEXT[at : at + 9] for at in range(0, len(TEXT), 9)]
    rows = _painted(monkeypatch, chunks, interrupted=True)
    assert rows.count("NOTE") == len(chunks)
    assert [row for row in rows if row not in ("NOTE", "")] == [
        row for row in _painted(monkeypatch, [TEXT]) if row
    ]


def test_nothing_said_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _painted(monkeypatch, []) == [""]


def test_only_a_finished_block_is_finished() -> None:
    assert split_blocks("one\ntwo") == ("", "one\ntwo")
    assert split_blocks("one\n\ntwo") == ("one\n", "two")
    assert split_blocks("```\na\n\nb\n") == ("", "```\na\n\nb\n")
    assert split_blocks("") == ("", "")


def test_a_pipe_gets_the_text_and_one_newline(capsys: pytest.CaptureFixture[str]) -> None:
    for chunks in (["a", "b"], ["ab\n"], []):
        plain = Plain()
        for chunk in chunks:
            plain.grow(chunk)
        plain.finish()
    assert capsys.readouterr().out == "ab\nab\n"


def test_lines_are_inserted_where_the_line_begins() -> None:
    text = _inserted(["one", "two"], rows_above=1)
    assert text == "\x1bD\x1bD\x1b[2A\x1b7\r\x1b[1A\x1b[2Lone\r\ntwo\x1b8\x1b[2B"


def test_content_cannot_command_the_terminal() -> None:
    assert clean("a\x1b[2Jb\x9b1mc\td\ne\r\x07") == "a[2Jb1mc\td\ne"
    assert one_line(" a\n b\x00 ", 10) == "a b"
    assert one_line("abcdef", 4) == "abc…"
