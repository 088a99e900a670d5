"""What audit entries commit to: encrypted beside the log under one data key per person or thing, erased with the key.

An entry holds SHA-256(salt || canonical content). Salt and content stand here, encrypted with the data key of whom
they are about, which is itself wrapped by a key outside the store (`audit_ports.Sealer`). Without the data key nobody
can say what was there, nor guess it, and the log still verifies.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from storage.audit_entry import SALT_BYTES, canonical_content, commitment
from storage.audit_values import Revealed
from storage.engine import Reader, Transaction
from storage.errors import ContentUnreadable
from storage.queries import Queries
from storage.texts import from_text

_SQL = Queries("audit_content")

CONTENT: Final = "content"
ADDRESS: Final = "address"


def keep(tx: Transaction, org_id: str, seq: int, part: str, about: str, value: object, now_ms: int) -> str:
    """Store what entry `seq` is to commit to, under the key of whom it is about; returns the commitment."""
    salt, content = secrets.token_bytes(SALT_BYTES), canonical_content(value)
    key_id, sealed = _seal(tx, org_id, about, salt + content, place(org_id, seq, part), now_ms)
    tx.run(_SQL.insert, seq=seq, part=part, org_id=org_id, key_id=key_id, sealed=sealed)
    return commitment(salt, content)


def _seal(
    tx: Transaction, org_id: str, about: str, plain: bytes, bound_to: bytes, now_ms: int
) -> tuple[int, bytes]:
    row = tx.one(_SQL.newest_key, org_id=org_id, subject=about)
    if row is not None:
        try:
            return row["id"], tx.sealer.seal(row["wrapped"], plain, bound_to)
        except ContentUnreadable:
            pass  # the key outside the store is another one: a new data key, so that people can go on
    wrapped = tx.sealer.new_key()
    tx.run(_SQL.insert_key, org_id=org_id, subject=about, wrapped=wrapped, now=now_ms)
    row = tx.one(_SQL.newest_key, org_id=org_id, subject=about)
    assert row is not None, "inserted just now"
    return row["id"], tx.sealer.seal(wrapped, plain, bound_to)


def place(org_id: str, seq: int, part: str) -> bytes:
    """What a sealed content is bound to: moved to another entry, it does not open."""
    return f"{org_id}\n{seq}\n{part}".encode()


def reveal(tx: Reader, org_id: str, seqs: Iterable[int]) -> dict[int, Revealed]:
    """What stands behind these entries of the organization, as far as it is still there."""
    found: dict[int, dict[str, Any]] = {}
    for seq, part, content in _opened(tx, org_id, seqs):
        found.setdefault(seq, {})[part] = from_text(content[SALT_BYTES:].decode())
    return {seq: Revealed(**parts) for seq, parts in found.items()}


def _opened(tx: Reader, org_id: str, seqs: Iterable[int]) -> Iterator[tuple[int, str, bytes]]:
    for row in tx.all(_SQL.of_entries, org_id=org_id, seqs=orjson.dumps(list(seqs)).decode()):
        bound_to = place(org_id, row["seq"], row["part"])
        try:
            yield row["seq"], row["part"], tx.sealer.open(row["wrapped"], row["sealed"], bound_to)
        except ContentUnreadable:
            continue  # as good as erased, for a reader; `audit verify` says so


def shred(tx: Transaction, org_id: str, subject: str) -> int:
    """Delete the data keys of a person or thing and all that it opens; returns how many pieces that were.

    What is kept about them later gets a key of its own.
    """
    pieces = tx.run(_SQL.delete_of_subject, org_id=org_id, subject=subject)
    tx.run(_SQL.delete_keys, org_id=org_id, subject=subject)
    return pieces
