"""Handlers of pairing: who asks to be let in."""

from gateway.edge.dispatch import Call
from gateway.services.pairings import Pairings
from protocol import device_requests as wire
from protocol.frames import Result


class Pairing:
    """What operators decide about strangers."""

    def __init__(self, pairings: Pairings) -> None:
        self._pairings = pairings

    async def pairing_list(self, call: Call, params: wire.PairingListParams) -> Result:
        return await self._pairings.page(call.act.org_id, params)

    async def pairing_approve(self, call: Call, params: wire.PairingApproveParams) -> Result:
        return await self._pairings.approve(call.act, params, call.caller.scopes)

    async def pairing_reject(self, call: Call, params: wire.PairingDecideParams) -> Result:
        return await self._pairings.reject(call.act, params)
