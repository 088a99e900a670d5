"""An agent whose answers come from connected processes: it finds a worker for a run and passes on what that one says.

Theory of operation. One attempt is one `run.execute` at one worker. A worker that does not take it is skipped; one
that is lost in the middle ends the attempt with a failure that passes, and the next attempt, at another worker, is the
hand-over. So text begins anew, and steps do not: the journal has them, and what was under way in a lost worker is
settled with a person before there is a next attempt. Steps are journalled here, in the order in which the worker said
them and its text, by the task that reads both.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final

from gateway.agent_settings import AgentSettings, RemoteSettings
from gateway.agents.executions import Execution, Over, StepCall
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentBeat, AgentFacts, AgentFailure, AgentOutput, Recovery, RunContext
from gateway.agents.remote.record import recorded_once
from gateway.agents.remote.request import execute_params
from gateway.agents.remote.steps import NeedsLeave, Steps
from gateway.agents.workers import Place, Worker, WorkerPool, WorkerRefused
from gateway.rules.names import fits_any

TAKE_TIMEOUT_S: Final = 10.0
"""Time a worker gets to say that it takes a run: it only has to note it."""
BEAT_S: Final = 15.0
"""How often a run that waits for a worker says so, and an agent process at the latest that it is at work."""
BEATS_PER_SILENCE: Final = 3.0
"""Signs of life that fit into the silence an agent may keep: two may get lost on the way."""


def create(settings: RemoteSettings, parts: AgentParts) -> "RemoteAgent":
    """An agent of kind remote."""
    return RemoteAgent(settings, parts.workers)


class RemoteAgent:
    """`gateway.agents.port.AgentAdapter` for kind="remote"."""

    recovery: Recovery = "resume"
    is_steerable = False

    def __init__(self, settings: RemoteSettings, workers: WorkerPool) -> None:
        self._settings = settings
        self._workers = workers
        self._knows = fits_any(settings.own_tools)
        self._beat_s = min(BEAT_S, settings.silence_s / BEATS_PER_SILENCE)
        self._is_open = False

    @property
    def settings(self) -> AgentSettings:
        """What the configuration says of it."""
        return self._settings

    async def start(self) -> None:
        """Let processes connect."""
        if not self._is_open:
            self._is_open = True
            self._workers.open(self._settings.id, self._settings.sticky_s)

    async def stop(self) -> None:
        """Send them away."""
        if self._is_open:
            self._is_open = False
            self._workers.close(self._settings.id)

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        async with aclosing(self._ask_workers(context)) as outputs:
            async for output in recorded_once(context, self._settings.id, outputs):
                yield output

    async def _ask_workers(self, context: RunContext) -> AsyncGenerator[AgentOutput, None]:
        place = self._workers.line(context.org_id, self._settings.id, context.thread_id)
        worker: Worker | None = None
        execution: Execution | None = None
        try:
            lonely_since = asyncio.get_running_loop().time()
            while execution is None:
                worker = await place.worker(self._patience_s(place, lonely_since))
                if worker is not None:
                    execution = await self._offer(worker, place, context)
                    continue
                if place.has_hope:
                    lonely_since = asyncio.get_running_loop().time()
                else:
                    self._check_patience(place, lonely_since)
                yield AgentBeat()
            assert worker is not None, "who took it"
            yield AgentFacts({"worker": {"id": worker.id, "name": worker.connection.name}})
            async for output in self._outputs(execution, context):
                yield output
        finally:
            if worker is not None and execution is not None:
                worker.end(execution, "the gateway does not need it any more")
            place.leave()

    # --- finding a worker ---------------------------------------------------------------------

    def _patience_s(self, place: Place, lonely_since: float) -> float:
        """How long to wait before there is something to say."""
        if place.has_hope:
            return self._beat_s
        left_s = lonely_since + self._settings.worker_wait_s - asyncio.get_running_loop().time()
        return max(0.0, min(self._beat_s, left_s))

    def _check_patience(self, place: Place, lonely_since: float) -> None:
        """Raise AgentFailure when there was nobody for too long. Waiting for busy workers is no reason to fail."""
        if asyncio.get_running_loop().time() < lonely_since + self._settings.worker_wait_s:
            return
        name, wait_s = self._settings.id, self._settings.worker_wait_s
        if place.refusals:
            reason = f"None of the connected processes of the agent {name} takes the run"
        else:
            reason = f"No process of the agent {name} was connected for {wait_s:g} s"
        raise AgentFailure("agent_unavailable", reason, passes=True)

    async def _offer(self, worker: Worker, place: Place, context: RunContext) -> Execution | None:
        """Ask a worker to execute the run; None when it does not take it."""
        fence = self._workers.next_fence(context.now_ms())
        params = await execute_params(self._settings, context, fence, self._beat_s)
        execution = Execution(context.run_id, fence, self._settings.output_bytes)
        worker.begin(execution)
        is_taken = False
        try:
            await worker.connection.request("run.execute", params, TAKE_TIMEOUT_S)
            is_taken = True
            return execution
        except WorkerRefused as refusal:
            place.refused(refusal.kind)
            return None
        finally:
            if not is_taken:
                worker.end(execution, "it was not taken in time")

    # --- the answer ---------------------------------------------------------------------------

    async def _outputs(self, execution: Execution, context: RunContext) -> AsyncIterator[AgentOutput]:
        steps = Steps(context, self._settings.step_timeout_s, self._knows)
        while True:
            item = await execution.next(steps.deadline)
            match item:
                case None:
                    raise steps.timed_out()
                case Over.OVER:
                    return
                case AgentFailure():
                    raise item
                case StepCall():
                    try:
                        await steps.serve(item)
                    except NeedsLeave as needs:
                        yield needs.ask
                        return
                case _:
                    yield item
