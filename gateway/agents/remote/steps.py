"""The steps of a run that a worker executes: from its `run.step` requests to the run's journal."""

import asyncio

from gateway.agents.executions import StepCall
from gateway.agents.port import AgentFailure, Journal, Step
from gateway.agents.remote.record import INSIDE
from gateway.agents.worker_outputs import to_usage
from protocol.errors import ErrorKind, Fault
from protocol.requests import RunStepParams, RunStepResult


class Steps:
    """The steps of one execution. A step in the journal is named by its kind and the worker's key."""

    def __init__(self, journal: Journal, timeout_s: float) -> None:
        self._journal = journal
        self._timeout_s = timeout_s
        self._open: dict[str, tuple[float, str]] = {}

    @property
    def deadline(self) -> float | None:
        """When the oldest step that is under way has taken too long (monotonic seconds); None when there is none."""
        return min((until for until, _ in self._open.values()), default=None)

    def timed_out(self) -> AgentFailure:
        """What to raise at the deadline."""
        _, name = min(self._open.values())
        return AgentFailure("timeout", f"The step {name} took longer than {self._timeout_s:g} s", passes=True)

    async def serve(self, call: StepCall) -> None:
        """Journal what the worker asks for and answer it.

        Raises what ends the attempt, after telling the worker: AgentFailure, and what the journal raises.
        """
        if call.is_vain:
            return
        try:
            begins = call.params.phase == "begin"
            call.reply(await (self._begin(call.params) if begins else self._finish(call.params)))
        except Fault as fault:
            call.refuse(fault)
        except AgentFailure as failure:
            call.refuse(Fault(ErrorKind.INVALID_STATE, str(failure)))
            raise
        finally:  # the worker must not wait for an answer, whatever ended the attempt
            call.refuse(Fault(ErrorKind.INVALID_STATE, "The run does not go on here"))

    async def _begin(self, params: RunStepParams) -> RunStepResult:
        key = _key(params)
        if key in self._open:
            raise Fault(ErrorKind.INVALID_STATE, f"The step {params.key} is under way already")
        name = params.name or params.key
        step = Step(key, params.kind, name, params.request, repeatable=params.repeatable)
        recorded = await self._journal.begin(step)
        if recorded is not None:
            return RunStepResult(is_recorded=True, outcome=recorded.outcome, result=recorded.result)
        self._open[key] = asyncio.get_running_loop().time() + self._timeout_s, name
        return RunStepResult(is_recorded=False)

    async def _finish(self, params: RunStepParams) -> RunStepResult:
        key = _key(params)
        if key not in self._open:
            raise Fault(
                ErrorKind.INVALID_STATE,
                f"The step {params.key} is not under way",
                hint="Begin a step before it ends",
            )
        usage = to_usage(params.usage) if params.usage is not None else None
        del self._open[key]
        recorded = await self._journal.finish(key, params.result, outcome=params.outcome, usage=usage)
        return RunStepResult(is_recorded=True, outcome=recorded.outcome, result=recorded.result)


def _key(params: RunStepParams) -> str:
    return f"{INSIDE}/{params.kind}/{params.key}"
