"""Findings are masked, named or dropped; twice is as good as once; numbers stay numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.governance_settings import DetectorSettings, PrivacySettings
from gateway.patterns import checked_detector
from gateway.rules.redaction import DETECTORS, WITHHELD, Mode, Redactor, organization_key, redactor

KEY = organization_key(b"secret", "org_default")

PIECES = [
    *("ada@example.org", "Ada@Example.org", "+49 30 1234567", "030 1234567", "DE89 3704 0044 0532 0130 00"),
    *(
        "4111 1111 1111 1111",
        "203.0.113.7",
        "2001:db8::1",
        "tgate_0123456789abcdef",
        "[email]",
        "[phone:00000000]",
    ),
    *("[", "]", " ", "-", "@", ".", ":", "+", "0", "1", "a", "A", "\n", "sk-", "key ", "[withheld]", "x@"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)


@given(TEXTS, st.sampled_from(["mask", "hash"]))
def test_redacting_twice_is_redacting_once_and_leaves_nothing(text: str, mode: Mode) -> None:
    redact = Redactor(mode=mode, key=KEY, patterns=[("badge", r"[aA]{1,3}\d{1,4}")])
    once = redact.text(text)
    assert redact.text(once) == once
    assert not redact.find(once)


@given(TEXTS)
def test_what_is_dropped_is_gone_for_good(text: str) -> None:
    redact = Redactor(mode="drop")
    once = redact.text(text)
    assert once == WITHHELD or not redact.find(once)


@given(TEXTS)
def test_counts_say_how_much_and_a_text_without_findings_is_the_same_text(text: str) -> None:
    redact = Redactor()
    redacted, counts = redact.counted(text)
    assert (redacted == text) == (not counts)


def test_a_pseudonym_is_the_same_for_the_same_value_however_it_is_written() -> None:
    redact = Redactor(mode="hash", key=KEY)
    one, other, third = (
        redact.text(text) for text in ("ada@example.org", "Ada@EXAMPLE.org", "bob@example.org")
    )
    assert one == other != third
    assert re.fullmatch(r"\[email:[0-9a-f]{8}\]", one)
    assert redact.text("DE89 3704 0044 0532 0130 00") == redact.text("DE89370400440532013000")
    elsewhere = Redactor(mode="hash", key=organization_key(b"secret", "org_other"))
    assert elsewhere.text("ada@example.org") != one


def test_findings_that_overlap_become_one_mark_of_the_kind_that_says_most() -> None:
    redact = Redactor(patterns=[("ticket", r"T-\d{3}@example")])
    assert redact.text("T-123@example.org") == "[email]"
    assert redact.text("x tgate_0123456789@example.org") == "x [secret]"


def test_json_is_redacted_in_names_and_texts_and_nowhere_else() -> None:
    value = {"ada@example.org": ["+49 30 1234567", 4111111111111111, None, True, 1.5], "id": "thr_1"}
    assert Redactor().json(value) == {
        "[email]": ["[phone]", 4111111111111111, None, True, 1.5],
        "id": "thr_1",
    }


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    settings = PrivacySettings(detect=("email",), mode="drop")
    assert redactor(settings).text("ada@example.org +49 30 1234567") == " +49 30 1234567"


def test_a_text_that_goes_on_and_on_is_withheld() -> None:
    """Each mark makes its neighbour a finding: linear time does not wait for the end of that."""
    redact = Redactor((), patterns=[("b", r"xa|x\[b\]")])
    assert redact.text("x" * 4 + "a") == "[b]"
    assert redact.text("x" * 40 + "a") == WITHHELD
    assert redact.text(WITHHELD) == WITHHELD


@pytest.mark.parametrize("pattern", [r"\d+", r".*x", r"(aa|b){1,40}c", "", r"a{0,3}", r"(\d{1,30}-){1,30}"])
def test_a_pattern_of_an_organization_that_could_take_long_or_find_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"may (take|match)"):
        checked_detector(pattern)


def test_patterns_of_an_organization_are_checked_with_the_settings() -> None:
    assert DetectorSettings(name="badge", pattern=r"EMP-\d{6}").pattern == r"EMP-\d{6}"
    with pytest.raises(ValidationError, match="give every repetition a bound"):
        DetectorSettings(name="badge", pattern=r"EMP-\d+")
    with pytest.raises(ValidationError, match="'email' is taken"):
        PrivacySettings(patterns=(DetectorSettings(name="email", pattern="x"),))


@given(TEXTS)
def test_the_cheap_look_before_the_search_overlooks_nothing(text: str) -> None:
    for kind, find in DETECTORS.items():
        if next(find(text), None) is not None:
            assert Redactor((kind,)).find(text), kind
