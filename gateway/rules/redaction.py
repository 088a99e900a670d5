"""Redaction: what is put in place of findings. Pure: the key of pseudonyms is an argument.

A mark stands for what was found: `[email]`, or with a pseudonym `[email:1f2e3d4c]`, the same for the same value in one
organization and different in another, or nothing at all. Findings that overlap become one mark, of the kind that says
most. Marks are never searched, so that redacting twice is redacting once.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

from gateway.governance_settings import PrivacySettings
from gateway.rules.detectors.contact import emails, phones
from gateway.rules.detectors.finding import Detector, Finding
from gateway.rules.detectors.network import addresses
from gateway.rules.detectors.payment import cards, ibans
from gateway.rules.detectors.secret import secrets

Mode = Literal["mask", "hash", "drop"]

DETECTORS: Final[Mapping[str, Detector]] = MappingProxyType(
    {
        "secret": secrets,
        "iban": ibans,
        "card": cards,
        "email": emails,
        "ip": addresses,
        "phone": phones,
    }
)
"""By kind. Where findings overlap, the one that stands first here names them; patterns of an organization come last."""
ROUNDS: Final = 6
"""What stood beside a finding may be one itself once that is gone. A text made to go on and on is withheld."""
WITHHELD: Final = "[withheld]"
PSEUDONYM_CHARS: Final = 8
"""32 bits: among 9,000 different values two look the same with a chance of one in a hundred."""
_HINTS: Final = {
    "iban": re.compile(r"[A-Za-z]{2}\d\d"),
    "card": re.compile(r"\d(?:[ -]?\d){12}"),
    "ip": re.compile(r"\d\.\d{1,3}\.\d|:[0-9A-Fa-f]*:"),
    "phone": re.compile(r"\d(?:[ ().\-/]{0,3}\d){6}"),
}
"""What stands in every text with something of this kind: looking for that is cheap, and most texts have none of it."""


class Redactor:
    """Replaces findings in texts. `patterns` are an organization's own: name and expression, checked before."""

    def __init__(
        self,
        kinds: Iterable[str] = tuple(DETECTORS),
        patterns: Iterable[tuple[str, str]] = (),
        mode: Mode = "mask",
        key: bytes = b"",
    ) -> None:
        chosen = frozenset(kinds)
        self._detectors = [(_HINTS.get(kind), find) for kind, find in DETECTORS.items() if kind in chosen]
        self._patterns = [(name, re.compile(pattern)) for name, pattern in patterns]
        self._mode = mode
        self._key = key
        names = [*DETECTORS, *(name for name, _ in self._patterns)]
        self._order = {name: place for place, name in enumerate(names)}
        self._marks = re.compile(
            rf"\[(?:withheld|(?:{'|'.join(map(re.escape, names))})(?::[0-9a-f]{{8}})?)\]"
        )

    def text(self, text: str) -> str:
        """The text without what was found."""
        return self.counted(text)[0]

    def json(self, value: Any) -> Any:
        """A JSON value with every text in it redacted, names of members too; numbers stay what they are."""
        match value:
            case str():
                return self.text(value)
            case list() | tuple():
                return [self.json(one) for one in value]
            case dict():
                return {self.text(str(name)): self.json(one) for name, one in value.items()}
        return value

    def counted(self, text: str) -> tuple[str, Mapping[str, int]]:
        """The same, and how often each kind was found."""
        counts: Counter[str] = Counter()
        for _ in range(ROUNDS):
            found = self.find(text)
            if not found:
                return text, counts
            counts.update(one.kind for one in found)
            text = self._replaced(text, found)
        return (text, counts) if not self.find(text) else (WITHHELD, counts)

    def find(self, text: str) -> Sequence[Finding]:
        """What there is to replace, from left to right, without overlaps."""
        found = list(self._all(text))
        if not found:
            return ()
        marks = [one.span() for one in self._marks.finditer(text)]
        return self._merged(text, sorted(_outside(found, marks), key=lambda one: (one.start, -one.end)))

    def _all(self, text: str) -> Iterator[Finding]:
        for hint, find in self._detectors:
            if hint is None or hint.search(text):
                yield from find(text)
        for name, pattern in self._patterns:
            for one in pattern.finditer(text):
                if one.end() > one.start():
                    yield Finding(one.start(), one.end(), name, one.group())

    def _merged(self, text: str, found: Sequence[Finding]) -> Sequence[Finding]:
        merged: list[Finding] = []
        for one in found:
            last = merged[-1] if merged else None
            if last is None or one.start >= last.end:
                merged.append(one)
                continue
            kind = min(last.kind, one.kind, key=self._order.__getitem__)
            end = max(last.end, one.end)
            whole = next((each for each in (last, one) if each.end - each.start == end - last.start), None)
            value = whole.value if whole is not None and whole.kind == kind else text[last.start : end]
            merged[-1] = Finding(last.start, end, kind, value)
        return merged

    def _replaced(self, text: str, found: Sequence[Finding]) -> str:
        pieces, place = [], 0
        for one in found:
            pieces += [text[place : one.start], self._mark(one)]
            place = one.end
        return "".join([*pieces, text[place:]])

    def _mark(self, found: Finding) -> str:
        if self._mode == "drop":
            return ""
        if self._mode == "mask":
            return f"[{found.kind}]"
        named = f"{found.kind}\0{found.value}".encode("utf-8", "surrogatepass")
        name = hmac.new(self._key, named, hashlib.sha256).hexdigest()
        return f"[{found.kind}:{name[:PSEUDONYM_CHARS]}]"


def _outside(found: Sequence[Finding], marks: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """Findings that are not part of a mark; both come from left to right."""
    place = 0
    for one in sorted(found, key=lambda one: one.start):
        while place < len(marks) and marks[place][1] <= one.start:
            place += 1
        is_inside = place < len(marks) and marks[place][0] <= one.start and one.end <= marks[place][1]
        if not is_inside:
            yield one


def redactor(settings: PrivacySettings, key: bytes = b"") -> Redactor:
    """What the settings say of exports and of what agents read; `key` is the organization's, for pseudonyms."""
    return Redactor(settings.detect, _patterns(settings), settings.mode, key)


def log_redactor(settings: PrivacySettings) -> Redactor:
    """… and of the log, where what gives access is masked whatever the settings say."""
    if not settings.logs:
        return Redactor(("secret",))
    return Redactor({*settings.detect, "secret"}, _patterns(settings))


def organization_key(secret: bytes, org_id: str) -> bytes:
    """An organization's key of pseudonyms, from the gateway's (RFC 2104; a label of its own separates the uses)."""
    return hmac.new(secret, b"threadgate pseudonyms\0" + org_id.encode(), hashlib.sha256).digest()


def _patterns(settings: PrivacySettings) -> list[tuple[str, str]]:
    return [(one.name, one.pattern) for one in settings.patterns]
