"""What gives access: the shapes of tokens and keys, as their makers document them.

A shape is enough, no checksum is tried: a secret with a mistyped character is still nearly the secret. Ours are
`tgate_…` (docs/PROTOCOL.md). Facts about the others: AWS, "IAM identifiers" · GitHub, "About authentication", token
formats · Slack, "Token types" and "Incoming webhooks" · Telegram Bot API, "Authorizing your bot" · Discord, the parts
of a bot token · RFC 7519 §3 (JWT) · RFC 7468 §10, §11, §13 (PEM) · RFC 6750 §2.1 (Bearer); read 2026-11.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.rules.detectors.finding import Finding

PEM_CHARS: Final = 16_384
"""Of a private key: RSA with 16,384 bits has 12,700."""


class _Shape(NamedTuple):
    """A pattern, and what stands in every text that it matches: looking for that is cheap."""

    needle: str
    pattern: re.Pattern[str]


def _shape(needle: str, pattern: str) -> _Shape:
    return _Shape(needle, re.compile(pattern))


_SHAPES: Final = (
    _shape("tgate_", r"tgate_[\w-]{8,}+"),
    _shape("eyJ", r"(?<![\w-])eyJ[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]*+"),
    _shape("A", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _shape(
        "aws_", r"(?<=aws_secret_access_key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    ),
    _shape("gh", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,}+"),
    _shape("github_pat_", r"github_pat_\w{22,}+"),
    _shape("glpat-", r"glpat-[\w-]{20,}+"),
    _shape("xox", r"(?<![A-Za-z0-9])xox[a-z]-[\w-]{10,}+"),
    _shape("xoxe.xox", r"(?<![A-Za-z0-9])xoxe\.xox[a-z]-[\w-]{10,}+"),
    _shape("xapp-", r"(?<![A-Za-z0-9])xapp-[\w-]{10,}+"),
    _shape("hooks.slack.com/", r"hooks\.slack\.com/[a-z]+/[\w/]{10,}+"),
    _shape(":", r"(?<!\d)\d{6,12}:[\w-]{35}(?![\w-])"),
    _shape(".", r"(?<![\w-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,45}(?![\w-])"),
    _shape("sk-", r"(?<![\w-])sk-(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Za-z])[\w-]{20,}+"),
    _shape("sk_", r"(?<![\w-])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}+"),
    _shape("AIza", r"(?<![\w-])AIza[\w-]{35}(?![\w-])"),
    _shape("earer ", r"(?<=[Bb]earer )[\w.~+/-]{16,}+=*+"),
)
_PEM_BEGIN: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY-----")
_PEM_END: Final = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY-----")
_PEM_BODY: Final = re.compile(r"[A-Za-z0-9+/=\s\\:,-]*+")


def secrets(text: str) -> Iterator[Finding]:
    """Secrets, from left to right. The value is the text itself."""
    found = [
        (one.start(), one.end())
        for shape in _SHAPES
        if shape.needle in text
        for one in shape.pattern.finditer(text)
    ]
    found += _keys(text)
    end = 0
    for start, stop in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= end:
            yield Finding(start, stop, "secret", text[start:stop])
            end = stop


def _keys(text: str) -> Iterator[tuple[int, int]]:
    """Private keys, also those that are cut off."""
    place = 0
    while (begin := text.find("-----BEGIN ", place)) >= 0:
        head = _PEM_BEGIN.match(text, begin)
        if head is None:
            place = begin + 1
            continue
        most = head.end() + PEM_CHARS
        tail = _PEM_END.search(text, head.end(), most)
        body = _PEM_BODY.match(text, head.end(), most)
        assert body is not None, "an empty text matches"
        place = tail.end() if tail is not None else body.end()
        yield begin, place
