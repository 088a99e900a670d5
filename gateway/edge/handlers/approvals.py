"""Handlers of approvals: what agents ask people to decide."""

from gateway.edge.dispatch import Call
from gateway.services.approvals import Approvals
from protocol import approval_requests as wire
from protocol.frames import Result
from storage.approval_ports import ApprovalStore


class Deciding:
    """What approvers do."""

    def __init__(self, store: ApprovalStore, approvals: Approvals) -> None:
        self._store = store
        self._approvals = approvals

    async def approval_list(self, call: Call, params: wire.ApprovalListParams) -> Result:
        return await self._approvals.page(call.act, call.caller.bearer.role, params)

    async def approval_get(self, call: Call, params: wire.ApprovalParams) -> Result:
        return wire.ApprovalResult(approval=await self._store.get(call.act.org_id, params.approval_id))

    async def approval_decide(self, call: Call, params: wire.ApprovalDecideParams) -> Result:
        return await self._approvals.decide(call.act, call.caller.bearer.role, params)
