"""The shape of the source: small files and functions, honest names, no test that asserts nothing.

`BASELINE` is where an exception would be written down. It is empty, and may only ever shrink.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("protocol", "storage", "channels", "gateway", "clients/python", "tests", "bench")
FILE_LINES: Final = 450
TEST_FILE_LINES: Final = 600
FUNCTION_LINES: Final = 70
BANNED: Final = frozenset(
    {"helper", "helpers", "util", "utils", "manager", "common", "misc", "mixin", "mixins", "base"}
)
"""Words that do not say what is in a file."""
BASELINE: Final[frozenset[str]] = frozenset()
"""`file: rule` that is broken already."""

SOURCES: Final = sorted(
    path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
)
TESTS: Final = [path for path in SOURCES if path.name.startswith("test_")]
EACH_SOURCE: Final = pytest.mark.parametrize("path", SOURCES, ids=str)


def expect(path: Path, rule: str, *, kept: bool, found: object = "") -> None:
    """Fail when a rule is broken that the baseline does not excuse, or kept although it does."""
    assert kept != (f"{path}: {rule}" in BASELINE), f"{path}: {rule} ({found})"


def tree(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    return ast.parse((ROOT / path).read_text())


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_sources_were_found() -> None:
    assert {path.parts[0] for path in SOURCES} >= {"protocol", "storage", "channels", "gateway", "tests"}


@EACH_SOURCE
def test_a_file_is_small(path: Path) -> None:
    most = TEST_FILE_LINES if path.parts[0] == "tests" else FILE_LINES
    # Blank lines are not counted: interfaces are mostly air, and that is how they should be.
    lines = sum(bool(line.strip()) for line in (ROOT / path).read_text().splitlines())

    expect(path, f"at most {most} lines", kept=lines <= most, found=lines)


@EACH_SOURCE
def test_functions_are_small(path: Path) -> None:
    long = {function.name: body_lines(function) for function in functions(tree(path))}
    long = {name: lines for name, lines in long.items() if lines > FUNCTION_LINES}

    expect(path, f"functions of at most {FUNCTION_LINES} lines", kept=not long, found=long)


@EACH_SOURCE
def test_names_say_something(path: Path) -> None:
    words = {word for part in path.with_suffix("").parts for word in part.split("_")}

    expect(path, "no empty words in names", kept=not words & BANNED, found=words & BANNED)


@EACH_SOURCE
def test_a_module_says_what_lives_in_it(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))

    expect(path, "a docstring", kept=bool(docstring))


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_a_test_file_asserts_something(path: Path) -> None:
    nodes = list(ast.walk(tree(path)))
    asserts = any(isinstance(node, ast.Assert) for node in nodes)
    raises = any(isinstance(node, ast.Attribute) and node.attr == "raises" for node in nodes)

    expect(path, "an assertion", kept=asserts or raises)


def test_modules_beside_tests_have_unique_names() -> None:
    # Test folders are no packages, so two modules of one name would shadow each other.
    beside = [path for path in SOURCES if path.parts[0] == "tests" and path.name != "conftest.py"]
    folders = {path.parent for path in beside if (ROOT / path.parent / "__init__.py").exists()}
    names = Counter(path.name for path in beside if path.parent not in folders)

    assert [name for name, times in names.items() if times > 1] == []


def test_the_baseline_names_files_that_exist() -> None:
    assert {entry.split(":")[0] for entry in BASELINE} <= set(map(str, SOURCES))
