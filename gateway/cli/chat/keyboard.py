"""What the user types: lines from a terminal, with readline's editing and history, or from a pipe.

Theory of operation. Reading blocks, so it happens in one daemon thread that reads a line whenever one is
asked for; a thread that still waits for a line when the program ends is simply left behind. The loop may
write above a line that is being typed: it opens a gap there and fills it, and puts the cursor back to where it
was in the line. readline does not know, and need not: it only ever moves relative to its cursor.
"""

import asyncio
import codecs
import os
import queue
import readline
import shutil
import sys
import termios
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from rich.cells import cell_len

PROMPT: Final = "» "
_COLOURED_PROMPT: Final = f"\001\x1b[1;36m\002{PROMPT}\001\x1b[0m\002"
"""\\001 and \\002 tell readline what takes no room."""
_DOWN_OR_SCROLL: Final = "\x1bD"
_UP, _DOWN, _OPEN_GAP = "\x1b[{}A", "\x1b[{}B", "\x1b[{}L"
_SAVE, _RESTORE = "\x1b7", "\x1b8"
"""IND, CUU, CUD, IL (ECMA-48), DECSC and DECRC: every terminal of the last decades knows them."""
_READ_BYTES: Final = 65_536
"""One read of a pipe: what it holds on Linux."""


class Keyboard(Protocol):
    """Where lines come from."""

    is_asking: bool
    """Whether a half-typed line may be on the screen."""

    async def line(self) -> str | None:
        """The next line; None at the end."""
        ...

    def remember(self, lines: Iterable[str]) -> None:
        """Lines to find again with the arrow keys."""
        ...

    def write_above(self, lines: Sequence[str]) -> None:
        """Write lines, none wider than the window, above the line that is being typed."""
        ...

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Show nothing of what is typed meanwhile; the next line begins with it."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class _Reader:
    """The thread that reads. `read` returns a line or None at the end; it runs in the thread only."""

    def __init__(self, read: Callable[[], str | None]) -> None:
        self._read = read
        self._wanted: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[str | None]]] = (
            queue.SimpleQueue()
        )
        self.thread = threading.Thread(target=self._run, name="keyboard", daemon=True)

    async def line(self) -> str | None:
        """The next line; None at the end."""
        if not self.thread.is_alive():
            self.thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str | None] = loop.create_future()
        self._wanted.put((loop, future))
        return await future

    def _run(self) -> None:
        while True:
            loop, future = self._wanted.get()
            line = self._read()
            try:
                loop.call_soon_threadsafe(_settle, future, line)
            except RuntimeError:
                return  # the loop is gone, and with it everybody who could want a line


def _settle(future: asyncio.Future[str | None], line: str | None) -> None:
    if not future.done():
        future.set_result(line)


class Pipe:
    """Lines from something that is not a terminal."""

    is_asking = False

    def __init__(self, descriptor: int) -> None:
        self._reader = _Reader(lambda: next(lines, None))
        lines = _lines_of(descriptor)

    async def line(self) -> str | None:
        """The next line; None at the end."""
        return await self._reader.line()

    def remember(self, lines: Iterable[str]) -> None:
        """Nobody looks back here."""

    def write_above(self, lines: Sequence[str]) -> None:
        """Nothing is being typed, so this is not asked for."""

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Nothing is shown anyway."""
        yield

    def close(self) -> None:
        """Nothing was changed."""


class Terminal:
    """Lines from a person at a terminal."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._reader = _Reader(self._ask)
        self._before = termios.tcgetattr(sys.stdin)
        self.is_asking = False
        readline.set_completer(self._complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")

    async def line(self) -> str | None:
        """The next line; None at the end."""
        self.is_asking = True
        try:
            return await self._reader.line()
        finally:
            self.is_asking = False

    def remember(self, lines: Iterable[str]) -> None:
        """Lines to find again with the arrow keys."""
        for line in lines:
            readline.add_history(line)

    def write_above(self, lines: Sequence[str]) -> None:
        """Write lines, none wider than the window, above the line that is being typed."""
        window = shutil.get_terminal_size()
        rows_above = cell_len(PROMPT + readline.get_line_buffer()) // window.columns
        at_once = max(window.lines - 2 - rows_above, 1)
        for begin in range(0, len(lines), at_once):
            sys.stdout.write(_inserted(lines[begin : begin + at_once], rows_above))
        sys.stdout.flush()

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Show nothing of what is typed meanwhile; the next line begins with it."""
        attributes = termios.tcgetattr(sys.stdin)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, attributes)
        try:
            yield
        finally:
            attributes[3] |= termios.ECHO
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, attributes)

    def close(self) -> None:
        """Leave the terminal as it was."""
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def _complete(self, text: str, state: int) -> str | None:
        found = [f"{word} " for word in self._words if text and word.startswith(text)]
        return found[state] if state < len(found) else None

    @staticmethod
    def _ask() -> str | None:
        try:
            return input(_COLOURED_PROMPT)
        except EOFError:
            return None


def _inserted(lines: Sequence[str], rows_above: int) -> str:
    """Control sequences that put `lines` above a line whose cursor is `rows_above` rows below its beginning."""
    count = len(lines)
    return "".join(
        (
            _DOWN_OR_SCROLL * count,  # make room below, where there is none; the column stays
            _UP.format(count),
            _SAVE,
            "\r",
            _UP.format(rows_above) if rows_above else "",
            _OPEN_GAP.format(count),
            "\r\n".join(lines),
            _RESTORE,
            _DOWN.format(count),
        )
    )


def _lines_of(descriptor: int) -> Iterator[str]:
    """Lines as they come, without their ends. Reads past Python's own buffer, whose lock would outlive us."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := os.read(descriptor, _READ_BYTES):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
    if rest:
        yield rest
