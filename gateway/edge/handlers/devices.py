"""Handlers of devices and of who is connected."""

from gateway.edge.dispatch import Call
from gateway.edge.presence import Presence
from gateway.services.devices import Devices
from gateway.services.invocations import Invocations
from protocol import device_requests as wire
from protocol.frames import Result


class DeviceHandlers:
    """What people do with devices."""

    def __init__(self, devices: Devices, invocations: Invocations, presence: Presence) -> None:
        self._devices = devices
        self._invocations = invocations
        self._presence = presence

    async def device_list(self, call: Call, params: wire.DeviceListParams) -> Result:
        return await self._devices.page(call.act.org_id, params)

    async def device_get(self, call: Call, params: wire.DeviceParams) -> Result:
        return await self._devices.get(call.act.org_id, params.device_id)

    async def device_revoke(self, call: Call, params: wire.DeviceChangeParams) -> Result:
        return await self._devices.revoke(call.act, params.device_id)

    async def device_rename(self, call: Call, params: wire.DeviceRenameParams) -> Result:
        return await self._devices.rename(call.act, params.device_id, params.name)

    async def device_invoke(self, call: Call, params: wire.DeviceInvokeParams) -> Result:
        return await self._invocations.invoke(call.act, params)

    async def presence_list(self, call: Call, params: wire.PresenceListParams) -> Result:
        org_id = call.act.org_id
        principals, more = self._presence.of(org_id, params.limit)
        devices = await self._devices.present(org_id, params.limit)
        return wire.PresenceListResult(principals=principals, devices=devices, more=more)
