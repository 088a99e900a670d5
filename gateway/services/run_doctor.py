"""The invariant check of runs: none is without a reason to be where it is. For operators, and a metric.

What a cause means is decided in `gateway/rules/diagnosis.py`; here the rows and what the process knows are put
together, and it is remembered since when something looks wrong. It mends nothing: that is the scheduler's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from gateway.agents.registry import Agents, problem_of
from gateway.clock import Clock
from gateway.metrics import Sample
from gateway.rules.breaker import BreakerState
from gateway.rules.diagnosis import SUSPICIOUS, AgentStanding, Cause, Present, diagnose, finding
from protocol.records import RunFinding
from protocol.requests import RunDiagnoseResult
from storage.errors import StoreUnavailable
from storage.run_ports import RunStore
from storage.run_values import RunProgress

log = structlog.get_logger()

CHECK_S: Final = 30.0
"""How often runs are looked at: a stuck one is certain after a minute."""
CHECKED_MAX: Final = 1000
"""Runs of one check, the oldest first: what is stuck is soon among them."""
TOLD_MAX: Final = 200
"""Findings of one answer."""


class TurnsHere(Protocol):
    """What the scheduler knows."""

    @property
    def has_room(self) -> bool:
        """Whether another turn may begin now."""
        ...

    @property
    def held_up(self) -> frozenset[str]:
        """Threads whose next run waits for a place of a budget."""
        ...

    def running(self, agent_id: str) -> int:
        """Turns of an agent."""
        ...

    def is_driven(self, run_id: str) -> bool:
        """Whether a run has a turn here."""
        ...


@dataclass(slots=True)
class RunDoctor:
    """`silent_s` tells the seconds since a run's agent gave a sign of life, None between attempts."""

    runs: RunStore
    agents: Agents
    turns: TurnsHere
    silent_s: Callable[[str], float | None]
    breaker: Callable[[str], BreakerState]
    owner: str
    clock: Clock
    organizations: Callable[[], Awaitable[list[str]]]
    stuck: int = 0
    _suspicions: dict[tuple[str, Cause], int] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _task: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._keep_checking(), name="run doctor")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def diagnose(self, org_id: str, run_id: str | None) -> RunDiagnoseResult:
        """Why unfinished runs are where they are; of one run, when it is given. Raises Fault not_found."""
        rows = await self.runs.progress(org_id, run_id, TOLD_MAX + 1)
        findings = self._look_at(rows)
        findings.sort(key=lambda one: not one.is_stuck)  # otherwise as they came: the oldest first
        return RunDiagnoseResult(findings=findings[:TOLD_MAX], more=len(rows) > TOLD_MAX)

    async def check(self) -> None:
        """Look at all of them, in every organization, count what is stuck, and say once what it is."""
        rows = []
        for org_id in await self.organizations():
            rows += await self.runs.progress(org_id, None, CHECKED_MAX)
        findings = self._look_at(rows)
        seen = {run.run_id for run in rows}
        self._suspicions = {key: at for key, at in self._suspicions.items() if key[0] in seen}
        stuck = [one for one in findings if one.is_stuck]
        for one in stuck:
            if one.run_id not in self._told:
                log.error(
                    "a run is stuck",
                    action="run_stuck",
                    run_id=one.run_id,
                    thread_id=one.thread_id,
                    agent_id=one.agent_id,
                    state=one.state.value,
                    reason=one.reason,
                )
        self._told = {one.run_id for one in stuck}
        self.stuck = len(stuck)

    def samples(self) -> Iterable[Sample]:
        """For /metrics."""
        yield (
            "threadgate_runs_stuck",
            "Unfinished runs that nothing moves (threadgate runs doctor)",
            self.stuck,
            {},
        )

    # --- parts --------------------------------------------------------------------------------

    def _look_at(self, rows: Sequence[RunProgress]) -> list[RunFinding]:
        present = self._present(rows)
        findings = []
        for run in rows:
            diagnosis = diagnose(run, present)
            self._remember(run.run_id, diagnosis.cause, present.now_ms)
            findings.append(finding(run, diagnosis, self._suspicions, present.now_ms))
        return findings

    def _remember(self, run_id: str, cause: Cause, now_ms: int) -> None:
        """A suspicion begins when it is first seen, and is over when anything else is."""
        for other in SUSPICIOUS - {cause}:
            self._suspicions.pop((run_id, other), None)
        if cause in SUSPICIOUS:
            self._suspicions.setdefault((run_id, cause), now_ms)

    def _present(self, rows: Sequence[RunProgress]) -> Present:
        return Present(
            owner=self.owner,
            now_ms=self.clock.now_ms(),
            has_room=self.turns.has_room,
            driven={
                run.run_id: self.silent_s(run.run_id) for run in rows if self.turns.is_driven(run.run_id)
            },
            held_up=self.turns.held_up,
            agents={agent.settings.id: self._standing(agent.settings.id) for agent in self.agents.all()},
        )

    def _standing(self, agent_id: str) -> AgentStanding:
        agent = self.agents.get(agent_id)
        settings = agent.settings
        return AgentStanding(
            is_suspended=settings.state == "suspended",
            is_full=0 < settings.concurrent <= self.turns.running(agent_id),
            is_breaker_open=self.breaker(agent_id) is not BreakerState.CLOSED,
            problem=problem_of(agent),
            silence_s=settings.silence_s,
        )

    async def _keep_checking(self) -> None:
        while True:
            try:
                await self.check()
            except StoreUnavailable as error:
                log.warning("runs were not checked", action="run_check_failed", error=str(error))
            await asyncio.sleep(CHECK_S)
