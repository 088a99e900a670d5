"""The pool of workers: connected agent processes, per organization and agent, and the runs that wait for one.

A process executes runs of the organization of its token alone: what is said in another one is none of its business.

Which run goes where is decided in `worker_choice.py`; here are the connections and those who wait.
What a worker says about one run is in `executions.py`, how its connection is read and written in
`gateway/edge/workers.py`.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Protocol

import structlog

from gateway.agents.executions import Execution, not_here
from gateway.agents.port import AgentFailure
from gateway.agents.worker_choice import Roster
from protocol.errors import ErrorKind, Fault
from protocol.records import Record
from protocol.workers import RunCancelNotice

log = structlog.get_logger()

REST_S: Final = 30.0
"""A worker that did not take a run in time gets no other for so long: its process hangs, or is very busy."""


class WorkerRefused(Exception):
    """A worker did not take what it was asked to.

    `kind` is that of its error, or `timeout`, `gone`, or `stalled`: it reads too slowly.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WorkerConnection(Protocol):
    """A worker's end of a connection. Nothing here blocks or raises but what it says."""

    @property
    def id(self) -> str:
        """Unique among all connections."""
        ...

    @property
    def name(self) -> str:
        """What the process calls itself; decoration."""
        ...

    async def request(self, method: str, params: Record, timeout_s: float) -> Mapping[str, Any]:
        """Ask the process. Raises WorkerRefused."""
        ...

    def notify(self, method: str, params: Record) -> None:
        """Tell the process; nothing happens when it is gone."""
        ...

    def dismiss(self, reason: str) -> None:
        """End the connection: there is nothing to do for it any more."""
        ...


class Worker:
    """One connected agent process and what it executes."""

    def __init__(self, org_id: str, agent_id: str, connection: WorkerConnection) -> None:
        self.org_id = org_id
        self.agent_id = agent_id
        self.connection = connection
        self.executions: dict[str, Execution] = {}

    @property
    def id(self) -> str:
        """That of its connection."""
        return self.connection.id

    def begin(self, execution: Execution) -> None:
        """What this process says about this run from now on belongs to this execution."""
        self.executions[execution.run_id] = execution

    def end(self, execution: Execution, reason: str) -> None:
        """Nothing more is wanted of it; the process is told so unless it was done by itself."""
        execution.close()
        if self.executions.get(execution.run_id) is execution:
            del self.executions[execution.run_id]
        if not execution.ended_itself:
            notice = RunCancelNotice(run_id=execution.run_id, fence=execution.fence, reason=reason)
            self.connection.notify("run.cancel", notice)

    def take_output(self, params: Mapping[str, Any], size_bytes: int) -> None:
        """Take a `run.output`; one of a run or a fence that is not executed here any more is dropped."""
        execution = self.executions.get(str(params.get("run_id")))
        if execution is None or execution.fence != params.get("fence") or execution.is_over:
            return
        execution.take(params, size_bytes)

    def execution(self, run_id: str, fence: int) -> Execution:
        """What this process executes at that fence. Raises Fault not_found."""
        execution = self.executions.get(run_id)
        if execution is None or execution.fence != fence:
            raise not_here(run_id)
        return execution


@dataclass(slots=True)
class _Crew:
    """The workers of one agent in one organization."""

    roster: Roster
    workers: dict[str, Worker] = field(default_factory=dict)
    waiting: dict[int, "asyncio.Future[Worker]"] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Served:
    """An agent that processes may serve. `users` counts the agents that were made with that id and not stopped yet."""

    sticky_s: float
    users: int = 1
    crews: dict[str, _Crew] = field(default_factory=dict)

    def crew(self, org_id: str) -> _Crew:
        """The workers of an organization, made when the first is needed."""
        found = self.crews.get(org_id)
        if found is None:
            found = self.crews[org_id] = _Crew(Roster(self.sticky_s))
        return found


