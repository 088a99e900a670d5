"""Titles from first messages: the first line with words, one line of a list, cut between words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.rules.titles import TITLE_CHARS, title_from
from protocol import limits


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", ""),
        ("   \n\t\n", ""),
        ("Hello", "Hello"),
        ("\n\n  Hello   there \nsecond line", "Hello there"),
        ("# Heading\ntext", "Heading"),
        ("> quoted", "quoted"),
        ("- a list", "a list"),
        ("**bold** start", "bold** start"),
        ("---\nAfter a rule", "After a rule"),
        ("#\n>\n* x", "x"),
        ("***", ""),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 59 + "…"),
        ("word " * 20, "word " * 10 + "word…"),
        ("one, " + "x" * 80, "one, " + "x" * 54 + "…"),
        ("The weather of the next days in the mountains, please, hour by hour",
         "The weather of the next days in the mountains, please…"),
    ],
)  # fmt: skip
def test_a_title_is_the_first_line_with_words(text: str, title: str) -> None:
    assert title_from(text) == title


@given(st.text(max_size=300))
@example("\x85x")
@example("a\u2028b")
@example("x" * 59 + " y")
@example(("w" * 29 + " ") * 5)
@example("." * 200)
def test_a_title_is_one_line_of_a_list(text: str) -> None:
    title = title_from(text)
    assert len(title) <= TITLE_CHARS <= limits.TITLE_CHARS
    assert len(title.splitlines()) <= 1
    assert title == title.strip()


@given(st.text(max_size=300))
def test_a_title_is_made_of_what_was_said(text: str) -> None:
    title = title_from(text).removesuffix("…")
    assert title in " ".join(text.split())


@given(st.text(max_size=300))
def test_only_what_has_no_words_has_no_title(text: str) -> None:
    has_words = any(char.isalnum() for char in text)
    assert title_from(text) or not has_words
