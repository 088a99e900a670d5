"""What is checked of the audit log whenever a store is opened: its signing key, and whether it was restored.

Every opening comes through here, also that of commands while the gateway is stopped: they append entries, too.
"""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from channels.secrets import SecretUnavailable
from gateway import audit_key, checkpoint_file
from gateway.audit_key import AuditKey
from gateway.clock import Clock
from gateway.services.audit_checkpoints import Checkpointing, CheckpointPace, reconcile
from gateway.settings import Settings
from storage.audit_notes import Note, encoded_signature, rotation_text
from storage.audit_values import KeyRotation
from storage.store import Store, StoreIdentity
from storage.values import Act

log = structlog.get_logger()

ORIGIN: Final = "threadgate"
"""What logs are called whose origin is not configured: this and their id."""


async def check(settings: Settings, store: Store, clock: Clock) -> None:
    """Make the key at the first start, refuse one that never signed here, begin an epoch for a restored store.

    Raises SecretUnavailable, StoreError and OSError.
    """
    key = await _key(settings, store)
    latest = await store.checkpoints.latest()
    if latest is not None and Note.parse(latest).signed_by(key.verifiers) is None:
        raise SecretUnavailable(_other_key(settings))
    # What anchors keep outlives a restored data directory: with it, the file beside the store may be an old one.
    anchors = (
        settings.directory / anchor.path for anchor in settings.audit.anchors if anchor.path is not None
    )
    for path in (checkpoint_file.beside(settings.data_dir), *anchors):
        epoch = await reconcile(store.checkpoints, key, path, clock)
        if epoch is not None:
            store.identity = StoreIdentity(epoch, is_new=False)


def checkpointing(settings: Settings, store: Store, clock: Clock) -> Checkpointing:
    """Checkpoints as these settings want them. Reads the key. Raises SecretUnavailable."""
    audit = settings.audit
    key = audit_key.load(_key_path(settings))
    return Checkpointing(
        store.checkpoints,
        key,
        audit.origin or key.signer.verifier.name,
        checkpoint_file.beside(settings.data_dir),
        CheckpointPace(audit.checkpoint_entries, audit.checkpoint_s),
        clock,
    )


async def rotate(settings: Settings, store: Store, clock: Clock, act: Act, *, lost: bool) -> str:
    """Sign with a new key from now on; the old one signs for it, unless it is lost. Returns the public key.

    The entry comes first: should the file not follow, the old key goes on signing and nothing contradicts.
    Raises StoreError, SecretUnavailable, OSError and Fault.
    """
    path, head = _key_path(settings), await store.checkpoints.head()
    if lost:
        key = AuditKey(audit_key.new_signer(_name(settings, head.log_id)))
        rotation = KeyRotation(None, key.signer.verifier.vkey(), None)
    else:
        old = await asyncio.to_thread(audit_key.load, path)
        key = old.followed_by(audit_key.new_signer(old.signer.verifier.name))
        vkey = key.signer.verifier.vkey()
        signature = encoded_signature(old.signer.sign(rotation_text(head.log_id, vkey)))
        rotation = KeyRotation(old.signer.verifier.vkey(), vkey, signature)
    await store.checkpoints.rotate_key(act, rotation)
    await asyncio.to_thread(audit_key.replace, path, key)
    await checkpointing(settings, store, clock).make()
    return rotation.new_vkey


async def _key(settings: Settings, store: Store) -> AuditKey:
    path = _key_path(settings)
    if path.exists():
        return await asyncio.to_thread(audit_key.load, path)
    if await store.checkpoints.latest() is not None:
        raise SecretUnavailable(_other_key(settings))
    head = await store.checkpoints.head()
    key = await asyncio.to_thread(audit_key.make, path, _name(settings, head.log_id))
    log.info(
        "a key that signs checkpoints of the audit log was made: keep its public half elsewhere",
        action="audit_key_made",
        vkey=key.signer.verifier.vkey(),
        path=str(path),
    )
    return key


def _key_path(settings: Settings) -> Path:
    return audit_key.path_of(settings.audit.signing_key, settings.data_dir)


def _name(settings: Settings, log_id: str) -> str:
    return settings.audit.origin or f"{ORIGIN}/{log_id}"


def _other_key(settings: Settings) -> str:
    return (
        f"{_key_path(settings)} is not the key that signed the audit log before: put it back, "
        "or begin with another one by `threadgate audit rotate-key --lost`, which the log will say"
    )
