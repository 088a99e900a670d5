"""The one way to write a JSON value as text, so that equal values are equal bytes and have equal hashes.

Keys sorted by code point, no white space, no escapes beyond what JSON demands, numbers as Python writes them
(integers of any size; NaN and infinities are refused). It is what approvals bind to and what a run's journal is
sealed with; the audit log has bodies that are written once and never again, and needs no such rule.
"""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """The text of a JSON value. Raises ValueError for what JSON cannot say (NaN), TypeError for other objects."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, in hex. Raises as `canonical` does, and ValueError for lone surrogates."""
    return text_digest(canonical(value))


def text_digest(text: str) -> str:
    """The same for a text that is canonical already."""
    return hashlib.sha256(text.encode()).hexdigest()
