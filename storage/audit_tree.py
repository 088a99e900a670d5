"""The Merkle tree over the audit log's entries as pure code: RFC 6962 §2.1 and RFC 9162 §2.1, no database.

Leaves are numbered from 0. A *node* is a complete subtree, named by its level and its place on that level; nodes never
change once they are complete, so they can be stored. A *range* of leaves that the definition meets is a few nodes side
by side, folded from the right. Proofs are ranges (`inclusion`, `consistency`), whose hashes whoever has the nodes
looks up; `is_included` and `is_consistent` check them without any.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


class Node(NamedTuple):
    """A complete subtree: the 2^level leaves from leaf `at` * 2^level."""

    level: int
    at: int


Range = tuple[int, int]
"""Leaves from the first number up to but without the second."""
Lookup = Callable[[Node], bytes]
"""The stored hash of a complete subtree."""


def leaf_hash(body: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its maximal complete subtrees, largest first."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)

    def add(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
        hashes, size = self.hashes, self.size
        while size & 1:
            leaf = hashlib.sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        return fold(self.hashes)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that stand side by side, larger ones to the left."""
    if not hashes:
        return EMPTY_ROOT
    *left, root = hashes
    for node in reversed(left):
        root = node_hash(node, root)
    return root


def nodes_of(leaves: Range) -> Iterator[Node]:
    """The maximal complete subtrees of a range that starts where a subtree of its size could, left to right."""
    start, end = leaves
    while start < end:
        level = (end - start).bit_length() - 1
        yield Node(level, start >> level)
        start += 1 << level


def range_hash(leaves: Range, lookup: Lookup) -> bytes:
    """The hash over a range of leaves, from stored nodes: as many lookups as it has complete subtrees."""
    return fold([lookup(node) for node in nodes_of(leaves)])


def completed_by(leaf: int) -> Iterator[Node]:
    """The inner nodes that become complete with a leaf, from the lowest."""
    level, at = 0, leaf
    while at & 1:
        level, at = level + 1, at >> 1
        yield Node(level, at)


# --- proofs -----------------------------------------------------------------------------------------


def inclusion(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that a leaf is in the tree of this size, from its sibling to the root's child.

    Raises ValueError for a leaf that is not in that tree.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency(first: int, second: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of size `second` begins with the one of size `first`.

    Raises ValueError unless 0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise ValueError("a tree is consistent with smaller ones only")
    path: list[Range] = []
    start, end, whole = 0, second, True
    if first in (0, second):
        return path
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start, whole = middle, False
    if not whole:
        path.append((start, end))
    return path[::-1]


def _split(size: int) -> int:
    """The largest power of two that is smaller."""
    return 1 << ((size - 1).bit_length() - 1)


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2: whether the path proves that the leaf has this index in the tree."""
    if not 0 <= index < size:
        return False
    place, last, made = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            made = node_hash(sibling, made)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            made = node_hash(made, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and made == root


def is_consistent(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """RFC 9162 §2.1.4.2: whether the path proves that the larger tree begins with the smaller one."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not path and (first_root == second_root if first else first_root == EMPTY_ROOT)
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    if not hashes:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
