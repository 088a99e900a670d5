"""Handlers of usage, budgets and the switch of agents."""

from gateway.edge.dispatch import Call
from gateway.services.switches import AgentSwitches
from gateway.services.usage import UsageView
from protocol import usage as wire
from protocol.frames import Result


class Budgeting:
    """What is spent, and stopping it."""

    def __init__(self, usage: UsageView, switches: AgentSwitches) -> None:
        self._usage = usage
        self._switches = switches

    async def usage_get(self, call: Call, params: wire.UsageGetParams) -> Result:
        return await self._usage.get(call.act.org_id, params)

    async def agent_switch(self, call: Call, params: wire.AgentSwitchParams) -> Result:
        return await self._switches.switch(call.act, params)
