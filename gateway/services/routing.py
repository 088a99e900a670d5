"""Routes at work: the rules as they are now, asked by intake and by conversations.

The rules are replaced when the configuration is read again; how one is chosen is in `gateway/rules/routing.py`.
"""

from collections.abc import Callable, Sequence

from gateway.agent_settings import AgentSettings, RouteSettings
from gateway.agents.registry import Agents
from gateway.rules.routing import Arrival, Choice, choose, compiled
from protocol.records import Route
from protocol.requests import RouteExplainParams


class Routing:
    """Chooses agents. Holds the rules; `state_of` says which agents are released."""

    def __init__(
        self,
        routes: Sequence[RouteSettings],
        default_agent_id: str,
        agents: Agents,
        state_of: Callable[[AgentSettings], str] = lambda settings: settings.state,
    ) -> None:
        self._agents = agents
        self._state_of = state_of
        self.replace(routes, default_agent_id)

    def replace(self, routes: Sequence[RouteSettings], default_agent_id: str) -> None:
        """Use these from now on."""
        self._rules = compiled(routes)
        self._default_agent_id = default_agent_id

    def choose(self, arrival: Arrival) -> Choice:
        """Who answers a message."""
        unreleased = {
            agent.settings.id: state
            for agent in self._agents.all()
            if (state := self._state_of(agent.settings)) != "released"
        }
        return choose(self._rules, arrival, self._default_agent_id, unreleased)

    def explain(self, asked: RouteExplainParams) -> Route:
        """Who would answer, and why."""
        choice = self.choose(
            Arrival(asked.channel, asked.account, asked.room, is_mention=asked.mention, text=asked.text)
        )
        return Route(
            agent_id=choice.agent_id, rule=choice.rule, text=choice.text, reasons=list(choice.reasons)
        )
