"""Checkpoints as text, and the Ed25519 keys that sign them: pure code, after the C2SP specifications read 2026-11.

A *note* is text and signatures (https://c2sp.org/signed-note), a *checkpoint* a note that says how many entries a log
has and which root the tree over them has (https://c2sp.org/tlog-checkpoint). Keys have the textual form of the same
family of tools: `NAME+ID+BASE64` in public, `PRIVATE+KEY+NAME+ID+BASE64` in secret. Every epoch of a log but the first
has an origin of its own, `ORIGIN/epochN`, since a log restored from a backup contradicts what it signed before.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519: Final = b"\x01"
"""The signature type of signed notes."""
ID_BYTES: Final = 4
KEY_BYTES: Final = 32
NOTE_CHARS: Final = 100_000
"""The longest note that is read: sixteen signatures of the largest kind have room."""
_SIGNATURE: Final = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_EPOCH: Final = re.compile(r"(.+)/epoch([2-9]|[1-9][0-9]{1,8})")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_SECRET: Final = "PRIVATE+KEY+"


class NoteError(ValueError):
    """A text is no note, checkpoint or key, or is not signed by whom it should be; says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the log's name, how many entries it has, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n"

    @property
    def epoch(self) -> int:
        """Which epoch of the log it is about."""
        match = _EPOCH.fullmatch(self.origin)
        return int(match[2]) if match is not None else 1


def origin_of(base: str, epoch: int) -> str:
    """The origin of an epoch."""
    return base if epoch == 1 else f"{base}/epoch{epoch}"


def base_of(origin: str) -> str:
    """The origin of the log's first epoch."""
    match = _EPOCH.fullmatch(origin)
    return match[1] if match is not None else origin


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """What tells keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]

    def vkey(self) -> str:
        """The text of the key."""
        return f"{self.name}+{self.id.hex()}+{_encoded(ED25519 + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """Read the text of a key. Raises NoteError."""
        name, key_id, raw = _key_parts(vkey)
        key = cls(name, raw)
        if key.id.hex() != key_id:
            raise NoteError("the key's id does not belong to it: it was not copied whole")
        return key

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature over the text is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """A secret key with its name."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not is_name(name):
            raise NoteError("a key's name has no white space and no plus")
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    def skey(self) -> str:
        """The text of the secret key."""
        verifier = self.verifier
        return f"{_SECRET}{verifier.name}+{verifier.id.hex()}+{_encoded(ED25519 + self._seed)}"

    @classmethod
    def parse(cls, skey: str) -> "Signer":
        """Read the text of a secret key. Raises NoteError, which says nothing of it."""
        if not skey.startswith(_SECRET):
            raise NoteError("this is no secret key")
        name, key_id, seed = _key_parts(skey.removeprefix(_SECRET))
        signer = cls(name, seed)
        if signer.verifier.id.hex() != key_id:
            raise NoteError("the key's id does not belong to it: it was not copied whole")
        return signer

    def sign(self, text: str) -> bytes:
        """The signature over a text."""
        return self._key.sign(text.encode())

    def note(self, checkpoint: Checkpoint) -> str:
        """The signed note of a checkpoint."""
        text = checkpoint.text()
        return f"{text}\n— {self.verifier.name} {_encoded(self.verifier.id + self.sign(text))}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read, not yet believed."""

    checkpoint: Checkpoint
    signatures: tuple[tuple[str, bytes, bytes], ...]
    """Name, id and signature of each key that signed."""
    text: str
    """The whole note, as it was."""

    @classmethod
    def parse(cls, note: str) -> "Note":
        """Read the note of a checkpoint. Raises NoteError."""
        if len(note) > NOTE_CHARS or any(char < " " and char != "\n" for char in note):
            raise NoteError("this is no note")
        text, gap, signed = note.rpartition("\n\n")
        if not gap or not signed.endswith("\n"):
            raise NoteError("a note is text, an empty line and signatures")
        signatures = []
        for line in signed.splitlines():
            match = _SIGNATURE.fullmatch(line)
            if match is None:
                raise NoteError("a note ends with lines of signatures")
            raw = _decoded(match[2])
            signatures.append((match[1], raw[:ID_BYTES], raw[ID_BYTES:]))
        return cls(_checkpoint(text), tuple(signatures), note)

    def signed_by(self, keys: Iterable[Verifier]) -> Verifier | None:
        """The first of the keys that signed it, or None.

        A signature that says it is of one of the keys and is not spoils the note, as the specification has it.
        """
        known = {(key.name, key.id): key for key in keys}
        found = None
        for name, key_id, signature in self.signatures:
            key = known.get((name, key_id))
            if key is None:
                continue
            if not key.has_signed(self.checkpoint.text(), signature):
                return None
            found = found or key
        return found


def notes_of(content: str) -> tuple[list[Note], int]:
    """The checkpoints of a file, one after the other with empty lines between, and how many places are no note.

    The last one may have been cut off by a crash; it counts as such a place.
    """
    notes, bad = [], 0
    pieces = content.split("\n\n")
    while pieces and not pieces[-1].strip():
        pieces.pop()
    while pieces:
        text, signed = pieces[0], pieces[1] if len(pieces) > 1 else ""
        try:
            notes.append(Note.parse(f"{text}\n\n{signed.rstrip()}\n"))
            del pieces[:2]
        except NoteError:
            bad += 1
            del pieces[:1]  # what follows may be whole again
    return notes, bad


def rotation_text(log_id: str, new_vkey: str) -> str:
    """What an old key signs to say which one follows it."""
    return f"threadgate audit key rotation\n{log_id}\n{new_vkey}\n"


def is_name(name: str) -> bool:
    """Whether a key may be called so."""
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


def encoded_signature(signature: bytes) -> str:
    """A signature as text."""
    return _encoded(signature)


def decoded_signature(text: str) -> bytes:
    """The inverse. Raises NoteError."""
    return _decoded(text)


def _checkpoint(text: str) -> Checkpoint:
    origin, size, root, *more = [*text.split("\n"), "", ""]
    if not origin or not _SIZE.fullmatch(size) or any(more):
        raise NoteError("a checkpoint is three lines: origin, size and root")
    raw = _decoded(root)
    if len(raw) != hashlib.sha256().digest_size:
        raise NoteError("a checkpoint's root is a SHA-256 hash")
    return Checkpoint(origin, int(size), raw)


def _key_parts(text: str) -> tuple[str, str, bytes]:
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not is_name(parts[0]):
        raise NoteError("a key is NAME+ID+BASE64")
    raw = _decoded(parts[2])
    if raw[:1] != ED25519 or len(raw) != 1 + KEY_BYTES:
        raise NoteError("the key is no Ed25519 key")
    return parts[0], parts[1], raw[1:]


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("this is not base64") from None
