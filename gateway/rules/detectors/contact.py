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
_CODES_OF_TWO: Final = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
    "90 91 92 93 94 95 98".split()
)
"""Calling codes of two digits (ITU Operational Bulletin, list of E.164 country codes, read 2026-11)."""
_CODES_OF_THREE: Final = frozenset(
    "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99".split()
)
"""What those of three digits begin with."""
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
    if digits[:2] in _CODES_OF_TWO:
        return digits[:2]
    return digits[:3] if digits[:2] in _CODES_OF_THREE else ""
