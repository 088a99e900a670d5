"""The kill switch: an operator stops an agent, or all of them, at once and until it is switched on again.

What counts is the store's (`storage/switches.py`): it ends the runs and refuses what comes. What is kept here is a copy
for lists and for what chat people are told.
"""

from collections.abc import Mapping
from typing import Final

from gateway.agents.registry import Agents
from gateway.hub.hub import Hub
from gateway.services.composing import Composer
from protocol.errors import Fault, invalid_params
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import SwitchedOff
from protocol.usage import AgentSwitchParams
from storage.budget_ports import SwitchStore
from storage.budget_values import Switch
from storage.ports import ThreadStore
from storage.values import DEFAULT_ORG, Act, Notice

ALL: Final = "*"
"""In the place of an agent's id: all of them."""
TOLD_MAX: Final = 1_000
"""Runs whose rooms are told that they were ended; beyond it, a room sees no answer."""


class AgentSwitches:
    """Use cases of the switch."""

    def __init__(
        self, store: SwitchStore, threads: ThreadStore, agents: Agents, hub: Hub, composer: Composer
    ) -> None:
        self._store = store
        self._threads = threads
        self._agents = agents
        self._hub = hub
        self._composer = composer
        self._off: list[Switch] = []

    async def start(self) -> None:
        """Learn what is switched off."""
        self._off = await self._store.all()

    async def switch(self, act: Act, params: AgentSwitchParams) -> RawJson:
        """Switch an agent off or on; without an id all. Raises Fault: not_found, invalid_params without a reason."""
        agent_id = params.agent_id or ALL
        if not params.on and not params.reason.strip():
            raise invalid_params(
                [{"path": "reason", "message": "Say why: everybody who asks the agent is told"}]
            )
        if not params.on and agent_id != ALL:
            self._agents.get(agent_id)
        try:
            if params.on:
                return await self._store.on(act, agent_id)
            return await self._switch_off(act, agent_id, " ".join(params.reason.split()))
        finally:
            self._off = await self._store.all()

    def of(self, org_id: str, agent_id: str) -> SwitchedOff | None:
        """By whom an agent is switched off, and why."""
        for one in self._off:
            if one.org_id == org_id and one.agent_id in (ALL, agent_id):
                return SwitchedOff(
                    agent_id=one.agent_id, by=one.by, at=to_instant(one.at_ms), reason=one.reason
                )
        return None

    def refusals(self) -> Mapping[str, str]:
        """What chat people are told, by the id of the agent."""
        return {
            one.agent_id: f"{sentence(one.by, one.agent_id, one.reason)}. I did not take your message."
            for one in self._off
            if one.org_id == DEFAULT_ORG
        }

    async def _switch_off(self, act: Act, agent_id: str, reason: str) -> RawJson:
        why = sentence(act.actor.name, agent_id, reason)
        notices: dict[str, Notice] = {}
        told: set[str] = set()
        for run_id, thread_id in await self._store.unfinished(act.org_id, agent_id, TOLD_MAX):
            if thread_id in told:
                continue  # one notice for each room
            told.add(thread_id)
            try:
                origin = (await self._threads.get(act.org_id, thread_id)).origin
            except Fault:
                continue  # it was erased just now, and its runs with it
            said = self._hub.text_so_far(thread_id, run_id)
            notice = self._composer.switched_off(why, origin, said).notice
            if notice is not None:
                notices[run_id] = notice
        ending = self._composer.switched_off(why)
        return await self._store.off(act, agent_id, reason, ending, notices)


def sentence(by: str, agent_id: str, reason: str) -> str:
    """Who switched what off, and why."""
    what = "All agents are" if agent_id == ALL else f"The agent {agent_id} is"
    return f"{what} switched off by {by}: {reason}"
