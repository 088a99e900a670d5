"""Times of the week: what can be written, when it holds, and what is said about the rest."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.time_windows import checked_window, parse_window

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
DAYS = {
    name: MONDAY + timedelta(days=number)
    for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
}


def at(day: str, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return DAYS[day] + timedelta(hours=int(hour), minutes=int(minute))


@pytest.mark.parametrize(
    ("window", "holds", "does_not"),
    [
        ("mon-fri 09:00-17:00", ["mon 09:00", "fri 16:59"], ["mon 08:59", "fri 17:00", "sat 12:00"]),
        ("mon,wed", ["mon 00:00", "wed 23:59"], ["tue 12:00", "sun 12:00"]),
        ("fri-mon", ["fri 00:00", "sun 12:00", "mon 23:59"], ["tue 00:00", "thu 23:59"]),
        ("mon,thu-sat 10:00-11:00", ["thu 10:30", "mon 10:00"], ["tue 10:30", "sun 10:30"]),
        ("22:00-06:00", ["mon 22:00", "tue 05:59", "sun 23:00"], ["tue 06:00", "mon 21:59"]),
        ("fri 22:00-06:00", ["fri 23:00", "sat 05:59"], ["fri 05:00", "sat 22:00", "sat 06:00"]),
        ("sun 22:00-06:00", ["sun 22:00", "mon 05:59"], ["sun 05:00", "mon 22:00"]),
        ("18:00-24:00", ["mon 23:59"], ["mon 00:00", "mon 17:59"]),
        ("00:00-24:00", ["mon 00:00", "sun 23:59"], []),
        ("mon-fri 09:00-17:00 Europe/Berlin", ["mon 08:00", "mon 15:59"], ["mon 16:00", "mon 07:59"]),
        ("Mon-Fri 09:00-17:00 utc", ["mon 09:00"], ["sat 09:00"]),
        ("tue Asia/Tokyo", ["mon 15:00", "tue 14:59"], ["mon 14:59", "tue 15:00"]),
    ],
)
def test_a_window_holds(window: str, holds: list[str], does_not: list[str]) -> None:
    found = parse_window(window)
    assert [one for one in holds if not found.holds(at(*one.split()))] == []
    assert [one for one in does_not if found.holds(at(*one.split()))] == []


@given(minutes=st.integers(0, 10 * 366 * 24 * 60))
def test_a_window_and_its_rest_share_no_instant_and_leave_none_out(minutes: int) -> None:
    instant = MONDAY + timedelta(minutes=minutes)
    working = parse_window("09:00-17:00 Europe/Berlin").holds(instant)
    assert parse_window("17:00-09:00 Europe/Berlin").holds(instant) is not working


def test_the_clock_on_the_wall_counts_when_clocks_change() -> None:
    found = parse_window("02:30-02:45 Europe/Berlin")
    assert found.holds(datetime(2026, 10, 25, 0, 35, tzinfo=UTC))
    assert found.holds(datetime(2026, 10, 25, 1, 35, tzinfo=UTC)), "the hour comes twice"
    day = [datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=5 * step) for step in range(6 * 12)]
    assert not any(found.holds(one) for one in day), "the hour is left out"


def test_a_time_without_a_zone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        parse_window("mon").holds(datetime(2026, 11, 16))  # noqa: DTZ001 - what it is about


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("mon-fry 09:00-17:00", "'fry' is no day: there are mon, tue"),
        ("mon 9:00-17:00", "'9:00-17:00' is not understood there"),
        ("mon 09:00-25:00", "no span of a day"),
        ("mon 09:60-10:00", "no span of a day"),
        ("24:00-06:00", "no span of a day"),
        ("09:00-09:00", "has no length"),
        ("mon 09:00-17:00 Europe/Berlyn", "'Europe/Berlyn' is no time zone"),
        ("mon 09:00-17:00 ../../etc/passwd", "is no time zone"),
        ("09:00-17:00 mon", "'mon' is no time zone"),
        ("mon 09:00-17:00 UTC UTC", "'UTC' is not understood there"),
        ("mon 09:00-17:00 10:00-11:00", "'10:00-11:00' is not understood there"),
        ("   ", "nothing is said"),
        ("mon \u0660\u0669:00-17:00", "is not understood there"),
    ],
)
def test_what_is_no_window_says_why(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        checked_window(text)


def test_nothing_is_a_rule_without_a_time() -> None:
    assert checked_window("") == ""
