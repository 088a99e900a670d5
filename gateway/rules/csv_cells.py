"""Cells of CSV exports that a spreadsheet shows and never executes. Pure; who streams the lines is at the edge."""

import csv
import io
from collections.abc import Iterable
from typing import Final

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection")."""


def safe_cell(value: str | int | float | bool | None) -> str | int | float:
    """A value as it may stand in a CSV file: text that a spreadsheet would execute gets a leading apostrophe.

    Numbers stay numbers, also negative ones: they are no text. None is an empty cell, a bool the word of JSON.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return value


def csv_line(values: Iterable[str | int | float | bool | None]) -> str:
    """One line of CSV (RFC 4180: CRLF at its end, quotes where needed), every cell safe."""
    line = io.StringIO()
    csv.writer(line).writerow([safe_cell(value) for value in values])
    return line.getvalue()
