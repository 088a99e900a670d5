"""The key that signs checkpoints of the audit log: a file of its own, readable by the gateway's user alone.

Its first line is the secret key, the lines below are the public keys that signed before it. It is not in the store and
should not be in its backup: whoever has both can forge what comes after the backup.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from channels.secrets import SecretUnavailable
from storage.audit_notes import KEY_BYTES, NoteError, Signer, Verifier

KEY_NAME: Final = "audit.key"
_OTHERS: Final = 0o077
"""Permission bits of group and others."""


@dataclass(frozen=True, slots=True)
class AuditKey:
    """The key in use, and the public halves of those before it."""

    signer: Signer
    older: tuple[Verifier, ...] = ()

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """Whose signatures are the log's own."""
        return (self.signer.verifier, *self.older)

    def followed_by(self, signer: Signer) -> "AuditKey":
        """The key file after a rotation."""
        return AuditKey(signer, self.verifiers)


def path_of(setting: Path | None, directory: Path) -> Path:
    """Where the key is: as configured, else beside the store."""
    return setting if setting is not None else directory / KEY_NAME


def load(path: Path) -> AuditKey:
    """Read the key. Blocks. Raises SecretUnavailable when there is none, others may read it, or it is no key."""
    try:
        mode, lines = path.stat().st_mode, path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnavailable(
            f"{path}, the key that signs the audit log, cannot be read: {error}"
        ) from error
    if mode & _OTHERS:
        raise SecretUnavailable(f"{path} can be read by others: chmod 600 {path}")
    try:
        secret, *older = lines
        return AuditKey(Signer.parse(secret), tuple(Verifier.parse(line) for line in older))
    except ValueError:
        # Without a cause: the error may carry the key.
        raise SecretUnavailable(f"{path} holds no key that signs: put back the file that was there") from None


def make(path: Path, name: str) -> AuditKey:
    """Make a key where there is none, and read it; one that another process made meanwhile counts. Blocks.

    Raises SecretUnavailable and OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = _written(path, AuditKey(new_signer(name)))
    with suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
    _sync(path.parent)
    return load(path)


def replace(path: Path, key: AuditKey) -> None:
    """Put another key in the place of the one that is there, whole or not at all. Blocks. Raises OSError."""
    _written(path, key).replace(path)
    _sync(path.parent)


def new_signer(name: str) -> Signer:
    """A fresh key. Raises SecretUnavailable for a name that a key cannot have."""
    try:
        return Signer(name, os.urandom(KEY_BYTES))
    except NoteError as error:
        raise SecretUnavailable(f"audit.origin {name!r} cannot be a key's name: {error}") from None


def _written(path: Path, key: AuditKey) -> Path:
    fresh = path.with_suffix(f".new{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{line}\n" for line in _lines(key)))
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _lines(key: AuditKey) -> Iterable[str]:
    yield key.signer.skey()
    yield from (verifier.vkey() for verifier in key.older)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
