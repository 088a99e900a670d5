"""`client.devices`: the methods about devices, and who is connected. In the manner of `methods.py`."""

from collections.abc import Mapping
from typing import Any

from threadgate_client import limits
from threadgate_client.devices import DeviceInfo, Invocation, Presence
from threadgate_client.fields import Fields
from threadgate_client.groups import Group, given
from threadgate_client.listings import Listing


class Devices(Group):
    """`device.*` and `presence.list`."""

    def list(
        self, *, state: str = "active", limit: int = limits.PAGE_DEFAULT, cursor: str | None = None
    ) -> Listing[DeviceInfo]:
        """Devices, newest first. `state` is active, revoked, replaced or all."""
        return self._listing("device.list", "devices", DeviceInfo.from_json, cursor, state=state, limit=limit)

    async def get(self, device_id: str) -> DeviceInfo:
        """Read one device."""
        return await self._one("device.get", "device", DeviceInfo.from_json, device_id=device_id)

    async def revoke(self, device_id: str, *, idempotency_key: str | None = None) -> DeviceInfo:
        """Shut a device out for good, at once."""
        return await self._one(
            "device.revoke",
            "device",
            DeviceInfo.from_json,
            device_id=device_id,
            idempotency_key=idempotency_key,
        )

    async def rename(self, device_id: str, name: str, *, idempotency_key: str | None = None) -> DeviceInfo:
        """Call a device otherwise."""
        return await self._one(
            "device.rename",
            "device",
            DeviceInfo.from_json,
            device_id=device_id,
            name=name,
            idempotency_key=idempotency_key,
        )

    async def invoke(
        self,
        device_id: str,
        command: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = limits.INVOKE_TIMEOUT_S,
        wait: bool = False,
        approval_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Invocation:
        """Have a device do something, and wait for what comes of it; `wait` also for a device that is not here.

        With the same `idempotency_key` it is never done twice. Raises Unavailable: `fields["outcome"]` is unknown when
        it may have been done all the same. Raises ApprovalRequired where people have to be asked first:
        `fields["approval_id"]` names what they decide about; ask again with it when they have.
        """
        asked = given(
            {
                "device_id": device_id,
                "command": command,
                "params": dict(params or {}),
                "timeout_s": timeout_s,
                "wait": wait,
                "approval_id": approval_id,
                "idempotency_key": idempotency_key,
            }
        )
        patience_s = timeout_s + limits.INVOKE_MARGIN_S
        answer = await self._engine.request("device.invoke", asked, patience_s)
        return Fields(answer, "device.invoke").one("invocation", Invocation.from_json)

    async def presence(self) -> Presence:
        """Who is connected, and all devices."""
        return Presence.from_json(await self._engine.request("presence.list", {}))
