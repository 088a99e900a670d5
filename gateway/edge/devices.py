"""The connection of a device: who it is, and what is asked of it.

The proof is checked against this very connection: its challenge, the role it names and the Host header of its upgrade.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.edge.asking import Asking
from gateway.edge.authentication import Caller
from gateway.edge.send_queue import SendQueue
from gateway.services.device_connections import DeviceConnections, DeviceRefused
from gateway.services.devices import Admission
from protocol.connection import Received, ResponseReceived
from protocol.errors import CloseCode, ErrorKind, Fault
from protocol.records import Record, Role
from protocol.requests import HelloParams
from storage.device_values import KnownDevice
from storage.values import Bearer

_CLOSES = {
    ErrorKind.PAIRING_REQUIRED: CloseCode.PAIRING_REQUIRED,
    ErrorKind.FORBIDDEN: CloseCode.FORBIDDEN,
    ErrorKind.RATE_LIMITED: CloseCode.RATE_LIMITED,
    None: CloseCode.BAD_FRAME,
}


class DeviceLink:
    """`gateway.services.device_connections.DeviceConnection` over a socket."""

    def __init__(
        self, device: KnownDevice, queue: SendQueue, close: Callable[[CloseCode, str], None]
    ) -> None:
        self._device_id = device.id
        self._asking = Asking(queue, DeviceRefused)
        self._close = close

    async def request(self, method: str, params: Record, timeout_s: float) -> Mapping[str, Any]:
        """Ask the device and wait for its answer. Raises DeviceRefused."""
        return await self._asking.request(method, params, timeout_s)

    def give_way(self) -> None:
        """The same device has connected anew."""
        self._close(CloseCode.REPLACED, "the same device has connected again")

    def receive(self, received: Received | None) -> None:
        """Take what came beside requests."""
        if isinstance(received, ResponseReceived):
            self._asking.answered(received.response)

    def leave(self, connections: DeviceConnections) -> None:
        """The connection ends. Idempotent."""
        if not self._asking.is_closed:
            self._asking.close()
            connections.leave(self._device_id, self)


def caller_of(admission: Admission) -> Caller:
    """A device as a caller: its scopes are those of every device and what whoever approved it chose."""
    bearer = Bearer("", admission.device.org_id, admission.actor, Role.DEVICE, None)
    return Caller(bearer, "websocket", admission.scopes)


def check_credential(hello: HelloParams) -> None:
    """Raise Fault forbidden unless the role and the credential belong together."""
    if hello.role == "device" and hello.auth.device is None:
        raise Fault(
            ErrorKind.FORBIDDEN,
            "A device needs a proof of its key",
            hint="Say hello with auth.device; docs/PROTOCOL.md, section 14, says how it is made",
        )
    if hello.auth.device is not None and (hello.role == "agent" or hello.auth.token is not None):
        raise Fault(
            ErrorKind.FORBIDDEN,
            "A proof of a device's key is for the roles device and client, and comes alone",
            hint="Agent processes use a token of role agent",
        )


def close_code(fault: Fault) -> CloseCode:
    """With what a refused hello closes."""
    return _CLOSES.get(fault.kind, CloseCode.UNAUTHORIZED)
