"""Times of the week as operators write them: `mon-fri 09:00-17:00 Europe/Berlin`. Pure: the time is an argument.

Days, a span and a zone, each of which may be left out: `sat,sun`, `22:00-06:00`, `mon-fri Europe/Berlin`. Days are
those of the week in English, a list of single ones and of ranges, which may go over the end of the week. A span
includes its first minute and not its last, `24:00` is the end of a day, and one over midnight belongs to the day on
which it begins. The zone is one of the IANA time zone database; UTC unless told. What counts is the clock on the wall
there: in the hour that a change of the clocks repeats, a span holds twice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALL_DAYS: Final = frozenset(range(len(_DAYS)))
_SPAN: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DAY_LIST: Final = re.compile(r"[a-z]{3}(-[a-z]{3})?(,[a-z]{3}(-[a-z]{3})?)*")
_MINUTES: Final = 24 * 60
"""Of a day, on the wall."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """When something holds. `days` count from Monday, 0; `begins` and `ends` are minutes of the day."""

    days: frozenset[int]
    begins: int
    ends: int
    zone: tzinfo

    def holds(self, at: datetime) -> bool:
        """Whether it holds at this instant. Raises ValueError for a time without a zone."""
        if at.tzinfo is None:
            raise ValueError("a time without a zone is no instant")
        there = at.astimezone(self.zone)
        today, minute = there.weekday(), there.hour * 60 + there.minute
        if self.begins < self.ends:
            return today in self.days and self.begins <= minute < self.ends
        if minute >= self.begins:
            return today in self.days
        return minute < self.ends and (today - 1) % len(_DAYS) in self.days


def parse_window(text: str) -> TimeWindow:
    """The window that a text describes. Raises ValueError, which says what is wrong with it."""
    days, span, zone = _ALL_DAYS, (0, _MINUTES), None
    place = 0
    for word in text.split():
        lower = word.lower()
        if place < 1 and _DAY_LIST.fullmatch(lower):
            days, place = _days(lower), 1
        elif place < 2 and (found := _SPAN.fullmatch(word)):
            span, place = _span(found), 2
        elif place < 3 and not word[0].isdigit():
            zone, place = _zone(word), 3
        else:
            raise ValueError(f"{word!r} is not understood there: {FORM}")
    if place == 0:
        raise ValueError(f"nothing is said: {FORM}")
    return TimeWindow(days, *span, zone or UTC)


def checked_window(text: str) -> str:
    """The text itself, empty or a window. Raises ValueError."""
    if text:
        parse_window(text)
    return text


FORM: Final = "write days, a span and a zone, such as `mon-fri 09:00-17:00 Europe/Berlin`, each if needed"


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        for name in (first, last or first):
            if name not in _DAYS:
                raise ValueError(f"{name!r} is no day: there are {', '.join(_DAYS)}")
        day, end = _DAYS.index(first), _DAYS.index(last or first)
        found.add(day)
        while day != end:
            day = (day + 1) % len(_DAYS)
            found.add(day)
    return frozenset(found)


def _span(found: "re.Match[str]") -> tuple[int, int]:
    hour, minute, last_hour, last_minute = (int(part) for part in found.groups())
    begins, ends = hour * 60 + minute, last_hour * 60 + last_minute
    if minute > 59 or last_minute > 59 or begins >= _MINUTES or ends > _MINUTES:
        raise ValueError(f"{found[0]} is no span of a day: its times are 00:00 to 24:00")
    if begins == ends:
        raise ValueError(f"{found[0]} has no length: leave it out for the whole day")
    return begins, ends


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC  # also where the machine has no time zone database
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone known here, such as Europe/Berlin or UTC") from error
