"""Leave of people for a command that somebody wants a device to be told directly.

Nobody waits for it in a request: the answer names the approval, and who asked asks again with it once it is given. An
approval is for exactly this device, command and params, for whoever asked, until it expires, and for one time: the
record of invocations knows it as the claim.
"""

import hashlib
from typing import Any, Final

from gateway.agents.leave import fenced
from gateway.policy_settings import ApprovalTerms
from gateway.rules.policy import Verdict
from gateway.services.approvals import Approvals
from protocol.approvals import Approval, ApprovalKind, ApprovalState
from protocol.canonical import digest
from protocol.devices import DeviceCommand
from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from storage.approval_ports import ApprovalStore
from storage.device_values import KnownDevice
from storage.values import Act

LIFE_S: Final = 86_400.0
"""How long people may take, unless a policy says otherwise: as long as an agent waits for them."""


class DeviceApprovals:
    """Approvals of kind device that no run asked for."""

    def __init__(self, approvals: Approvals, store: ApprovalStore) -> None:
        self._approvals = approvals
        self._store = store

    async def ask(
        self, act: Act, device: KnownDevice, command: DeviceCommand, params: dict[str, Any], verdict: Verdict
    ) -> Fault:
        """Ask people, unless exactly this waits already; what whoever wants it is told."""
        subject = _subject(device, command, params)
        approval = await self._approvals.ask(
            act,
            ApprovalKind.DEVICE,
            f"device/{digest([act.actor.id, subject])}",
            f"{device.name}.{command.name}",
            subject,
            f"Have {device.name} do {command.name}",
            f"{act.actor.name} wants the device `{device.name}` to do `{command.name}` with exactly these params:"
            f"\n\n{fenced(params)}",
            verdict.terms or ApprovalTerms(),
            LIFE_S,
            rule=verdict.rule,
            risk=command.risk,
        )
        return _waiting(approval, verdict.reason)

    async def given(
        self, act: Act, approval_id: str, device: KnownDevice, command: DeviceCommand, params: dict[str, Any]
    ) -> str:
        """The claim of an approval that was given for exactly this.

        Raises Fault: not_found, approval_required while it waits, policy_denied when it was denied, expired, conflict
        when it is about something else or was somebody else's.
        """
        approval = await self._store.get(act.org_id, approval_id)
        is_same = digest(approval.subject) == digest(_subject(device, command, params))
        if approval.kind is not ApprovalKind.DEVICE or approval.run_id is not None or not is_same:
            raise Fault(
                ErrorKind.CONFLICT,
                "This approval is about something else",
                hint="approval.get shows what it is about",
            )
        if approval.requested_by != act.actor.id:
            raise Fault(
                ErrorKind.CONFLICT, "Somebody else asked for this approval", hint="Ask for one of your own"
            )
        if approval.state is ApprovalState.PENDING:
            raise _waiting(approval, "")
        if approval.state is not ApprovalState.APPROVED:
            because = f": {approval.reason}" if approval.reason else ""
            raise Fault(
                ErrorKind.POLICY_DENIED,
                f"It was not approved ({approval.state.value}){because}",
                hint="Ask again without approval_id for another decision",
                approval_id=approval.id,
            )
        if approval.expires_at <= to_instant(act.at_ms):
            raise Fault(ErrorKind.EXPIRED, "The approval is too old", hint="Ask again without approval_id")
        return hashlib.sha256(f"approval\0{act.org_id}\0{approval.id}".encode()).hexdigest()


def _subject(device: KnownDevice, command: DeviceCommand, params: dict[str, Any]) -> dict[str, Any]:
    """The exact action. What the command takes belongs to it: under another schema it may mean something else."""
    schema = digest(command.params_schema)
    return {"device_id": device.id, "command": command.name, "params": params, "schema": schema}


def _waiting(approval: Approval, reason: str) -> Fault:
    return Fault(
        ErrorKind.APPROVAL_REQUIRED,
        reason or "Somebody must allow this command first",
        hint=f"When {approval.id} is approved, ask again with approval_id",
        approval_id=approval.id,
        expires_at=approval.expires_at,
        rule=approval.rule,
    )
