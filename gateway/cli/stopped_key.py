"""`threadgate audit rotate-key`, which is for a gateway that is stopped."""

import asyncio

from gateway.cli.serve import configure_log
from gateway.clock import Clock
from gateway.daemon import rotate_audit_key
from gateway.settings import Settings


def rotate(settings: Settings, *, lost: bool) -> str:
    """Put another key in place; returns its public half. Raises StoreError, SecretUnavailable and OSError."""
    configure_log(settings)  # opening a store may log, and what is printed here is a key and nothing else
    return asyncio.run(rotate_audit_key(settings, Clock(), lost=lost))
