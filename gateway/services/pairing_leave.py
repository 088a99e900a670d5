"""Leave to let somebody in: what the policies say about a pairing that an operator wants to approve.

Where they want people asked, the operator's wish becomes an approval; deciding that is deciding the pairing.
"""

from typing import Final

from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Proposed
from gateway.rules.visible import fenced, pretty
from gateway.services.approvals import Approvals
from gateway.services.guard import Guard
from protocol.approvals import ApprovalKind
from protocol.devices import Pairing
from protocol.errors import ErrorKind, Fault
from storage.device_values import DeviceGrant
from storage.values import Act, Notice

LIFE_S: Final = 24 * 3600.0
"""An operator's wish waits for a day, unless the policy says how long."""


class PairingLeave:
    """Asks the policies, and people where they want that."""

    def __init__(self, approvals: Approvals, guard: Guard) -> None:
        self._approvals = approvals
        self._guard = guard

    async def check(self, act: Act, pairing: Pairing, grant: DeviceGrant, told: Notice | None) -> None:
        """Return when it may be approved now. Raises Fault policy_denied, and approval_required with `approval_id`."""
        person = f"{pairing.channel}:{pairing.subject}" if pairing.channel is not None else pairing.subject
        verdict = self._guard.judge(
            Proposed(
                kind="pairing",
                name=pairing.kind,
                at=self._guard.now(),
                channel=pairing.channel or "",
                account=pairing.account or "",
                person=person,
            )
        )
        if verdict.effect == "deny":
            reason = verdict.reason or "The policies do not allow it"
            raise Fault(ErrorKind.POLICY_DENIED, reason, rule=verdict.rule)
        if verdict.effect != "require_approval":
            return
        scopes = sorted(scope.value for scope in grant.scopes) if grant.scopes is not None else None
        subject = {"pairing_id": pairing.id, "scopes": scopes, "name": grant.name}
        shown = pairing.model_dump(mode="json", exclude_none=True) | {"given": subject}
        approval = await self._approvals.ask(
            act,
            ApprovalKind.PAIRING,
            pairing.id,
            pairing.kind,
            subject,
            f"Let in {pairing.name}",
            f"{act.actor.name} wants to let in this {pairing.kind}:\n\n{fenced(pretty(shown), 'json')}",
            verdict.terms or ApprovalTerms(),
            LIFE_S,
            rule=verdict.rule,
            told=told,
        )
        raise Fault(
            ErrorKind.APPROVAL_REQUIRED,
            "The policies want people to decide about it",
            hint=f"threadgate approvals show {approval.id}",
            approval_id=approval.id,
            rule=verdict.rule,
        )
