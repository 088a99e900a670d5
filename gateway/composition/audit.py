"""How the audit log leaves: exports, and the outlets of the configured sinks and anchors."""

from importlib.metadata import version

from channels.secrets import resolve_secret
from gateway.clock import Clock
from gateway.services.audit_checkpoints import Checkpointing
from gateway.services.audit_export import AuditExports
from gateway.services.audit_lines import AuditLines
from gateway.services.audit_outlets import Outlets
from gateway.services.audit_sinks import outlets_of
from gateway.services.redactors import Redactors
from gateway.settings import Settings
from storage.store import Store


def audit_exports(store: Store, checkpoints: Checkpointing, redactors: Redactors) -> AuditExports:
    """Exports of an open store."""
    return AuditExports(store.audit, store.trail, store.checkpoints, checkpoints, _lines(redactors))


def audit_outlets(settings: Settings, store: Store, clock: Clock, redactors: Redactors) -> Outlets:
    """Sinks and anchors. Raises SecretUnavailable for a header whose secret is not there. Reads files."""
    audit = settings.audit
    made = outlets_of(
        audit.sinks,
        audit.anchors,
        store.trail,
        _lines(redactors),
        clock,
        resolve_secret,
        settings.directory,
    )
    return Outlets(*made, store.trail, store.checkpoints)


def _lines(redactors: Redactors) -> AuditLines:
    return AuditLines(version("threadgate"), redactors.of_export)
