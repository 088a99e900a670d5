"""`storage.audit_ports.Sealer`: AES-256-GCM under data keys that the vault key wraps.

The vault key is not in the store (`vault_key.py`), so a copy of the store says nothing about what its audit entries
commit to; deleting a data key erases what it opens.
"""

import os
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.fernet import InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import ContentUnreadable

KEY_BITS: Final = 256
NONCE_BYTES: Final = 12
"""Random, as NIST SP 800-38D §8.2.2 allows for up to 2^32 messages of one key: no person has so many entries."""
KEYS_KEPT: Final = 4096
"""Unwrapped keys kept in memory, those used last: unwrapping takes twenty times as long as sealing."""


class ContentSealer:
    """Seals and opens under wrapped data keys. Used from several threads."""

    def __init__(self, cipher: MultiFernet) -> None:
        self._cipher = cipher
        self._unwrapped = lru_cache(KEYS_KEPT)(self._unwrap)

    def new_key(self) -> bytes:
        return self._cipher.encrypt(AESGCM.generate_key(KEY_BITS))

    def seal(self, wrapped: bytes, plain: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._unwrapped(wrapped).encrypt(nonce, plain, bound_to)

    def open(self, wrapped: bytes, sealed: bytes, bound_to: bytes) -> bytes:
        try:
            return self._unwrapped(wrapped).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise ContentUnreadable(
                "Content of the audit log was changed: it does not open any more"
            ) from None

    def _unwrap(self, wrapped: bytes) -> AESGCM:
        try:
            return AESGCM(self._cipher.decrypt(wrapped))
        except InvalidToken:
            raise ContentUnreadable(
                "The vault key does not open a key of the audit log's content: put the key back with which it was "
                "made (vault_key, or vault.key beside the store)"
            ) from None
