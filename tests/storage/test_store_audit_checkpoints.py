"""The tree over a live log: grown in steps, proven from stored nodes, the same as one made of the entries."""

import pytest
from store_stage import OTHER_ORG, START_MS, Scene, refused

from protocol.errors import ErrorKind
from storage import audit_checkpoints
from storage.audit_checkpoints import EPOCH, ROTATED
from storage.audit_tree import EMPTY_ROOT, Frontier, Node, is_consistent, is_included, leaf_hash
from storage.audit_values import CheckpointMade, KeyRotation, NewEpoch
from storage.errors import StoreDamaged
from storage.store import DEFAULT_ORG

NEW = NewEpoch(2, "epo_2", "behind", "log.example", 70, "ab" * 32)


async def written(scene: Scene, count: int) -> None:
    for _ in range(count):
        await scene.store.audit.record(scene.act(), "login", {}, "failure", {})


async def bodies(scene: Scene) -> list[bytes]:
    return [body.encode() for (body,) in await scene.rows("SELECT body FROM audit_entries ORDER BY seq")]


async def expected(scene: Scene, size: int) -> bytes:
    """The root made of the entries themselves."""
    frontier = Frontier()
    for body in (await bodies(scene))[:size]:
        frontier.add(leaf_hash(body))
    return frontier.root()


async def test_a_new_log_is_empty(scene: Scene) -> None:
    head = await scene.store.checkpoints.head()
    assert (head.log_id, head.epoch, head.size) == ("log_1", 1, 0)
    assert await scene.store.checkpoints.grow(0) == 0
    assert await scene.store.checkpoints.root(0) == EMPTY_ROOT
    assert await scene.store.checkpoints.latest() is None


async def test_every_root_is_that_of_the_entries(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_checkpoints, "GROW_MAX", 7)
    await written(scene, 40)
    store = scene.store.checkpoints
    grown = [await store.grow(20), await store.grow(20), await store.grow(20), await store.grow(20)]
    assert grown == [7, 14, 20, 20], "in steps, and not beyond what was asked for"
    while await store.grow(1000) < 40:
        pass
    for size in range(41):
        assert await store.root(size) == await expected(scene, size)
    nodes = await scene.rows("SELECT count(*), max(level) FROM audit_nodes")
    assert nodes == [(38, 5)], "one for each complete subtree over 40 leaves"


async def test_entries_and_earlier_sizes_are_proven_from_stored_nodes(scene: Scene) -> None:
    await written(scene, 23)
    store = scene.store.checkpoints
    await store.grow(23)
    all_bodies = await bodies(scene)
    for size in (1, 2, 16, 22, 23):
        root = await store.root(size)
        for seq in range(1, size + 1):
            path = await store.path(DEFAULT_ORG, seq, size)
            assert path.body.encode() == all_bodies[seq - 1]
            assert is_included(leaf_hash(path.body.encode()), seq - 1, size, path.hashes, root)
        for first in range(1, size + 1):
            hashes = await store.consistency(first, size)
            assert is_consistent(first, size, hashes, await store.root(first), root)


async def test_what_another_organization_did_is_not_proven_to_this_one(scene: Scene) -> None:
    await scene.store.audit.record(scene.act(org_id=OTHER_ORG), "login", {}, "failure", {})
    await written(scene, 1)
    store = scene.store.checkpoints
    await store.grow(2)
    await refused(store.path(DEFAULT_ORG, 1, 2), ErrorKind.NOT_FOUND)
    await refused(store.path(DEFAULT_ORG, 3, 2), ErrorKind.NOT_FOUND)
    assert (await store.path(OTHER_ORG, 1, 2)).hashes


async def test_a_tree_with_a_hole_says_so(scene: Scene) -> None:
    await written(scene, 4)
    store = scene.store.checkpoints
    await store.grow(4)
    await scene.store.engine.write(lambda tx: tx.run("DELETE FROM audit_nodes WHERE level = 1 AND at = 0"))
    with pytest.raises(StoreDamaged, match="audit verify"):
        await store.root(3)


async def test_a_checkpoint_is_told_once_it_is_durable(scene: Scene) -> None:
    await scene.store.checkpoints.add("note", 5, b"\1" * 32, START_MS)
    assert scene.told(CheckpointMade) == [CheckpointMade("note", 5, START_MS)]
    assert await scene.store.checkpoints.latest() == "note"


async def test_a_new_epoch_says_behind_what_and_makes_the_tree_anew(scene: Scene) -> None:
    await written(scene, 6)
    store = scene.store.checkpoints
    await store.grow(6)
    await store.begin_epoch(scene.act(), NEW)
    head = await store.head()
    assert (head.epoch, head.size) == (2, 7)
    assert await scene.rows("SELECT epoch, audit_tree_size FROM store") == [("epo_2", 0)]
    assert await scene.rows("SELECT count(*) FROM audit_nodes") == [(0,)]
    await store.grow(7)
    assert await store.root(7) == await expected(scene, 7)
    (entry,), _ = await scene.store.audit.page(DEFAULT_ORG, 6, None, 10)
    assert (entry.action, entry.reason) == (EPOCH, "behind")
    assert entry.detail == {"known": {"origin": "log.example", "size": 70, "root": "ab" * 32}}
    assert '"epoch":2' in entry.body


async def test_a_rotation_is_an_entry_that_the_old_key_signed(scene: Scene) -> None:
    rotation = KeyRotation("log+0a+x", "log+0b+y", "c2ln")
    await scene.store.checkpoints.rotate_key(scene.act(), rotation)
    await scene.store.checkpoints.rotate_key(scene.act(), KeyRotation("log+0a+x", "log+0c+z", None))
    (signed, lost), _ = await scene.store.audit.page(DEFAULT_ORG, 0, ROTATED, 10)
    assert signed.detail == {"old_vkey": "log+0a+x", "new_vkey": "log+0b+y", "signature": "c2ln"}
    assert (signed.subject, signed.reason) == ({"key": "0b"}, None)
    assert ("signature" in lost.detail, lost.reason) == (False, "lost")


def test_nodes_have_names() -> None:
    assert Node(2, 3) == (2, 3)
