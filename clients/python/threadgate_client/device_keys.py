"""A device's key: made once, kept in a file that only its user can read, and what is signed with it.

The text that is signed is that of the published protocol (§3). This module does file I/O: call it from a thread.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_NAME: Final = "device.key"
NEXT_NAME: Final = "device.key.next"
"""A key that is to take the place of the present one; it is there from before it is presented until it is the key."""
SEED_BYTES: Final = 32
PRIVATE: Final = 0o077
"""Rights that nobody else may have on a key."""


class KeyUnusable(ValueError):
    """The key's file cannot be used; the text says why and what to do."""


class DeviceKey:
    """One Ed25519 key."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes_raw()
        self.public = _encoded(raw)
        self.device_id = _encoded(hashlib.sha256(raw).digest())

    def sign(self, *lines: str) -> str:
        """The signature over these lines."""
        return _encoded(self._private.sign("\n".join(lines).encode()))


class DeviceKeys:
    """The key of a directory, and the one that is to follow it. Raises KeyUnusable and OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / KEY_NAME
        with suppress(FileExistsError):
            _write_new(path, os.urandom(SEED_BYTES))
        self.present = _read(path)
        following = directory / NEXT_NAME
        self.following = _read(following) if following.exists() else None

    def prepare(self) -> None:
        """Make the key that is to follow, unless one waits already."""
        with suppress(FileExistsError):
            _write_new(self._directory / NEXT_NAME, os.urandom(SEED_BYTES))
        self.following = _read(self._directory / NEXT_NAME)

    def promote(self) -> bool:
        """The key that was to follow is the key now; False when there is none."""
        if self.following is None:
            return False
        (self._directory / NEXT_NAME).replace(self._directory / KEY_NAME)
        _sync(self._directory)
        self.present, self.following = self.following, None
        return True


def proof(keys: DeviceKeys, nonce: str, signed_at: int, host: str, role: str = "device") -> Mapping[str, Any]:
    """The proof of the present key for one connection, with the key that is to follow, if there is one."""
    present, following = keys.present, keys.following
    at = str(signed_at)
    signature = present.sign("threadgate.v1", nonce, present.device_id, role, at, host)
    said: dict[str, Any] = {"public_key": present.public, "signed_at": signed_at, "signature": signature}
    if following is not None:
        lines = ("threadgate.v1.rotate", nonce, present.device_id, following.device_id, at, host)
        said["successor"] = {
            "public_key": following.public,
            "signature": following.sign(*lines),
            "consent": present.sign(*lines),
        }
    return said


def _write_new(path: Path, seed: bytes) -> None:
    """Write a key whole or not at all, readable by its user alone. Raises FileExistsError."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, seed.hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(made, path)
    finally:
        made.unlink()
    _sync(path.parent)


def _read(path: Path) -> DeviceKey:
    if path.stat().st_mode & PRIVATE:
        raise KeyUnusable(f"{path} can be read by others: chmod 600 it, or begin with a new key")
    try:
        seed = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise KeyUnusable(f"{path} is not a device's key: begin with a new one")
    return DeviceKey(seed)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
