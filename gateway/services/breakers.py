"""The circuit breakers of agents: one that failed too often in a row is left alone for a while.

A failure is one that may pass (it cannot be reached, it does not answer in time); an agent that answers, and be it
with a refusal, is there. The decisions are those of `gateway/rules/breaker.py`, with runs in the place of rooms.
"""

from collections.abc import Iterable
from typing import Final

from gateway.clock import Clock
from gateway.rules.breaker import Breaker, BreakerState

PROBE_S: Final = 5.0
"""While one run tries whether an agent is back, the others are told to come again after this."""


class AgentBreakers:
    """By agent id. Not durable: a restarted gateway tries everybody again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def state(self, agent_id: str) -> BreakerState:
        """As it is listed."""
        return self._of(agent_id).state

    def admit(self, agent_id: str) -> float:
        """0 when a run may try the agent (after a pause, it is the probe); else seconds until one may."""
        now, breaker = self._clock.monotonic(), self._of(agent_id)
        if breaker.state is BreakerState.HALF_OPEN:
            return PROBE_S
        self._breakers[agent_id] = breaker.tried(now)
        return breaker.wait_s(now)

    def answered(self, agent_id: str) -> None:
        """It is there."""
        self._breakers[agent_id] = self._probed(agent_id, is_answered=True).answered()

    def failed(self, agent_id: str, run_id: str) -> None:
        """It is not, or not as it should be."""
        breaker = self._of(agent_id)
        if breaker.state is BreakerState.HALF_OPEN:
            self._breakers[agent_id] = self._probed(agent_id, is_answered=False)
        else:
            self._breakers[agent_id] = breaker.failed(run_id, self._clock.monotonic(), self._clock.chance())

    def given_up(self, agent_id: str) -> None:
        """A run ended without saying anything about the agent (it was cancelled): a probe is as good as not made."""
        if self._of(agent_id).state is BreakerState.HALF_OPEN:
            self._breakers[agent_id] = Breaker(BreakerState.OPEN, openings=self._of(agent_id).openings)

    def forget(self, agent_ids: Iterable[str]) -> None:
        """These are other agents now, or gone: what was known of them says nothing any more."""
        for agent_id in agent_ids:
            self._breakers.pop(agent_id, None)

    def _probed(self, agent_id: str, *, is_answered: bool) -> Breaker:
        now = self._clock.monotonic()
        return self._of(agent_id).probed(now, self._clock.chance(), is_answered=is_answered)

    def _of(self, agent_id: str) -> Breaker:
        return self._breakers.get(agent_id, Breaker())
