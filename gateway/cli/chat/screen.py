"""What the user of a chat sees: who said what, notes beside it, and the answer that is being written.

On a terminal there are names and colours. In a pipe the answers alone are output, and notes go to stderr.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

from gateway.cli import failures
from gateway.cli.chat.keyboard import Keyboard
from gateway.cli.painter import Growing, painter_for_stdout, rendered
from gateway.cli.printing import clean

PERSON: Final = "bold cyan"
AGENT: Final = "bold green"
NOTE: Final = "dim"
WARNING: Final = "yellow"


class Screen:
    """Writes whole things, wherever the cursor happens to be."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._console = Console(highlight=False)
        self._growing: Growing | None = None
        self.is_terminal = sys.stdout.isatty()

    def note(self, text: str, style: str = NOTE) -> None:
        """Something about the conversation, not of it."""
        if self.is_terminal:
            self._write(Text(clean(text), style=style))
        else:
            failures.note(text)

    def said(self, name: str, text: str, *, by_agent: bool) -> None:
        """A whole message."""
        if self.is_terminal:
            body = Text(clean(text))
            if by_agent:
                body = Text.from_ansi("\n".join(rendered(self._console, clean(text))))
            self._write(Text(clean(name), style=AGENT if by_agent else PERSON), body, Text())
        elif by_agent:
            print(clean(text))
            sys.stdout.flush()

    @contextmanager
    def answer(self, name: str) -> Iterator[Growing]:
        """A message that is being written."""
        if self.is_terminal:
            self._console.print(Text(clean(name), style=AGENT))
        with self._keyboard.hushed():
            self._growing = growing = painter_for_stdout()
            try:
                yield growing
            finally:
                self._growing = None
                growing.finish()
                if self.is_terminal:
                    self._console.print()

    def _write(self, *things: RenderableType) -> None:
        if self._growing is not None:
            self._growing.above(lambda: self._print(things))
        elif self._keyboard.is_asking:
            width = max(shutil.get_terminal_size().columns - 1, 1)
            with self._console.capture() as capture:
                for thing in things:
                    self._console.print(thing, width=width)
            self._keyboard.write_above(capture.get().removesuffix("\n").split("\n"))
        else:
            self._print(things)

    def _print(self, things: Iterable[RenderableType]) -> None:
        for thing in things:
            self._console.print(thing)
