"""Handlers of approvals: what agents ask people to decide."""

from gateway.edge.dispatch import Call
from gateway.services.approvals import Approvals
from protocol import requests as wire
from protocol.frames import Result
from storage.ports import ApprovalStore


class Deciding:
    """What approvers do."""

    def __init__(self, store: ApprovalStore, approvals: Approvals) -> None:
        self._store = store
        self._approvals = approvals

    async def approval_list(self, call: Call, params: wire.ApprovalListParams) -> Result:
        approvals, cursor = await self._store.page(
            call.act.org_id, params.state, params.thread_id, params.limit, params.cursor
        )
        return wire.ApprovalListResult(approvals=approvals, next_cursor=cursor)

    async def approval_get(self, call: Call, params: wire.ApprovalParams) -> Result:
        return wire.ApprovalResult(approval=await self._store.get(call.act.org_id, params.approval_id))

    async def approval_decide(self, call: Call, params: wire.ApprovalDecideParams) -> Result:
        approves = params.decision == "approve"
        return await self._approvals.decide(call.act, params.approval_id, approves, params.reason)
