"""The device port: what agents may know of devices, and how they have them do something.

The use cases are in `gateway/services/invocations.py`, which are given to agents at start.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.agents.port import Json
from storage.device_values import KnownDevice


@dataclass(frozen=True, slots=True)
class DeviceCall:
    """A command that a run wants done, once: `key` is the same in every attempt of the run."""

    org_id: str
    agent_id: str
    run_id: str
    key: str
    device_id: str
    command: str
    params: dict[str, Json]
    timeout_s: float


class DeviceHands(Protocol):
    """What devices do for agents."""

    async def active(self, org_id: str) -> list[KnownDevice]:
        """The paired devices of an organization, connected or not."""
        ...

    async def use(self, call: DeviceCall) -> Json:
        """Have a device do something; waits for one that is not connected. What it gave.

        Raises StepFailed with a text for the agent, OutcomeUnknown when it may have been done all the same.
        """
        ...
