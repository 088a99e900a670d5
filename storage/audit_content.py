"""What audit entries commit to: encrypted beside the log under one data key per person or thing, erased with the key.

An entry holds SHA-256(salt || canonical content). Salt and content stand here, encrypted with the data key of whom
they are about, which is itself wrapped by a key outside the store (`audit_ports.Sealer`). Without the data key nobody
can say what was there, nor guess it, and the log still verifies.
"""

import secrets
from collections.abc import Iterable
from typing import Any, Final

import orjson

from storage.audit_entry import SALT_BYTES, canonical_content, commitment
from storage.audit_values import Revealed
from storage.engine import Reader, Transaction
from storage.errors import ContentUnreadable
from storage.queries import Queries
from storage.texts import from_text

_SQL = Queries("audit_content")

DAY_MS: Final = 86_400_000
"""How long an address keeps its commitment: retention is told in days."""
ADDRESSES_KEPT: Final = 10_000
"""Addresses whose commitment a process remembers, so that they are sealed once and not for every entry."""


def keep(tx: Transaction, org_id: str, seq: int, about: str, value: object, now_ms: int) -> str:
    """Store the content entry `seq` is to commit to, under the key of whom it is about; returns the commitment."""
    salted = secrets.token_bytes(SALT_BYTES) + canonical_content(value)
    key_id, sealed = _seal(tx, org_id, about, salted, content_place(org_id, seq), now_ms)
    tx.run(_SQL.insert_content, seq=seq, org_id=org_id, key_id=key_id, sealed=sealed)
    return commitment(salted)


def keep_address(tx: Transaction, org_id: str, actor_id: str, address: str, now_ms: int) -> str:
    """The commitment to where an actor came from; the same for all their entries of a day, as long as it is kept."""
    hint = (org_id, actor_id, address, now_ms // DAY_MS)
    known = tx.hints.get(hint)
    if known is not None and tx.value(_SQL.has_address, commitment=known, org_id=org_id):
        return known
    salted = secrets.token_bytes(SALT_BYTES) + canonical_content(address)
    key_id, sealed = _seal(tx, org_id, actor_id, salted, address_place(org_id, actor_id), now_ms)
    committed = commitment(salted)
    place = {"org_id": org_id, "key_id": key_id, "sealed_at": now_ms}
    tx.run(_SQL.insert_address, commitment=committed, sealed=sealed, **place)
    if len(tx.hints) >= ADDRESSES_KEPT:
        tx.hints.clear()
    tx.hints[hint] = committed
    return committed


def content_place(org_id: str, seq: int) -> bytes:
    """What a sealed content is bound to: moved to another entry, it does not open."""
    return f"content\n{org_id}\n{seq}".encode()


def address_place(org_id: str, actor_id: str) -> bytes:
    """What a sealed address is bound to."""
    return f"address\n{org_id}\n{actor_id}".encode()


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


def reveal(tx: Reader, org_id: str, seqs: Iterable[int]) -> dict[int, Revealed]:
    """What stands behind these entries of the organization, as far as it is still there."""
    found: dict[int, Revealed] = {}
    for row in tx.all(_SQL.entries, org_id=org_id, seqs=orjson.dumps(list(seqs)).decode()):
        content = None
        if row["wrapped"] is not None:
            content = _opened(tx, row["wrapped"], row["sealed"], content_place(org_id, row["seq"]))
        address = _address(tx, org_id, from_text(row["body"]).get("address"))
        if content is not None or address is not None:
            found[row["seq"]] = Revealed(content, address)
    return found


def _address(tx: Reader, org_id: str, committed: str | None) -> str | None:
    row = tx.one(_SQL.address, commitment=committed, org_id=org_id) if committed is not None else None
    if row is None:
        return None
    address: str | None = _opened(tx, row["wrapped"], row["sealed"], address_place(org_id, row["subject"]))
    return address


def _opened(tx: Reader, wrapped: bytes, sealed: bytes, bound_to: bytes) -> Any:
    try:
        return from_text(tx.sealer.open(wrapped, sealed, bound_to)[SALT_BYTES:].decode())
    except ContentUnreadable:
        return None  # as good as erased, for a reader; `audit verify` says so


def shred(tx: Transaction, org_id: str, subject: str) -> int:
    """Delete the data keys of a person or thing and all that they open; returns how many pieces that were.

    What is kept about them later gets a key of its own.
    """
    pieces = tx.run(_SQL.delete_content, org_id=org_id, subject=subject)
    pieces += tx.run(_SQL.delete_addresses, org_id=org_id, subject=subject)
    tx.run(_SQL.delete_keys, org_id=org_id, subject=subject)
    return pieces
