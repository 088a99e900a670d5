"""Addresses of machines: IPv4 (RFC 1123 §2.1, four decimal numbers) and IPv6 (RFC 4291 §2.2).

Loopback and unspecified addresses say nothing about anybody and are left alone. So are four numbers that are called a
version, or stand behind a name and a slash as a version does.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from gateway.rules.detectors.finding import Finding

_V4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_V6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,}+(?:\.\d{1,3}){0,3}(?!\w)")
_V6_CHARS: Final = 45
_BEFORE_CHARS: Final = 16
_VERSION: Final = re.compile(
    r"(?:\b(?:version|release|build|ver|rev)\b[\s:=\"']{0,3}|[A-Za-z]/)\Z", re.IGNORECASE
)


def addresses(text: str) -> Iterator[Finding]:
    """IP addresses. The value is written as RFC 5952 and RFC 1123 do."""
    found = [*(_found(text, _V6) if ":" in text else ()), *_found(text, _V4)]
    end = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.start >= end:
            yield one
            end = one.end


def _found(text: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for one in pattern.finditer(text):
        start, written = one.start(), one.group()
        if pattern is _V6:
            written = _trimmed(written)
            if len(written) > _V6_CHARS or ("::" not in written and written.count(":") < 6):
                continue
            if not any(char.isdecimal() for char in written):
                continue  # names of things: `dead::beef`
        elif _VERSION.search(text, max(0, start - _BEFORE_CHARS), start):
            continue
        try:
            address = ipaddress.ip_address(written)
        except ValueError:
            continue
        if not address.is_loopback and not address.is_unspecified:
            yield Finding(start, start + len(written), "ip", str(address))


def _trimmed(written: str) -> str:
    """Without a colon of the sentence behind it."""
    return written[:-1] if written.endswith(":") and not written.endswith("::") else written
