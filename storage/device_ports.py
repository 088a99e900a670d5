"""What the gateway asks the store about devices. Implementations: `devices.py`, `invocations.py`."""

from collections.abc import Sequence
from typing import Protocol

from protocol.devices import Device, DeviceCommand
from protocol.frames import RawJson
from storage.device_values import (
    AskedPairing,
    DeviceOffer,
    InvocationOutcome,
    InvocationRow,
    KnownDevice,
    NewInvocation,
    Standing,
)
from storage.values import Act


class DeviceStore(Protocol):
    """Paired devices, and those that ask to be."""

    async def standing(self, device_id: str, rejected_since_ms: int, now_ms: int) -> Standing:
        """What is known of a key, whatever its organization. A rejection before `rejected_since_ms` is forgotten."""
        ...

    async def ask(self, act: Act, offer: DeviceOffer) -> AskedPairing:
        """A device asks to be paired, or for more scopes.

        One that waits already, for the same scopes, keeps its pairing and gets the offered code for it. Raises Fault
        rate_limited.
        """
        ...

    async def active(self, org_id: str) -> list[KnownDevice]:
        """All devices that may connect, the newest first; at most a few hundred."""
        ...

    async def known(self, org_id: str, device_id: str) -> KnownDevice:
        """One that may connect. Raises Fault not_found, and invalid_state for one that was revoked or replaced."""
        ...

    async def get(self, org_id: str, device_id: str) -> Device:
        """One device, whatever became of it. Raises Fault not_found."""
        ...

    async def page(
        self, org_id: str, state: str | None, limit: int, cursor: str | None
    ) -> tuple[list[Device], str | None]:
        """A page, newest first. Raises Fault conflict for a cursor that is none."""
        ...

    async def revoke(self, act: Act, device_id: str) -> RawJson:
        """Shut it out for good; again changes nothing. Returns a DeviceResult. Raises Fault not_found."""
        ...

    async def rename(self, act: Act, device_id: str, name: str) -> RawJson:
        """Call it otherwise. Returns a DeviceResult. Raises Fault not_found, invalid_state, conflict (taken)."""
        ...

    async def declare(
        self, act: Act, device_id: str, commands: Sequence[DeviceCommand], client: str, platform: str
    ) -> None:
        """The device says what it can do and what it is."""
        ...

    async def rotate(self, act: Act, device_id: str, successor_id: str, public_key: str) -> KnownDevice:
        """Another key takes the place of a device's key. Raises Fault conflict when that key is known already."""
        ...

    async def seen(self, device_id: str, now_ms: int) -> None:
        """It is, or was, connected now."""
        ...


class InvocationStore(Protocol):
    """What devices were told to do. States go one way; only `unknown` gives way to what a device remembers."""

    async def request(self, act: Act, new: NewInvocation) -> InvocationRow:
        """Record what is about to be done, or find what was requested under the same claim.

        Raises Fault idempotency_conflict when that was something else.
        """
        ...

    async def claimed(self, claim: str) -> InvocationRow | None:
        """What was requested under a claim."""
        ...

    async def send(self, invocation_id: str, deadline_ms: int) -> bool:
        """It goes out now; False when it is over already."""
        ...

    async def settle(self, act: Act, invocation_id: str, outcome: InvocationOutcome) -> InvocationRow:
        """What came of it. An earlier outcome stands, unless it was `unknown`. Returns what is recorded."""
        ...

    async def of_device(self, device_id: str, since_ms: int, limit: int) -> list[InvocationRow]:
        """What was sent to a device and has no known outcome, the oldest first."""
        ...

    async def overdue(self, now_ms: int, limit: int) -> list[InvocationRow]:
        """Whose deadline is over and that nobody settled, the oldest first."""
        ...

    async def forget(self, before_ms: int, limit: int) -> int:
        """Drop those that ended before; return how many."""
        ...
