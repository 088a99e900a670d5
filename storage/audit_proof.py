"""A proof that one entry is in the log, as a text that needs nothing else: C2SP tlog-proof (read 2026-11). Pure code.

https://c2sp.org/tlog-proof: the entry's index, the hashes beside its way to the root, and a signed checkpoint. The
entry itself is the proof's *extra* data: the proof says that exactly these bytes are in the log.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from storage.audit_notes import Note, NoteError, Verifier
from storage.audit_tree import is_included, leaf_hash

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
HASHES_MAX: Final = 64
"""A tree with more levels has more leaves than there are integers."""
PROOF_CHARS: Final = 10_000_000
"""The longest proof that is read: far more than an entry has room for."""
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it was read, not yet believed."""

    entry: bytes
    index: int
    hashes: tuple[bytes, ...]
    note: Note

    def verify(self, keys: Iterable[Verifier]) -> Verifier:
        """The key by whose word the entry is in the log. Raises NoteError, which says what is wrong."""
        checkpoint = self.note.checkpoint
        signer = self.note.signed_by(keys)
        if signer is None:
            raise NoteError("the checkpoint is not signed by the key")
        if not is_included(leaf_hash(self.entry), self.index, checkpoint.size, self.hashes, checkpoint.root):
            raise NoteError("the entry is not at this place of the log")
        return signer


def proof_text(entry: str, index: int, hashes: Sequence[bytes], note: str) -> str:
    """The text of a proof."""
    lines = [FIRST_LINE, f"extra {_encoded(entry.encode())}", f"index {index}", *map(_encoded, hashes)]
    return "\n".join(lines) + "\n\n" + note


def parse(text: str) -> Proof:
    """Read a proof. Raises NoteError."""
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if len(text) > PROOF_CHARS or not gap or first != FIRST_LINE:
        raise NoteError(f"a proof begins with {FIRST_LINE}")
    if not lines or not lines[0].startswith("extra "):
        raise NoteError("the proof does not hold its entry")
    match = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if match is None or len(lines) > 2 + HASHES_MAX:
        raise NoteError("the proof does not say which entry it is about")
    hashes = tuple(_decoded(line) for line in lines[2:])
    return Proof(_decoded(lines[0].removeprefix("extra ")), int(match[1]), hashes, Note.parse(note))


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("a line of the proof is not base64") from None
