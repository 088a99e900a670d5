"""Instants: milliseconds to text and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from protocol.instants import from_instant, to_instant
from protocol.records import Instant

YEAR_9999_MS = 253_402_300_799_999


@given(st.integers(0, YEAR_9999_MS))
def test_round_trip(at_ms: int) -> None:
    text = to_instant(at_ms)

    assert from_instant(text) == at_ms
    assert TypeAdapter(Instant).validate_python(text) == text


@given(st.integers(0, YEAR_9999_MS), st.integers(0, YEAR_9999_MS))
def test_instants_compare_as_strings(one: int, other: int) -> None:
    assert (to_instant(one) < to_instant(other)) == (one < other)


def test_always_three_decimals_and_utc() -> None:
    assert to_instant(1_763_717_400_000) == "2025-11-21T09:30:00.000Z"
    assert to_instant(7) == "1970-01-01T00:00:00.007Z"


def test_other_zones_are_understood() -> None:
    assert from_instant("2025-11-21T11:30:00.123+02:00") == 1_763_717_400_123


@pytest.mark.parametrize("text", ["", "yesterday", "2025-11-21T09:30:00", "2025-11-21"])
def test_text_without_a_zone_or_a_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zone|Invalid"):
        from_instant(text)
