"""Patterns of names: `*` alone is special, nothing fits an empty name, and no name takes long."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.names import fits_any

LETTERS = st.text(alphabet="ab.", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("clock", ["clock"], ["Clock", "clock ", "aclock", ""]),
        ("github.*", ["github.", "github.create_issue"], ["github", "xgithub.a", ""]),
        ("*.delete", [".delete", "db.delete"], ["delete", "db.delete "]),
        ("a*b", ["ab", "axb", "a*b"], ["a", "b", "aB", "abc"]),
        ("a*b*c", ["abc", "axbyc", "abbc"], ["acb", "ac"]),
        ("aa*aa", ["aaaa", "aaxaa"], ["aaa", "aa"]),
        ("*", ["a", "*", " "], [""]),
        ("**", ["a"], [""]),
        ("[a-z]?", ["[a-z]?"], ["ab"]),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_is_special(
    pattern: str, fitting: list[str], others: list[str]
) -> None:
    fits = fits_any([pattern])
    assert [name for name in fitting if not fits(name)] == []
    assert [name for name in others if fits(name)] == []


@given(
    patterns=st.lists(st.text(alphabet="ab.*", min_size=1, max_size=8), min_size=1, max_size=4), name=LETTERS
)
def test_it_agrees_with_the_shell_about_stars(patterns: list[str], name: str) -> None:
    wanted = name != "" and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    assert fits_any(patterns)(name) == wanted


def test_no_patterns_fit_nothing() -> None:
    assert not fits_any([])("clock")


def test_a_pattern_made_to_be_slow_is_not() -> None:
    fits = fits_any(["a*" * 60 + "b"])
    began = time.perf_counter()
    assert not fits("a" * 100_000 + "c")
    assert not fits("a" * 100_000)
    assert fits("a" * 100_000 + "b")
    assert time.perf_counter() - began < 1.0
