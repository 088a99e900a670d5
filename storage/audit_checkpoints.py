"""The Merkle tree over the audit log as the store keeps it, what is proven with it, and the checkpoints signed over it.

The tree is made when a checkpoint is: appending an entry costs nothing for it, and no proof is wanted before. Nodes are
complete subtrees and never change (`audit_tree.py`). Who signs, when, and where checkpoints go is the gateway's.
"""

from typing import Final

from protocol.errors import ErrorKind, Fault
from storage import audit_log
from storage.audit_tree import (
    Frontier,
    Node,
    completed_by,
    consistency,
    inclusion,
    node_hash,
    nodes_of,
    range_hash,
)
from storage.audit_values import AuditHead, CheckpointMade, EntryPath, KeyRotation, NewEpoch
from storage.engine import Engine, Reader, Transaction
from storage.errors import StoreDamaged
from storage.queries import Queries
from storage.values import Act

_SQL = Queries("audit_checkpoints")

GROW_MAX: Final = 2048
"""Leaves the tree grows by in one transaction: about 10 ms, so that acts do not wait behind it."""
EPOCH: Final = "audit.epoch"
ROTATED: Final = "key.rotated"


class Checkpoints:
    """`storage.audit_ports.CheckpointStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def head(self) -> AuditHead:
        return await self._engine.read(_head)

    async def grow(self, size: int) -> int:
        return await self._engine.write(_grow, size)

    async def root(self, size: int) -> bytes:
        return await self._engine.read(_root, size)

    async def latest(self) -> str | None:
        return await self._engine.read(_latest)

    async def add(self, note: str, size: int, root: bytes, now_ms: int) -> None:
        await self._engine.write(_add, note, size, root, now_ms)

    async def path(self, org_id: str, seq: int, size: int) -> EntryPath:
        return await self._engine.read(_path, org_id, seq, size)

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        return await self._engine.read(_consistency, first, second)

    async def begin_epoch(self, act: Act, new: NewEpoch) -> None:
        await self._engine.write(_begin_epoch, act, new)

    async def rotate_key(self, act: Act, rotation: KeyRotation) -> None:
        await self._engine.write(_rotate_key, act, rotation)


def _head(tx: Reader) -> AuditHead:
    row = tx.one(_SQL.head)
    assert row is not None, "a store has its row from the beginning"
    return AuditHead(row["audit_log_id"], row["audit_epoch"], row["size"])


def _grow(tx: Transaction, size: int) -> int:
    row = tx.one(_SQL.head)
    assert row is not None, "a store has its row from the beginning"
    before: int = row["audit_tree_size"]
    limit = min(GROW_MAX, min(size, row["size"]) - before)
    if limit <= 0:
        return before
    edge = Frontier(before, [_lookup(tx, node) for node in nodes_of((0, before))]).hashes
    leaf = before
    for entry in tx.all(_SQL.leaves, after=before, limit=limit):
        made = bytes.fromhex(entry["hash"])
        for level, at in completed_by(leaf):
            made = node_hash(edge.pop(), made)
            tx.run(_SQL.insert_node, level=level, at=at, hash=made)
        edge.append(made)
        leaf += 1
    tx.run(_SQL.set_tree_size, size=leaf)
    return leaf


def _lookup(tx: Reader, node: Node) -> bytes:
    if node.level == 0:
        leaf = tx.value(_SQL.leaf, seq=node.at + 1)
        made = bytes.fromhex(leaf) if leaf is not None else None
    else:
        made = tx.value(_SQL.node, level=node.level, at=node.at)
    if made is None:
        raise StoreDamaged("The tree over the audit log has a hole: see `threadgate audit verify`")
    return made


def _root(tx: Reader, size: int) -> bytes:
    return range_hash((0, size), lambda node: _lookup(tx, node))


def _latest(tx: Reader) -> str | None:
    note: str | None = tx.value(_SQL.latest)
    return note


def _add(tx: Transaction, note: str, size: int, root: bytes, now_ms: int) -> None:
    tx.run(_SQL.insert, note=note, size=size, root=root.hex(), now=now_ms)
    tx.emit(CheckpointMade(note, size, now_ms))


def _path(tx: Reader, org_id: str, seq: int, size: int) -> EntryPath:
    body = tx.value(_SQL.entry, seq=seq, org_id=org_id)
    if body is None or seq > size:
        raise Fault(ErrorKind.NOT_FOUND, f"There is no audit entry {seq}")
    ranges = inclusion(seq - 1, size)
    return EntryPath(body, tuple(range_hash(leaves, lambda node: _lookup(tx, node)) for leaves in ranges))


def _consistency(tx: Reader, first: int, second: int) -> tuple[bytes, ...]:
    ranges = consistency(first, second)
    return tuple(range_hash(leaves, lambda node: _lookup(tx, node)) for leaves in ranges)


def _begin_epoch(tx: Transaction, act: Act, new: NewEpoch) -> None:
    # The tree is made anew: of a store that is not the one that was sealed, nothing derived is believed.
    tx.run(_SQL.begin_epoch, store_epoch=new.store_epoch, epoch=new.epoch)
    tx.run(_SQL.drop_nodes)
    known = {"origin": new.origin, "size": new.size, "root": new.root}
    log_id = _head(tx).log_id
    audit_log.append(tx, act, EPOCH, {"log_id": log_id}, reason=new.reason, detail={"known": known})


def _rotate_key(tx: Transaction, act: Act, rotation: KeyRotation) -> None:
    detail = {"new_vkey": rotation.new_vkey}
    if rotation.old_vkey is not None:
        detail["old_vkey"] = rotation.old_vkey
    if rotation.signature is not None:
        detail["signature"] = rotation.signature
    reason = None if rotation.signature is not None else "lost"
    audit_log.append(
        tx, act, ROTATED, {"key": rotation.new_vkey.split("+", 2)[1]}, reason=reason, detail=detail
    )
