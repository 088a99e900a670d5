"""Admissions: what the policies say when somebody is about to be let in, beside the operator who does it.

A pairing that needs more than one operator becomes an approval: whoever wanted to let them in has asked for it, and
those whom the policy names decide. The store lets them in when it is approved, within the time of the pairing.
"""

from typing import Any

from gateway.agents.leave import fenced
from gateway.clock import Clock
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Proposed, Verdict
from gateway.services.approvals import Approvals
from gateway.services.guard import CLIENT, Guard
from protocol.approvals import ApprovalKind
from protocol.devices import Pairing
from protocol.errors import ErrorKind, Fault
from protocol.instants import from_instant
from protocol.records import PairingState
from storage.audit_ports import AuditStore
from storage.device_values import DeviceGrant
from storage.values import Act, Notice


class Admissions:
    """Judges pairings."""

    def __init__(self, guard: Guard, approvals: Approvals, audit: AuditStore, clock: Clock) -> None:
        self._guard = guard
        self._approvals = approvals
        self._audit = audit
        self._clock = clock

    async def check(
        self, act: Act, pairing: Pairing, room: str, grant: DeviceGrant, told: Notice | None
    ) -> None:
        """Return when the operator may let them in. Raises Fault policy_denied, and approval_required with the
        `approval_id` of what was asked."""
        if pairing.state not in (PairingState.PENDING, PairingState.REJECTED):
            return
        verdict = self._guard.judge(
            Proposed(
                kind="pairing",
                name=pairing.kind,
                at=self._guard.now(),
                channel=pairing.channel or CLIENT,
                account=pairing.account or "",
                room=room,
                person=f"{pairing.channel}:{pairing.subject}" if pairing.channel else pairing.subject,
            )
        )
        if verdict.effect == "allow":
            return
        detail = {"effect": verdict.effect, "rule": verdict.rule, "policy": verdict.version}
        await self._audit.record(act, "pairing.approve", {"pairing_id": pairing.id}, "failure", detail)
        if verdict.effect == "deny":
            raise Fault(
                ErrorKind.POLICY_DENIED,
                verdict.reason,
                hint="threadgate policy explain --kind pairing says which rule",
                rule=verdict.rule,
            )
        raise await self._asked(act, pairing, grant, told, verdict)

    async def _asked(
        self, act: Act, pairing: Pairing, grant: DeviceGrant, told: Notice | None, verdict: Verdict
    ) -> Fault:
        scopes = sorted(scope.value for scope in grant.scopes) if grant.scopes is not None else None
        subject: dict[str, Any] = {
            "pairing_id": pairing.id,
            "who": pairing.subject,
            "scopes": scopes,
            "name": grant.name,
        }
        approval = await self._approvals.ask(
            act,
            ApprovalKind.PAIRING,
            key=f"pairing/{pairing.id}",
            name=pairing.kind,
            subject=subject,
            title=f"Let in a {pairing.kind}: {pairing.name}",
            body=f"{act.actor.name} wants to let them in:\n\n{fenced(_shown(pairing, scopes))}",
            terms=verdict.terms or ApprovalTerms(),
            life_s=max(1.0, (from_instant(pairing.expires_at) - self._clock.now_ms()) / 1000),
            rule=verdict.rule,
            policy_version=verdict.version,
            told=told,
        )
        return Fault(
            ErrorKind.APPROVAL_REQUIRED,
            verdict.reason or "Other people decide about this, too",
            hint=f"It is asked: threadgate approvals show {approval.id}",
            rule=verdict.rule,
            approval_id=approval.id,
        )


def _shown(pairing: Pairing, scopes: list[str] | None) -> dict[str, Any]:
    """Everything that is known of them, and what they get."""
    shown = pairing.model_dump(
        mode="json", include={"kind", "channel", "account", "subject", "name", "device"}
    )
    return {name: value for name, value in shown.items() if value is not None} | (
        {"scopes": scopes} if scopes is not None else {}
    )
