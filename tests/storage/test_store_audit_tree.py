"""The Merkle tree as pure code, against the recursive definition of RFC 6962 and its published vectors."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.audit_tree import (
    EMPTY_ROOT,
    Frontier,
    Node,
    completed_by,
    consistency,
    inclusion,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    nodes_of,
    range_hash,
)

LEAVES_MAX = 130
unhurried = settings(deadline=None)
sizes = st.integers(1, LEAVES_MAX)
LEAVES = [leaf_hash(str(number).encode()) for number in range(LEAVES_MAX)]


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(leaves[:k]) + defined_root(leaves[k:])).digest()


def defined_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, word by word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*defined_path(index, leaves[:k]), defined_root(leaves[k:])]
    return [*defined_path(index - k, leaves[k:]), defined_root(leaves[:k])]


def defined_consistency(first: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 6962 §2.1.2, word by word."""
    if first == len(leaves):
        return [] if whole else [defined_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if first <= k:
        return [*defined_consistency(first, leaves[:k], whole), defined_root(leaves[k:])]
    return [*defined_consistency(first - k, leaves[k:], False), defined_root(leaves[:k])]


def lookup(node: Node) -> bytes:
    start = node.at << node.level
    return defined_root(LEAVES[start : start + (1 << node.level)])


def hashes(ranges: list[tuple[int, int]]) -> list[bytes]:
    return [range_hash(leaves, lookup) for leaves in ranges]


# --- published vectors ------------------------------------------------------------------------------

VECTOR_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The eight leaves of Certificate Transparency's own tests of its tree, and the roots they give there."""
VECTOR_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_roots_are_those_that_were_published() -> None:
    frontier = Frontier()
    assert frontier.root().hex() == VECTOR_ROOTS[0] == EMPTY_ROOT.hex()
    for size, leaf in enumerate(VECTOR_LEAVES, 1):
        frontier.add(leaf_hash(leaf))
        assert frontier.root().hex() == VECTOR_ROOTS[size]


# --- against the definition -------------------------------------------------------------------------


def test_every_root_is_the_defined_one() -> None:
    frontier = Frontier()
    for size in range(1, LEAVES_MAX + 1):
        frontier.add(LEAVES[size - 1])
        assert frontier.root() == defined_root(LEAVES[:size]) == range_hash((0, size), lookup)
        assert len(frontier.hashes) == size.bit_count() == len(list(nodes_of((0, size))))


@unhurried
@given(sizes, sizes)
def test_a_frontier_can_be_put_down_and_taken_up(first: int, more: int) -> None:
    one = Frontier()
    for leaf in LEAVES[:first]:
        one.add(leaf)
    two = Frontier(one.size, one.hashes)
    for leaf in LEAVES[first : first + more]:
        two.add(leaf)
    assert two.root() == defined_root(LEAVES[: first + more])


def test_each_inner_node_is_completed_once_by_its_last_leaf() -> None:
    completed = [node for leaf in range(64) for node in completed_by(leaf)]
    assert sorted(completed) == sorted(Node(level, at) for level in range(1, 7) for at in range(64 >> level))
    for leaf in range(64):
        assert all(((node.at + 1) << node.level) - 1 == leaf for node in completed_by(leaf))


@unhurried
@given(st.data(), sizes)
def test_inclusion_is_proven_by_the_defined_path(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = hashes(inclusion(index, size))
    root = defined_root(LEAVES[:size])
    assert path == defined_path(index, LEAVES[:size])
    assert is_included(LEAVES[index], index, size, path, root)


@unhurried
@given(st.data(), sizes)
def test_consistency_is_proven_by_the_defined_path(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second))
    path = hashes(consistency(first, second))
    assert path == defined_consistency(first, LEAVES[:second])
    assert is_consistent(first, second, path, defined_root(LEAVES[:first]), defined_root(LEAVES[:second]))


@unhurried
@given(st.data(), st.integers(2, 40))
def test_a_wrong_proof_proves_nothing(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    root = defined_root(LEAVES[:size])
    path = hashes(inclusion(index, size))
    other = data.draw(st.integers(0, size - 1).filter(lambda place: place != index))
    assert not is_included(LEAVES[index], other, size, path, root), "a leaf has one place"
    assert not is_included(LEAVES[other], index, size, path, root)
    assert not is_included(LEAVES[index], index, size, path[:-1], root)
    assert not is_included(LEAVES[index], index, size, [*path, root], root)
    assert not is_included(LEAVES[index], size, size, path, root)
    at = data.draw(st.integers(0, len(path) - 1))
    assert not is_included(LEAVES[index], index, size, [*path[:at], b"\0" * 32, *path[at + 1 :]], root)


@unhurried
@given(st.data(), st.integers(3, 40))
def test_a_rewritten_beginning_is_consistent_with_nothing(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second - 1))
    changed = data.draw(st.integers(0, first - 1))
    forged = [*LEAVES[:changed], b"\7" * 32, *LEAVES[changed + 1 : second]]
    old, new = defined_root(LEAVES[:first]), defined_root(forged)
    path = defined_consistency(first, forged)
    assert not is_consistent(first, second, path, old, new)
    honest = defined_root(LEAVES[:second])
    good = defined_consistency(first, LEAVES[:second])
    assert not is_consistent(first, second, [*good, old], old, honest)
    assert not is_consistent(first, second, good[:-1], old, honest)
    assert not is_consistent(first, second, [], old, honest)


def test_the_ends_of_consistency() -> None:
    root = defined_root(LEAVES[:5])
    assert is_consistent(0, 5, [], EMPTY_ROOT, root)
    assert not is_consistent(0, 5, [], root, root)
    assert is_consistent(5, 5, [], root, root)
    assert not is_consistent(5, 5, [], root, EMPTY_ROOT)
    assert not is_consistent(6, 5, [], root, root)
    assert node_hash(LEAVES[0], LEAVES[1]) == defined_root(LEAVES[:2])
    assert consistency(0, 5) == consistency(5, 5) == []


def test_what_is_not_there_cannot_be_proven() -> None:
    for attempt in (lambda: inclusion(5, 5), lambda: inclusion(-1, 5), lambda: consistency(6, 5)):
        try:
            attempt()
        except ValueError:
            continue
        raise AssertionError("a proof of nothing")
