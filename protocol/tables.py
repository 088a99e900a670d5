"""The generated part of docs/PROTOCOL.md: the table of methods as Markdown.

    python -m protocol.tables docs/PROTOCOL.md     rewrite the part between the markers

Everything else in that text is written by hand; tests/protocol/test_docs.py holds the two together.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from protocol.methods import METHODS, Method
from protocol.openapi import needs_connection
from protocol.records import Record

BEGIN: Final = "<!-- generated: methods (make schema) -->"
END: Final = "<!-- end of generated -->"


def method_table() -> str:
    """The table: one row per method, in the order of the table in code."""
    rows = [
        "| method | params | result | scope | changes | over HTTP |",
        "|---|---|---|---|---|---|",
        *(_row(method) for method in METHODS.values()),
    ]
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """`text` with the generated part brought up to date. Raises ValueError when a marker is missing."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:begin]}\n{method_table()}\n{text[end:]}"


def _row(method: Method) -> str:
    name, changes = f"**`{method.name}`**<br>{method.summary}", "yes" if method.mutating else "no"
    http = "no" if needs_connection(method) else "yes"
    params, result = _fields(method.params, is_sent=False), _fields(method.result, is_sent=True)
    return f"| {name} | {params} | {result} | `{method.scope.value}` | {changes} | {http} |"


def _fields(model: type[Record], *, is_sent: bool) -> str:
    """Field names; a question mark is on those that may be absent."""
    names = [
        f"{field.alias or name}{'' if _is_always_there(field, is_sent=is_sent) else '?'}"
        for name, field in model.model_fields.items()
    ]
    return ", ".join(f"`{name}`" for name in names) or "none"


def _is_always_there(field: FieldInfo, *, is_sent: bool) -> bool:
    # What is sent has its defaults, except None; what is received may leave out whatever has one.
    return field.is_required() or (is_sent and field.default is not None)


def main(arguments: Sequence[str]) -> int:
    """Rewrite the files named; returns the exit status."""
    for name in arguments:
        path = Path(name)
        path.write_text(with_tables(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
