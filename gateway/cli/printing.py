"""How commands write: tables, lines and JSON, all of them safe for a terminal.

What people and agents said is content: control characters in it would act on the reader's terminal, so every
text that did not come from us goes through `clean` first. Nothing here knows what it prints.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH: Final = 100_000
"""Columns of a table that is not written to a terminal: programs read whole lines."""
PREVIEW_CHARS: Final = 160
"""As much of a message as fits a line of a wide terminal."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0 and C1 control characters but tab and newline."""

console = Console(highlight=False)


def clean(text: str) -> str:
    """The text without what a terminal would obey."""
    return _CONTROL.sub("", text)


def one_line(text: str, chars: int = PREVIEW_CHARS) -> str:
    """The text on one line, cut to `chars`."""
    joined = clean(" ".join(text.split()))
    return joined if len(joined) <= chars else joined[: chars - 1] + "…"


def local_time(instant: datetime | None) -> str:
    """An instant for people: their own time, to the minute; empty for None."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M") if instant is not None else ""


def print_json(value: object) -> None:
    """One JSON document on one line, at once: a reader of a pipe waits for it."""
    print(json.dumps(to_plain(value), ensure_ascii=False, separators=(",", ":")))
    sys.stdout.flush()


def to_plain(value: object) -> Any:
    """A record of the client's as JSON has it: objects, lists, and instants as the protocol writes them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(found) for key, found in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(found) for found in value]
    return value


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Rows in columns; `empty` is said instead when there are none. Only the last column is ever cut."""
    found = [[one_line(cell) for cell in row] for row in rows]
    if not found:
        Console(stderr=True, highlight=False).print(empty, style="dim", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in found:
        table.add_row(*(Text(cell) for cell in row))
    show(table)


def print_fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line; pairs without a value are left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(name, Text(clean(value)))
    show(table)


def show(table: Table) -> None:
    """Write a table: within the width of a terminal, or in whole lines without padding."""
    if console.is_terminal:
        console.print(table)
        return
    plain = Console(highlight=False, width=PIPE_WIDTH)
    with plain.capture() as capture:
        plain.print(table)
    print("\n".join(line.rstrip() for line in capture.get().rstrip().split("\n")))