class WorkerPool:
    """All workers of all agents of kind remote."""

    def __init__(self) -> None:
        self._served: dict[str, _Served] = {}
        self._tickets = itertools.count(1)
        self._fence = 0

    def open(self, agent_id: str, sticky_s: float) -> None:
        """Processes may serve this agent from now on."""
        served = self._served.get(agent_id)
        if served is None:
            self._served[agent_id] = _Served(sticky_s)
            return
        served.users += 1  # the configuration was read again: its workers stay
        served.sticky_s = sticky_s
        for crew in served.crews.values():
            crew.roster.sticky_s = sticky_s

    def close(self, agent_id: str) -> None:
        """Nobody needs the agent's workers any more: they are sent away."""
        served = self._served.get(agent_id)
        if served is None:
            return
        served.users -= 1
        if served.users == 0:
            del self._served[agent_id]
            for crew in served.crews.values():
                _disband(crew, agent_id)

    def check(self, agent_id: str) -> None:
        """Raise Fault forbidden unless processes may serve this agent."""
        if agent_id not in self._served:
            raise Fault(
                ErrorKind.FORBIDDEN,
                f"No agent {agent_id} of kind remote is configured here",
                hint='Add [[agents]] with this id and kind = "remote"',
            )

    def join(self, org_id: str, agent_id: str, connection: WorkerConnection, concurrent: int) -> Worker:
        """A process serves an agent in an organization. Raises Fault forbidden."""
        self.check(agent_id)
        crew = self._served[agent_id].crew(org_id)
        worker = Worker(org_id, agent_id, connection)
        crew.workers[worker.id] = worker
        crew.roster.join(worker.id, concurrent)
        log.info(
            "a worker joined", action="worker_joined", agent=agent_id, worker=worker.id, concurrent=concurrent
        )
        self._assign(crew)
        return worker

    def leave(self, worker: Worker) -> None:
        """The process is gone; what it executed goes on elsewhere."""
        served = self._served.get(worker.agent_id)
        crew = served.crews.get(worker.org_id) if served is not None else None
        if crew is not None and crew.workers.pop(worker.id, None) is not None:
            crew.roster.leave(worker.id)
        log.info(
            "a worker left",
            action="worker_left",
            agent=worker.agent_id,
            worker=worker.id,
            runs=len(worker.executions),
        )
        _lose(worker, "The agent process that answered is gone")

    def count(self, agent_id: str) -> int | None:
        """Connected processes of an agent; None for one that is not answered by processes."""
        served = self._served.get(agent_id)
        return sum(len(crew.workers) for crew in served.crews.values()) if served is not None else None

    def next_fence(self, now_ms: int) -> int:
        """Larger than every other one, of this process and (as far as clocks can be trusted) of earlier ones."""
        self._fence = max(self._fence + 1, now_ms)
        return self._fence

    def line(self, org_id: str, agent_id: str, thread_id: str) -> "Place":
        """Stand in line for a worker of an organization. Raises AgentFailure when the agent was taken away."""
        served = self._served.get(agent_id)
        if served is None:
            raise AgentFailure("agent_unavailable", f"The agent {agent_id} is not served any more")
        return Place(self, served.crew(org_id), next(self._tickets), thread_id)

    def _assign(self, crew: _Crew) -> None:
        now = asyncio.get_running_loop().time()
        for ticket, worker_id in crew.roster.assign(now):
            crew.waiting.pop(ticket).set_result(crew.workers[worker_id])
        if crew.timer is not None:
            crew.timer.cancel()
            crew.timer = None
        at = crew.roster.next_change(now)
        if at is not None:
            crew.timer = asyncio.get_running_loop().call_at(at, self._assign, crew)


class Place:
    """A run's place in the line of its agent, and then its worker. `leave` it in the end."""

    def __init__(self, pool: WorkerPool, crew: _Crew, ticket: int, thread_id: str) -> None:
        self._pool = pool
        self._crew = crew
        self._ticket = ticket
        self._thread_id = thread_id
        self._refused: frozenset[str] = frozenset()
        self._worker: asyncio.Future[Worker]
        self._stand()

    @property
    def has_hope(self) -> bool:
        """Whether one of the connected workers can serve this run sooner or later."""
        return self._crew.roster.has_hope(self._refused)

    @property
    def refusals(self) -> int:
        """How many workers did not take it."""
        return len(self._refused)

    async def worker(self, timeout_s: float) -> Worker | None:
        """The worker this run got; None when it still waits after so long."""
        await asyncio.wait((self._worker,), timeout=timeout_s)
        return self._worker.result() if self._worker.done() else None

    def refused(self, kind: str) -> None:
        """The worker did not take it: go back in line, for another one.

        One that is `unavailable` takes no more runs on this connection, one that did not answer rests for a while.
        """
        worker_id = self._worker.result().id
        if kind in ("unavailable", "timeout", "stalled"):
            rest_s = inf if kind == "unavailable" else REST_S
            self._crew.roster.rest(worker_id, asyncio.get_running_loop().time() + rest_s)
        self._release()
        self._refused |= {worker_id}
        self._stand()

    def leave(self) -> None:
        """Out of the line, or away from the worker, who has room for the next one."""
        if self._worker.done():
            self._release()
        else:
            self._crew.roster.withdraw(self._ticket)
            self._crew.waiting.pop(self._ticket, None)
        self._pool._assign(self._crew)

    def _stand(self) -> None:
        self._worker = asyncio.get_running_loop().create_future()
        self._crew.waiting[self._ticket] = self._worker
        self._crew.roster.wait(self._ticket, self._thread_id, self._refused)
        self._pool._assign(self._crew)

    def _release(self) -> None:
        now = asyncio.get_running_loop().time()
        self._crew.roster.release(self._worker.result().id, self._thread_id, now)


def _disband(crew: _Crew, agent_id: str) -> None:
    if crew.timer is not None:
        crew.timer.cancel()
    for worker in tuple(crew.workers.values()):
        crew.roster.leave(worker.id)
        _lose(worker, "The agent is not served here any more")
        worker.connection.dismiss(f"the agent {agent_id} is not served here any more")


def _lose(worker: Worker, reason: str) -> None:
    for execution in tuple(worker.executions.values()):
        lost = AgentFailure("worker_lost", reason, passes=True, retry_after_s=0.0, is_agents_fault=False)
        execution.fail(lost)
