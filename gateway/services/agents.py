"""The agents as operators and clients see them: what the configuration says, and how they fare."""

from collections.abc import Callable
from inspect import getdoc

from gateway.agent_settings import AgentSettings, ToolSettings
from gateway.agents.port import AgentAdapter
from gateway.agents.registry import Agents, problem_of
from gateway.rules.breaker import BreakerState
from gateway.services.releases import State
from protocol.records import Agent, SwitchedOff


class AgentsView:
    """Composes `protocol.records.Agent`. `workers` counts the connected processes of an agent of kind remote."""

    def __init__(
        self,
        agents: Agents,
        running: Callable[[str], int],
        breaker: Callable[[str], BreakerState],
        workers: Callable[[str], int | None],
        switched_off: Callable[[str, str], SwitchedOff | None] = lambda org_id, agent_id: None,
        state_of: Callable[[AgentSettings], State] = lambda settings: settings.state,
    ) -> None:
        self._agents = agents
        self._running = running
        self._breaker = breaker
        self._workers = workers
        self._switched_off = switched_off
        self._state_of = state_of

    @property
    def default_id(self) -> str:
        """The agent of threads that name none, as it is now."""
        return self._agents.default_id

    def all(self, org_id: str) -> list[Agent]:
        """All of them, in the order of the configuration, as an organization sees them."""
        return [self._record(org_id, agent) for agent in self._agents.all()]

    def get(self, org_id: str, agent_id: str) -> Agent:
        """One. Raises Fault not_found."""
        return self._record(org_id, self._agents.get(agent_id))

    def _record(self, org_id: str, agent: AgentAdapter) -> Agent:
        settings = agent.settings
        return Agent(
            id=settings.id,
            name=settings.name or settings.id,
            kind=settings.kind,
            state=self._state_of(settings),
            description=settings.description or getdoc(type(settings)) or "",
            version=settings.version,
            tools=_tools(settings),
            scopes=[scope.value for scope in settings.scopes],
            fallback=settings.fallback,
            breaker=self._breaker(settings.id).value,
            running=self._running(settings.id),
            concurrent=settings.concurrent or None,
            workers=self._workers(settings.id),
            problem=problem_of(agent),
            switched_off=self._switched_off(org_id, settings.id),
        )


def _tools(settings: AgentSettings) -> list[str]:
    """The tools it may use, as the configuration names them; which ones a server has is known when it is asked."""
    if not isinstance(settings, ToolSettings):
        return []
    return [*settings.tools, *(f"{server.name}.*" for server in settings.mcp)]
