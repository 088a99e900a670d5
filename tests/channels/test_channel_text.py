"""Unicode questions: well-formed text, UTF-16 lengths, visibility, screen columns."""

import pytest

from channels.text import columns, is_visible, utf16_length, well_formed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 字 😀", "plain é 字 😀"),
        ("\ud83d\ude00", "😀"),
        ("a\ud83d", "a\ufffd"),
        ("\ude00b", "\ufffdb"),
        ("", ""),
    ],
)
def test_surrogate_pairs_are_joined_and_lone_ones_replaced(text: str, expected: str) -> None:
    assert well_formed(text) == expected


@pytest.mark.parametrize(("text", "units"), [("abc", 3), ("é字", 2), ("😀", 2), ("a😀b", 4), ("", 0)])
def test_characters_beyond_the_basic_plane_take_two_utf16_units(text: str, units: int) -> None:
    assert utf16_length(text) == units


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060", "\u3164", "\u2800", "\x00"])
def test_text_that_draws_nothing_is_not_visible(text: str) -> None:
    assert not is_visible(text)


@pytest.mark.parametrize("text", ["a", " . ", "😀", "\u200bx"])
def test_text_that_draws_something_is_visible(text: str) -> None:
    assert is_visible(text)


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("字", 2), ("e\u0301", 1), ("é", 1)])
def test_columns_count_what_a_monospaced_screen_shows(text: str, width: int) -> None:
    assert columns(text) == width
