"""docs/PROTOCOL.md against the code: everything the wire has is in the text, every linked test exists."""

import re
from pathlib import Path

import pytest

from protocol.errors import HTTP_STATUS, RETRYABLE, CloseCode, ErrorKind
from protocol.events import NOTIFICATIONS, EventKind
from protocol.ids import IdPrefix
from protocol.methods import METHODS
from protocol.tables import main, method_table, with_tables

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs/PROTOCOL.md").read_text()
REQUIREMENTS = dict(
    re.findall(r"^- \*\*(TG-\d+\.\d+)\*\* (.*?)(?=^- \*\*|\n\n)", TEXT, re.DOTALL | re.MULTILINE)
)
BODY, _, WITHOUT_TEST = TEXT.partition("## Requirements without a linked test")
TEST_LINK = re.compile(r"\(test:\s+(?:`([^`]+)`|(pending))\)")


def number(requirement: str) -> tuple[int, int]:
    """Section and number of `TG-3.2`."""
    section, _, place = requirement.removeprefix("TG-").partition(".")
    return int(section), int(place)


def test_requirements_are_numbered_in_order_without_gaps() -> None:
    written = [number(found) for found in re.findall(r"^- \*\*(TG-[\d.]+)\*\*", TEXT, re.MULTILINE)]
    sections = {section: [place for of, place in written if of == section] for section, _ in written}

    assert len(REQUIREMENTS) == len(written) > 100
    assert written == sorted(written)
    assert all(places == list(range(1, len(places) + 1)) for places in sections.values())


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_a_requirement_names_a_test_that_exists_or_says_that_there_is_none(requirement: str) -> None:
    links = TEST_LINK.findall(REQUIREMENTS[requirement])

    assert len(links) == 1, "one (test: …) for each requirement"
    path, pending = links[0]
    if not pending:
        file, _, function = path.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text()


def test_the_list_of_requirements_without_a_test_is_true() -> None:
    pending = [name for name, text in REQUIREMENTS.items() if "(test: pending)" in text]

    assert re.findall(r"TG-[\d.]+\d", WITHOUT_TEST) == pending


@pytest.mark.parametrize("requirement", sorted(set(re.findall(r"\(TG-[\d.]+\)", TEXT))))
def test_a_requirement_that_is_referred_to_exists(requirement: str) -> None:
    assert requirement.strip("()") in REQUIREMENTS


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_in_the_text(method: str) -> None:
    assert f"`{method}`" in BODY


def test_the_method_table_is_the_table() -> None:
    assert with_tables(TEXT) == TEXT, "docs/PROTOCOL.md differs from the code. Repair with: make schema"


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_kind_is_in_the_text_with_its_status(kind: ErrorKind) -> None:
    retry = "yes" if kind in RETRYABLE else "no"

    assert f"| `{kind.value}` | {HTTP_STATUS[kind]} | {retry} |" in BODY


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_is_in_the_text(code: CloseCode) -> None:
    assert f"| {code.value} | " in BODY


@pytest.mark.parametrize("kind", EventKind)
def test_every_event_kind_is_in_the_text(kind: EventKind) -> None:
    assert f"`{kind.value}`" in BODY


@pytest.mark.parametrize("notification", NOTIFICATIONS)
def test_every_notification_is_in_the_text(notification: str) -> None:
    assert f"`{notification}" in BODY


@pytest.mark.parametrize("prefix", IdPrefix)
def test_every_id_prefix_is_in_the_glossary(prefix: IdPrefix) -> None:
    assert f"`{prefix.value}_`" in (ROOT / "docs/glossary.md").read_text()


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^\| \*\*(\w[\w ]*)\*\*", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)

    assert words == sorted(words)
    assert len(words) == len(set(words)) > 40


def test_the_generated_part_is_rewritten_and_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "PROTOCOL.md"
    copy.write_text(TEXT.replace(method_table(), "old"))

    assert main([str(copy)]) == 0
    assert copy.read_text() == TEXT


def test_a_text_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        with_tables("no markers here")
