"""What a file is, told from its first bytes; what its sender says counts only where the bytes agree or are silent.

Pure. Used once per file, when its bytes are there; may take some milliseconds.
"""

import re
from collections.abc import Sequence
from typing import Final

import puremagic

UNKNOWN: Final = "application/octet-stream"
PLAIN: Final = "text/plain"
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
"""RFC 6838 §4.2, in lower case."""
_TEXTUAL: Final = re.compile(
    r"text/.+|application/((x-)?(json|ndjson|yaml|toml|sql|xml)|.+\+(json|xml|yaml))|image/svg\+xml"
)
_SURE: Final = 0.4
"""Confidence of a signature of four bytes: shorter ones begin ordinary texts too."""
_SIGNED: Final = frozenset(entry.mime_type for entry in puremagic.magic_header_array if entry.mime_type)
"""Types with a signature: bytes without it are not of that type."""
_ZIP: Final = b"PK\x03\x04"


def media_type(head: bytes, claimed: str) -> str:
    """The type of a file that begins with `head`; `claimed` is what its sender says, or ""."""
    claim = claimed_type(claimed)
    if not head:
        return claim
    found = _signatures(head)
    if _is_text(head):
        return _of_text(found, claim)
    if any(_is_same(claim, kind) for kind, _ in found):
        return claim
    if head.startswith(_ZIP):
        return "application/zip"  # office documents are told from it only by what is inside
    if found:
        return found[0][0]
    return UNKNOWN if claim in _SIGNED or _TEXTUAL.fullmatch(claim) else claim


def _of_text(found: Sequence[tuple[str, float]], claim: str) -> str:
    if _TEXTUAL.fullmatch(claim):
        return claim
    for kind, confidence in found:
        if confidence >= _SURE:
            return kind
    return PLAIN


def claimed_type(claimed: str) -> str:
    """A claim without its parameters; UNKNOWN for what is no type."""
    claim = claimed.partition(";")[0].strip().lower()
    return claim if _TYPE.fullmatch(claim) else UNKNOWN


def _signatures(head: bytes) -> list[tuple[str, float]]:
    """The types whose signature the bytes have, the surest first."""
    try:
        matches = puremagic.magic_string(head)
    except puremagic.PureError:
        return []
    found = [(match.mime_type, match.confidence) for match in matches if match.mime_type not in ("", UNKNOWN)]
    return sorted(found, key=lambda match: -match[1])


def _is_same(claim: str, kind: str) -> bool:
    """`audio/ogg` and `application/ogg`, `audio/x-wav` and `audio/wav`: a container says not all."""
    return _inner(claim) == _inner(kind)


def _inner(kind: str) -> str:
    return kind.partition("/")[2].removeprefix("x-")


def _is_text(head: bytes) -> bool:
    """Whether these are the first bytes of a text in UTF-8: it may be cut within a character."""
    for missing in range(4):
        try:
            text = head[: len(head) - missing].decode()
        except UnicodeDecodeError:
            continue
        return bool(text) and not any(char < " " and char not in "\t\n\r\f\b\x1b" for char in text)
    return False
