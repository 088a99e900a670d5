"""The audit chain as pure code: seal an entry, verify a sequence of entries. No database, no clock.

An entry's body is JSON with sorted keys, made once and hashed as stored. Its hash is the RFC 6962 §2.1 leaf
hash SHA-256(0x00 || body); the body names the hash of its predecessor as `prev`, so entries form a chain whose
links are at the same time the leaves of a Merkle tree, which joins later without touching an entry. The first
entry's `prev` is derived from the log's id, so that a chain cannot be moved to another log.

What a chain can and cannot show: any change, removal or insertion in the middle is found and located; a cut
at the end, or a rewrite of everything by somebody who controls the file, is only found against a checkpoint
kept elsewhere.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

VERSION: Final = 2


class Link(NamedTuple):
    """A place in the chain: the last entry's number and hash."""

    seq: int
    hash: str

    @classmethod
    def start(cls, log_id: str) -> "Link":
        """The place before the first entry of a log."""
        return cls(0, hashlib.sha256(b"threadgate audit log " + log_id.encode()).hexdigest())


class Sealed(NamedTuple):
    """An entry as stored."""

    seq: int
    body: str
    hash: str
    columns: Mapping[str, object] = MappingProxyType({})
    """Fields of the body that are also stored apart, for finding entries; they must say the same."""


@dataclass(frozen=True, slots=True)
class Break:
    """Where and why verification failed."""

    seq: int
    reason: str


def seal(previous: Link, fields: dict[str, Any]) -> tuple[str, Link]:
    """The canonical body of the next entry, and the place it takes.

    `fields` holds strings, booleans, null, integers below 2^53, lists and objects only.
    """
    entry = {**fields, "v": VERSION, "seq": previous.seq + 1, "prev": previous.hash}
    body = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    return body.decode(), Link(previous.seq + 1, leaf_hash(body))


def leaf_hash(body: bytes) -> str:
    """RFC 6962 §2.1: the hash of a leaf, in hexadecimal."""
    return hashlib.sha256(b"\x00" + body).hexdigest()


def verify(entries: Iterable[Sealed], start: Link) -> tuple[Link, Break | None]:
    """Follow the chain from `start`; return the last good place and the first break, if any."""
    place = start
    for entry in entries:
        found = check(entry, place)
        if isinstance(found, Break):
            return place, found
        place = Link(entry.seq, entry.hash)
    return place, None


def check(entry: Sealed, place: Link) -> dict[str, Any] | Break:
    """What the entry behind a place says, or why it is not the one that was sealed there."""
    expected = place.seq + 1
    if entry.seq != expected:
        return Break(expected, f"entry {expected} is missing: the next one stored is {entry.seq}")
    body = entry.body.encode()
    if leaf_hash(body) != entry.hash:
        return Break(entry.seq, f"entry {entry.seq} was changed: its body does not have the stored hash")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Break(entry.seq, f"entry {entry.seq} is not JSON")
    if not isinstance(fields, dict):
        return Break(entry.seq, f"entry {entry.seq} is not an object")
    if fields.get("seq") != entry.seq:
        return Break(entry.seq, f"entry {entry.seq} was moved: its body says {fields.get('seq')}")
    for name, value in entry.columns.items():
        if fields.get(name) != value:
            return Break(entry.seq, f"entry {entry.seq} is filed under another {name} than its body says")
    if fields.get("prev") != place.hash:
        return Break(
            entry.seq, f"entry {entry.seq} does not follow entry {place.seq}: its `prev` is another hash"
        )
    return fields
