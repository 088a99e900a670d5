"""The table of the corpus and its tests are the same list: docs/security-corpus.md."""

import ast
import re
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TABLE: Final = HERE.parents[1] / "docs" / "security-corpus.md"
FUNCTIONS: Final = {
    f"{path.stem}::{node.name}": ast.get_docstring(node) or ""
    for path in sorted(HERE.glob("test_security_*.py"))
    if path != Path(__file__)
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
}
ROWS: Final = {
    found[3]: found[2]
    for found in re.finditer(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", TABLE.read_text(), re.MULTILINE)
}
PUBLISHED: Final = r"CVE-\d{4}-\d+|GHSA(?:-[a-z0-9]{4}){3}|AML\.CS\d{4}"


def test_every_class_has_its_test() -> None:
    assert set(ROWS) - set(FUNCTIONS) == set(), "rows whose test does not exist"
    assert set(FUNCTIONS) - set(ROWS) == set(), "tests without a row"
    assert len(FUNCTIONS) >= 70


def test_the_published_ids_stand_with_the_test() -> None:
    for test, ids in ROWS.items():
        for one in re.findall(PUBLISHED, ids):
            assert one in FUNCTIONS[test], f"{test} does not name {one}"
        for one in re.findall(PUBLISHED, FUNCTIONS[test]):
            assert one in ids, f"the row of {test} does not name {one}"


def test_every_test_says_what_it_is_about() -> None:
    for test, docstring in FUNCTIONS.items():
        assert ": " in docstring.replace("\n", " "), test
