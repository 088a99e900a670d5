"""From the configuration to agents: kind → class, in one table."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.agents.demo import DemoAgent
from gateway.agents.port import AgentAdapter
from gateway.settings import AgentSettings
from protocol.errors import ErrorKind, Fault
from protocol.records import Agent


def _demo(settings: AgentSettings, record: Agent) -> AgentAdapter:
    return DemoAgent(record, retries_interrupted=settings.retry_interrupted)


_KINDS: Final[Mapping[str, Callable[[AgentSettings, Agent], AgentAdapter]]] = {"demo": _demo}
_DESCRIPTIONS: Final = {"demo": "Answers without any network; for trying things out and for tests."}


class Agents:
    """The agents of the configuration, by id."""

    def __init__(self, settings: Iterable[AgentSettings], default_id: str) -> None:
        self.default_id = default_id
        self._agents = {agent.id: _make(agent) for agent in settings}

    def get(self, agent_id: str) -> AgentAdapter:
        """One agent. Raises Fault not_found."""
        agent = self._agents.get(agent_id)
        if agent is None:
            raise Fault(
                ErrorKind.NOT_FOUND, f"There is no agent {agent_id!r}", hint="agent.list shows what there is"
            )
        return agent

    def records(self) -> list[Agent]:
        """All of them, in the order of the configuration."""
        return [agent.record for agent in self._agents.values()]


def _make(settings: AgentSettings) -> AgentAdapter:
    record = Agent(
        id=settings.id,
        name=settings.name or settings.id,
        kind=settings.kind,
        state="released",
        description=settings.description or _DESCRIPTIONS[settings.kind],
    )
    return _KINDS[settings.kind](settings, record)
