"""Which devices are connected: one connection each, found by the device's id, and waited for.

What is asked over them is in `invocations.py`; the connections themselves are in `gateway/edge/devices.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from protocol.records import Record

log = structlog.get_logger()


class DeviceRefused(Exception):
    """A device did not do what it was asked.

    `kind` is its own, or `timeout`, `gone`, or `stalled`: it reads too slowly, and nothing was sent.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class DeviceConnection(Protocol):
    """A device's end of a connection."""

    async def request(self, method: str, params: Record, timeout_s: float) -> Mapping[str, Any]:
        """Ask the device. Raises DeviceRefused."""
        ...

    def give_way(self) -> None:
        """End: the same device has connected anew."""
        ...


class DeviceConnections:
    """All devices that are connected with role device."""

    def __init__(self) -> None:
        self._connections: dict[str, DeviceConnection] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._on_join: Callable[[str], None] = lambda device_id: None
        self._on_leave: Callable[[str], None] = lambda device_id: None

    def __len__(self) -> int:
        return len(self._connections)

    def on_join(self, hear: Callable[[str], None]) -> None:
        """Call this with the id of every device that connects."""
        self._on_join = hear

    def on_leave(self, hear: Callable[[str], None]) -> None:
        """Call this with the id of every device that is gone."""
        self._on_leave = hear

    def join(self, device_id: str, connection: DeviceConnection) -> None:
        """The device is here; its earlier connection, if there is one, gives way."""
        before = self._connections.pop(device_id, None)
        self._connections[device_id] = connection
        if before is not None:
            before.give_way()
        for waiting in self._waiting.pop(device_id, ()):
            if not waiting.done():
                waiting.set_result(None)
        log.info("a device connected", action="device_joined", device=device_id)
        self._on_join(device_id)

    def leave(self, device_id: str, connection: DeviceConnection) -> None:
        """This connection of the device is over. Idempotent."""
        if self._connections.get(device_id) is connection:
            del self._connections[device_id]
            log.info("a device left", action="device_left", device=device_id)
            self._on_leave(device_id)

    def find(self, device_id: str) -> DeviceConnection | None:
        """The connection of a device that is here."""
        return self._connections.get(device_id)

    async def wait(self, device_id: str, timeout_s: float) -> DeviceConnection | None:
        """The same, waiting for the device to come; None when it did not in time."""
        if device_id in self._connections or timeout_s <= 0:
            return self._connections.get(device_id)
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(device_id, [])
        waiting.append(arrival)
        try:
            await asyncio.wait((arrival,), timeout=timeout_s)
        finally:
            waiting.remove(arrival)
            if not waiting and self._waiting.get(device_id) is waiting:
                del self._waiting[device_id]
        return self._connections.get(device_id)
