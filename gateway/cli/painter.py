"""Text that grows, on a terminal: Markdown drawn as it arrives, without flicker; or as it comes elsewhere.

Theory of operation. Finished blocks of the text are printed for good. The last, unfinished block is drawn
below them and drawn again when it grows: of its lines only those that changed are written, over the old ones,
so nothing is ever blank in between. Lines that scrolled out of the window can no longer be reached and stay.
"""

import re
import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Final, Protocol

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown
from rich.text import Text

from gateway.cli.printing import clean

UP: Final = "\x1b[{}A"
CLEAR_LINE_END: Final = "\x1b[K"
CLEAR_BELOW: Final = "\x1b[J"
"""ECMA-48 control sequences."""
WAITING: Final = "…"
_STYLES: Final = re.compile(r"\x1b\[[0-9;]*m")
_PARSER: Final = MarkdownIt("commonmark").enable("table")


class Growing(Protocol):
    """Somewhere a growing text is shown."""

    def grow(self, chunk: str) -> None:
        """Show more of it."""
        ...

    def above(self, write: Callable[[], None]) -> None:
        """Let something else be written, without tearing the text apart."""
        ...

    def finish(self) -> None:
        """It is complete, or will never be."""
        ...


def painter_for_stdout() -> Growing:
    """What suits the standard output."""
    return Painter(Console(highlight=False)) if sys.stdout.isatty() else Plain()


class Plain:
    """A growing text for a pipe or a file: the chunks as they come, and a newline at the end."""

    def __init__(self) -> None:
        self._last = "\n"

    def grow(self, chunk: str) -> None:
        """Show more of it."""
        chunk = clean(chunk)
        self._last = chunk[-1:] or self._last
        sys.stdout.write(chunk)
        sys.stdout.flush()

    def above(self, write: Callable[[], None]) -> None:
        """Let something else be written."""
        write()

    def finish(self) -> None:
        """It is complete, or will never be."""
        if self._last != "\n":
            self.grow("\n")


class Painter:
    """A growing text on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ""
        self._drawn: list[str] = []
        self._has_blocks = False
        self._draw([f"\x1b[2m{WAITING}\x1b[0m"])

    def grow(self, chunk: str) -> None:
        """Show more of it."""
        done, self._open = split_blocks(self._open + clean(chunk))
        if done:
            self._commit(done)
        self._draw(self._lines(self._open))

    def above(self, write: Callable[[], None]) -> None:
        """Let something else be written above the unfinished block."""
        drawn = self._drawn
        self._draw([])
        write()
        self._draw(drawn)

    def finish(self) -> None:
        """Print the last block for good."""
        self._commit(self._open)
        self._open = ""

    def _commit(self, text: str) -> None:
        lines = self._lines(text)
        self._draw(lines)
        if lines:
            self._write("\n")
            self._has_blocks = True
        self._drawn = []

    def _lines(self, text: str) -> list[str]:
        """The lines a part of the text takes, with a blank one before it unless it is the first."""
        lines = rendered(self._console, text)
        return ["", *lines] if lines and self._has_blocks else lines

    def _draw(self, lines: list[str]) -> None:
        """Turn the lines that are drawn into `lines`. The cursor stands behind the last one, before and after."""
        old, self._drawn = self._drawn, lines
        same = 0
        while same < min(len(old), len(lines)) and old[same] == lines[same]:
            same += 1
        if same == len(old) == len(lines):
            return
        reach = shutil.get_terminal_size().lines - 1
        first = max(min(same, len(lines) - 1), len(old) - reach, 0)
        out = ""
        if first < len(old):
            up = len(old) - 1 - first
            out += (UP.format(up) if up else "") + "\r"
        elif old:
            out += "\n"
        out += "\r\n".join(line + CLEAR_LINE_END for line in lines[first:])
        self._write(out + (CLEAR_BELOW if len(lines) < len(old) else ""))

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def rendered(console: Console, text: str) -> list[str]:
    """The lines that a Markdown text takes in the window, with one blank line between its blocks."""
    # One column is left free: a cursor behind the last one would wrap, or erase what it stands on.
    width = max(shutil.get_terminal_size().columns - 1, 1)
    lines: list[str] = []
    for block in _blocks(text):
        with console.capture() as capture:
            console.print(_ChatMarkdown(block), width=width)
        drawn = [line if _STYLES.sub("", line).strip() else "" for line in capture.get().split("\n")]
        filled = [number for number, line in enumerate(drawn) if line]
        if filled:
            lines += ([""] if lines else []) + drawn[filled[0] : filled[-1] + 1]
    return lines


def split_blocks(text: str) -> tuple[str, str]:
    """The finished blocks of a Markdown text, and its last block, which what follows may still change."""
    *finished, last = _blocks(text)
    return "\n".join(finished), last


def _blocks(text: str) -> list[str]:
    starts = [token.map[0] for token in _PARSER.parse(text) if token.level == 0 and token.map]
    lines = text.split("\n")
    bounds = [0, *sorted({start for start in starts[1:] if start > 0}), len(lines)]
    return ["\n".join(lines[begin:end]) for begin, end in pairwise(bounds)]


class _LeftHeading(Heading):
    """A heading as a chat shows it: bold, at the left, without a box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text(self.text.plain, style="bold underline" if self.tag == "h1" else "bold")
        yield text


class _ChatMarkdown(Markdown):
    """Markdown for a conversation: plain headings, addresses of links spelled out."""

    elements: ClassVar = {**Markdown.elements, "heading_open": _LeftHeading}

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
