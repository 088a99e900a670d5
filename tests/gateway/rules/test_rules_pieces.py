"""How much of an answer can be shown for good: markup is not cut in two, and nothing is held back for long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.pieces import HELD_CHARS, settled_chars

texts = st.text(st.sampled_from("ab *_`~[]()\\\n#1.-"), max_size=120)


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("see **bol", "see "),
        ("see **bold** and", "see **bold** and"),
        ("see **bold*", "see "),
        ("run `make te", "run "),
        ("run `make test` now", "run `make test` now"),
        ("``a ` b", ""),
        ("a [link](https://exa", "a "),
        ("a [link", "a "),
        ("a [link](https://example.org) is", "a [link](https://example.org) is"),
        ("a [note] is", "a [note] is"),
        ("~~gone", ""),
        ("2 * 3 is 6", "2 * 3 is 6"),
        ("snake_case is", "snake_case is"),
        ("an escaped \\* star", "an escaped \\* star"),
        ("ends with \\", "ends with "),
        ("done\n``", "done\n"),
        ("done\n```py", "done\n"),
        ("done\n```py\nx = a ** b", "done\n```py\nx = a ** b"),
        ("```\nx\n``", "```\nx\n"),
        ("```\nx\n```\nand *then", "```\nx\n```\nand "),
        ("done\n## ", "done\n"),
        ("done\n- ", "done\n"),
        ("done\n12", "done\n"),
        ("done\n- item", "done\n- item"),
    ],
)
def test_what_is_shown(text: str, settled: str) -> None:
    assert text[: settled_chars(text)] == settled


def test_markup_that_is_never_closed_is_text_in_the_end() -> None:
    text = "see *this " + "word " * (HELD_CHARS // 5)
    assert settled_chars(text) == len(text)


@given(texts)
def test_only_the_last_line_is_ever_held_back(text: str) -> None:
    settled = settled_chars(text)
    assert text.rfind("\n") + 1 <= settled <= len(text)


@given(texts, texts)
def test_a_complete_line_is_shown_whole(text: str, more: str) -> None:
    assert settled_chars(f"{text}\n{more}") >= len(text) + 1
