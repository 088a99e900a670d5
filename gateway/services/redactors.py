"""The redactors of exports and of what agents read, one per organization: pseudonyms of one mean nothing in another."""

from functools import lru_cache
from pathlib import Path
from typing import Final

from gateway.governance_settings import PrivacySettings
from gateway.rules.redaction import Redactor, organization_key, redactor
from gateway.vault_key import pseudonym_key

KEPT: Final = 256
"""Organizations whose redactor is remembered; each has its patterns compiled."""


class Redactors:
    """Makes redactors. The key of pseudonyms is read once, and only where the settings want pseudonyms."""

    def __init__(self, settings: PrivacySettings, directory: Path) -> None:
        """Raises SecretUnavailable when the key of pseudonyms cannot be read. Reads a file: may block."""
        self._settings = settings
        self._secret = pseudonym_key(directory) if settings.mode == "hash" else b""
        self._kept = lru_cache(KEPT)(self._make)

    def of(self, org_id: str) -> Redactor:
        """The redactor of an organization."""
        return self._kept(org_id)

    def of_export(self, org_id: str) -> Redactor | None:
        """… for what is exported; None where the settings leave exports as they are."""
        return self._kept(org_id) if self._settings.exports else None

    def _make(self, org_id: str) -> Redactor:
        return redactor(self._settings, organization_key(self._secret, org_id))
