"""Commands of paired devices as tools: `device.NAME.COMMAND`, with the schema and the risk that the device declared.

A call is done once in the life of its run, whatever happens: the gateway's own record of invocations knows it by the
run and the call (`gateway/services/invocations.py`). A device that is not connected is waited for, as long as a step of
the agent may take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.agent_settings import ToolSettings
from gateway.agents.devices import DeviceCall, DeviceHands
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentFailure, Json
from gateway.agents.tools.port import Schema, ToolContext
from gateway.policy_settings import Risk
from gateway.rules.names import fits_any

DEVICE: Final = "device"
"""The first part of the names of all tools that are commands of devices."""
PATIENCE: Final = 0.9
"""As much of a step's time is given to the device: it ends before the step does, and says why."""


@dataclass(frozen=True, slots=True)
class DeviceTool:
    """`gateway.agents.tools.port.Tool`, carried out by a device."""

    name: str
    description: str
    parameters: Schema
    device_id: str
    command: str
    risk: Risk
    hands: DeviceHands
    agent_id: str
    timeout_s: float
    requires_approval: bool = False
    is_repeatable: bool = True
    """Asked twice, it is done once: the second call finds the first."""
    kind: Literal["device"] = "device"

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        return await self.hands.use(
            DeviceCall(
                context.org_id,
                self.agent_id,
                context.run_id,
                context.call_id,
                self.device_id,
                self.command,
                arguments,
                self.timeout_s,
            )
        )


class DeviceTools:
    """The commands of those devices that an agent's settings name."""

    def __init__(self, agent_id: str, names: tuple[str, ...], hands: DeviceHands, timeout_s: float) -> None:
        self.names = names
        self._agent_id = agent_id
        self._fits = fits_any(names)
        self._hands = hands
        self._timeout_s = timeout_s

    @classmethod
    def of(cls, settings: ToolSettings, parts: AgentParts) -> "DeviceTools":
        """What the settings say. Raises AgentFailure (`bad_configuration`) where there are no devices at all."""
        if parts.devices is None:
            raise AgentFailure("bad_configuration", f"Agent {settings.id}: there are no devices here")
        return cls(settings.id, settings.devices, parts.devices, settings.step_timeout_s * PATIENCE)

    async def offered(self, org_id: str) -> list[Json]:
        """A record of each command of the devices of an organization, for the journal."""
        return [
            {
                "name": f"{DEVICE}.{device.name}.{command.name}",
                "description": command.description,
                "parameters": command.params_schema,
                "device_id": device.id,
                "command": command.name,
                "risk": command.risk,
            }
            for device in await self._hands.active(org_id)
            if self._fits(device.name)
            for command in device.commands
        ]

    def recorded(self, record: Mapping[str, Any]) -> DeviceTool:
        """The tool of such a record."""
        return DeviceTool(**record, hands=self._hands, agent_id=self._agent_id, timeout_s=self._timeout_s)
