"""Cells of CSV exports: nothing that a spreadsheet would execute, and nothing lost."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.csv_cells import csv_line, safe_cell

STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("start", STARTS)
def test_text_that_a_spreadsheet_would_execute_gets_an_apostrophe(start: str) -> None:
    assert safe_cell(f'{start}HYPERLINK("http://evil")') == f'\'{start}HYPERLINK("http://evil")'


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("room", "room"),
        ("", ""),
        (None, ""),
        (-5, -5),
        (2.5, 2.5),
        (True, "true"),
        (False, "false"),
        ("a=b", "a=b"),
    ],
)
def test_everything_else_is_shown_as_it_is(value: str | int | None, cell: str | int) -> None:
    assert safe_cell(value) == cell


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_a_line_read_back_has_the_same_cells_and_no_formula(texts: list[str]) -> None:
    line = csv_line(texts)
    assert line.endswith("\r\n")
    (cells,) = csv.reader(io.StringIO(line, newline=""))
    assert [cell.removeprefix("'") for cell in cells] == [text.removeprefix("'") for text in texts]
    assert not any(cell.startswith(STARTS) for cell in cells)
