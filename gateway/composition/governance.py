"""What governs: policies, approvals, devices, budgets, the audit log, personal data, and who is let in."""

from dataclasses import dataclass

from gateway import audit_start
from gateway.clock import Clock
from gateway.composition.audit import audit_exports, audit_outlets
from gateway.edge.authentication import Authenticator
from gateway.metrics import Metrics
from gateway.rules.budget import Budgets
from gateway.rules.policy import compiled
from gateway.services.admissions import Admissions
from gateway.services.approval_cards import ApprovalCards
from gateway.services.approval_times import ApprovalTimes
from gateway.services.approvals import Approvals
from gateway.services.audit_checkpoints import Checkpointing
from gateway.services.audit_export import AuditExports
from gateway.services.audit_outlets import Outlets
from gateway.services.budgets import BudgetCare
from gateway.services.channels import Channels
from gateway.services.denials import Denials
from gateway.services.device_approvals import DeviceApprovals
from gateway.services.device_connections import DeviceConnections
from gateway.services.devices import Devices
from gateway.services.erasures import Erasures
from gateway.services.guard import Guard
from gateway.services.invocations import Invocations
from gateway.services.reading import Reading
from gateway.services.redactors import Redactors
from gateway.services.releases import Releases
from gateway.services.retention import Retention
from gateway.settings import Settings, organizations_of
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Governance:
    """What this subject is made of."""

    guard: Guard
    approvals: Approvals
    releases: Releases
    admissions: Admissions
    approval_cards: ApprovalCards
    approval_times: ApprovalTimes
    device_connections: DeviceConnections
    devices: Devices
    invocations: Invocations
    budgets: BudgetCare
    checkpoints: Checkpointing
    audit_exports: AuditExports
    outlets: Outlets
    denials: Denials
    authenticator: Authenticator
    redactors: Redactors
    reading: Reading
    retention: Retention
    erasures: Erasures


def governance(
    settings: Settings, store: Store, clock: Clock, metrics: Metrics, channels: Channels, local_secret: str
) -> Governance:
    """Make it. `local_secret` lets the gateway's own user in."""

    def count(effect: str, rule: str) -> None:
        metrics.policy_verdicts.labels(effect, rule).inc()

    guard = Guard(compiled(settings.policies), clock, count)
    approvals = Approvals(store.approvals, store.threads, channels, clock, guard.of_edit)
    connections = DeviceConnections()
    budgets = Budgets(settings.budgets) if settings.budgets else None
    store.engine.budgets = budgets
    denials = Denials(store.audit, clock)
    redactors = Redactors(settings.privacy, settings.data_dir)
    checkpoints = audit_start.checkpointing(settings, store, clock)
    return Governance(
        guard=guard,
        approvals=approvals,
        releases=Releases(guard, approvals, store.approvals),
        admissions=Admissions(guard, approvals, store.audit, clock),
        approval_cards=ApprovalCards(store.approvals, channels, clock),
        approval_times=ApprovalTimes(store.approvals, channels, clock),
        device_connections=connections,
        devices=Devices(store.devices, connections, denials, clock),
        invocations=Invocations(
            store.invocations,
            store.devices,
            connections,
            store.audit,
            DeviceApprovals(approvals, store.approvals),
            clock,
            guard.judge,
        ),
        budgets=BudgetCare(store.budgets, store.threads, channels, clock, budgets),
        checkpoints=checkpoints,
        audit_exports=audit_exports(store, checkpoints, redactors),
        outlets=audit_outlets(settings, store, clock, redactors),
        denials=denials,
        authenticator=Authenticator(
            store.identities, denials, clock, local_secret, organizations_of(settings)
        ),
        redactors=redactors,
        reading=Reading(redactors.of if settings.privacy.models else None),
        retention=Retention(store.retention, settings.retention, clock),
        erasures=Erasures(store.erasures, store.holds, store.engine.truncate_log, checkpoints.prove, clock),
    )
