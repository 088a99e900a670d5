"""Exporting the audit log while the gateway is stopped: by the same use case, on the store itself."""

from collections.abc import Mapping
from typing import Any, BinaryIO

from gateway import audit_start
from gateway.cli.serve import configure_log
from gateway.clock import Clock
from gateway.composition.audit import audit_exports
from gateway.daemon import open_store
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.edge.handlers.operations import filter_of
from gateway.services.audit_export import Format
from gateway.services.redactors import Redactors
from gateway.settings import Settings
from protocol.methods import validated
from protocol.requests import AuditListParams
from storage.values import DEFAULT_ORG, Act


async def export_from_store(
    settings: Settings, form: Format, wanted: Mapping[str, Any], file: BinaryIO
) -> None:
    """Write the export to a file; its entry is one of the local operator. Raises Fault and StoreError."""
    configure_log(settings)  # opening a store may log, and an export is an export and nothing else
    clock = Clock()
    store = await open_store(settings, clock)
    try:
        checkpoints = audit_start.checkpointing(settings, store, clock)
        exports = audit_exports(store, checkpoints, Redactors(settings.privacy, settings.data_dir))
        act = Act(DEFAULT_ORG, LOCAL_ACTOR, "cli", clock.now_ms())
        pieces = await exports.begin(act, form, filter_of(validated(AuditListParams, dict(wanted))))
        async for piece in pieces:
            file.write(piece)
    finally:
        await store.close()
