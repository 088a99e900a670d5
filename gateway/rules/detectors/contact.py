"""Addresses of people: e-mail and telephone.

E-mail: the addr-spec of RFC 5322 §3.4.1 without quotes and comments, in the lengths of RFC 5321 §4.5.3.1, with a
domain that ends in letters. Telephone: E.164 (11/2010) with `+` or `00` and a calling code that is assigned, and the
national writings of North America (3-3-4) and of countries whose trunk prefix is 0, both only with separators: bare
digits are order numbers more often than telephones.
"""

import re
from collections.abc import Iterator
from typing import Final

from gateway.rules.detectors.finding import Finding

LOCAL_CHARS: Final = 64
"""Of the part before the @ (RFC 5321 §4.5.3.1.1)."""
DOMAIN_CHARS: Final = 255
"""Of the part after it (§4.5.3.1.2)."""

_LOCAL: Final = re.compile(r"[\w.+%'&~-]+")
_DOMAIN: Final = re.compile(r"[^\W_][\w-]{0,62}(?:\.[^\W_][\w-]{0,62}){1,8}")

_INTERNATIONAL: Final = re.compile(
    r"(?:(?<![\w+])\+ ?(?=[1-9])|(?<![\w+.\-/:,])00(?=[1-9]\d{0,3}[ ./-]))(?:[ ().\-/]{0,2}\d){7,20}(?!\d|:\d)"
)
_NORTH_AMERICAN: Final = re.compile(
    r"(?<![\w.+\-/])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?![\w-]|\.\d)"
)
_TRUNK: Final = re.compile(
    r"(?<![\w.+\-/:])(?:\(0[1-9]\d{1,4}\)|0[1-9]\d{1,4})(?: ?/ ?| ?- ?| )\d{2,8}"
    r"(?:([ -])\d{1,5}(?:\1\d{1,5}){0,3})?(?![\w-]|[.:/]\d)"
)
_PAIRS: Final = re.compile(r"(?<![\w.+\-/:])0[1-9]([ .])\d\d(?:\1\d\d){3}(?![\w-]|[.:/]\d)")
_NATIONAL_DIGITS: Final = range(9, 13)
"""With the trunk prefix; shorter ones are dates and prices."""
_CODES_OF_TWO: Final = {
    "2": "07",
    "3": "0123469",
    "4": "013456789",
    "5": "12345678",
    "6": "0123456",
    "8": "1246",
    "9": "0123458",
}
"""Calling codes of two digits by their first (ITU Operational Bulletin, E.164 country codes, read 2026-11)."""
_CODES_OF_THREE: Final = {
    "2": "1234569",
    "3": "578",
    "4": "2",
    "5": "09",
    "6": "789",
    "8": "0578",
    "9": "679",
}
"""… and how those of three digits begin."""
_SPARE: Final = frozenset({"990", "997", "999"})
"""Nobody's."""
_LENGTHS: Final = {
    "1": range(11, 12),
    "7": range(11, 12),
    "33": range(11, 12),
    "34": range(11, 12),
    "44": range(11, 13),
}
"""All digits of a number with this calling code, where the plan knows one length."""
_DIGITS: Final = range(8, 16)
"""… and everywhere else (E.164 §6.2.1 allows 15; nobody has fewer than 5 after the code)."""


def emails(text: str) -> Iterator[Finding]:
    """E-mail addresses. The value is in lower case."""
    floor, at = 0, text.find("@")
    while at >= 0:
        before = _LOCAL.match(text[max(floor, at - LOCAL_CHARS) : at][::-1])
        after = _DOMAIN.match(text, at + 1, at + 1 + DOMAIN_CHARS)
        end = _domain_end(text, at, after.end()) if after is not None else at
        local = before.group()[::-1].lstrip(".") if before is not None else ""
        if local and end > at and not local.endswith("."):
            start = at - len(local)
            yield Finding(start, end, "email", text[start:end].lower())
            floor = end
        at = text.find("@", max(end, at + 1))


def _domain_end(text: str, at: int, end: int) -> int:
    """Where the domain ends: its last label is letters only. `at`, when nothing is left."""
    labels = text[at + 1 : end].split(".")
    while len(labels) > 1:
        last = labels[-1].rstrip("-_")
        if len(last) > 1 and last.isalpha():
            return at + 1 + len(".".join(labels)) - (len(labels[-1]) - len(last))
        labels.pop()
    return at


def phones(text: str) -> Iterator[Finding]:
    """Telephone numbers. The value is a `+` where there was one, and the digits."""
    found = [
        *_numbers(text, _INTERNATIONAL),
        *(one for pattern in (_NORTH_AMERICAN, _TRUNK, _PAIRS) for one in _numbers(text, pattern)),
    ]
    end = 0
    for finding in sorted(found, key=lambda one: (one.start, -one.end)):
        if finding.start >= end:
            yield finding
            end = finding.end


def _numbers(text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    """What a pattern takes for numbers, which are bounded in length: so each place is looked at a few times at most."""
    place = 0
    while (one := pattern.search(text, place)) is not None:
        finding = _longest(one.group(), one.start(), is_international=pattern is _INTERNATIONAL)
        if finding is not None:
            yield finding
        place = finding.end if finding is not None else one.start() + 1


def _longest(written: str, start: int, *, is_international: bool) -> Finding | None:
    """The longest beginning that is a number: a price or another number may stand behind it."""
    for end in range(len(written), 0, -1):
        if not written[end - 1].isdecimal() or (end < len(written) and written[end].isdecimal()):
            continue
        digits = _digits(written[:end])
        if not is_international:
            if len(digits) in _NATIONAL_DIGITS:
                return Finding(start, start + end, "phone", digits)
            continue
        digits = digits if written[0] == "+" else digits[2:]
        code = _calling_code(digits)
        if code and len(digits) in _LENGTHS.get(code, _DIGITS):
            return Finding(start, start + end, "phone", f"+{digits}")
    return None


def _digits(written: str) -> str:
    return "".join(char for char in written if char.isdecimal())


def _calling_code(digits: str) -> str:
    """The calling code a number begins with, empty when none is assigned."""
    if digits[:1] in ("1", "7"):
        return digits[0]
    first, second = digits[:1], digits[1:2]
    if second and second in _CODES_OF_TWO.get(first, ""):
        return digits[:2]
    is_assigned = second and second in _CODES_OF_THREE.get(first, "") and digits[:3] not in _SPARE
    return digits[:3] if is_assigned else ""
