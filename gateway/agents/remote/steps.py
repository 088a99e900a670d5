"""The steps of a run that a worker executes: from its `run.step` requests to the run's journal."""

import asyncio
from dataclasses import dataclass
from typing import Final

from gateway.agents.executions import StepCall
from gateway.agents.leave import SHOWN_CHARS, asked_under, decision_on, denial, fenced, is_settled
from gateway.agents.port import AgentAsk, AgentFailure, RunContext, Step
from gateway.agents.remote.record import INSIDE
from gateway.agents.worker_outputs import to_usage
from gateway.rules.names import Fits
from gateway.rules.policy import Verdict
from protocol import limits
from protocol.errors import ErrorKind, Fault
from protocol.requests import RunStepParams, RunStepResult

ASKED_FIRST: Final = "A person has to allow this first: the run goes on when somebody has"


class NeedsLeave(Exception):
    """A step that a person has to allow first: the attempt is over, and `ask` is what they are asked."""

    def __init__(self, ask: AgentAsk) -> None:
        super().__init__(ask.title)
        self.ask = ask


@dataclass(frozen=True, slots=True)
class _Leave:
    """What is said of a step: `refusal` is why it is not done, `approval_id` the leave that it uses up."""

    verdict: Verdict | None = None
    refusal: str | None = None
    approval_id: str | None = None


class Steps:
    """The steps of one execution. A step in the journal is named by its kind and the worker's key.

    The worker's tools are its own: `knows` says which of them are known here, by its agent's settings.
    """

    def __init__(self, context: RunContext, timeout_s: float, knows: Fits) -> None:
        self._context = context
        self._journal = context.journal
        self._timeout_s = timeout_s
        self._knows = knows
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

        Raises what ends the attempt, after telling the worker: AgentFailure, NeedsLeave, and what the journal raises.
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
        except NeedsLeave:
            call.refuse(Fault(ErrorKind.INVALID_STATE, ASKED_FIRST))
            raise
        finally:  # the worker must not wait for an answer, whatever ended the attempt
            call.refuse(Fault(ErrorKind.INVALID_STATE, "The run does not go on here"))

    async def _begin(self, params: RunStepParams) -> RunStepResult:
        key = _key(params)
        if key in self._open:
            raise Fault(ErrorKind.INVALID_STATE, f"The step {params.key} is under way already")
        name = params.name or params.key
        leave = self._judge(params, key, name) if params.kind == "tool" else _Leave()
        recorded = await self._journal.begin(
            Step(
                key,
                params.kind,
                name,
                params.request,
                params.repeatable or leave.refusal is not None,
                leave.verdict,
                leave.approval_id,
            )
        )
        if recorded is None and leave.refusal is not None:
            recorded = await self._journal.finish(key, {"error": leave.refusal}, outcome="error")
        if recorded is not None:
            return RunStepResult(is_recorded=True, outcome=recorded.outcome, result=recorded.result)
        self._open[key] = asyncio.get_running_loop().time() + self._timeout_s, name
        return RunStepResult(is_recorded=False)

    def _judge(self, params: RunStepParams, key: str, name: str) -> _Leave:
        """What the policies and people say of a tool step. Raises NeedsLeave."""
        if self._journal.is_closed(key):
            return _Leave()
        verdict = self._context.guard("tool", name, "medium", self._knows(name), False)
        if verdict.effect == "deny":
            return _Leave(verdict, f"{name} must not be used here: {verdict.reason}")
        ask = _ask_for(params, name, verdict)
        decided = decision_on(ask, self._context.decisions)
        if decided is not None and not decided.approved:
            return _Leave(verdict, denial("The call", decided))
        if verdict.effect == "require_approval" and not is_settled(ask, decided):
            if len(ask.body) > SHOWN_CHARS:
                return _Leave(
                    verdict, "The request is too large to be shown to the person who must approve it."
                )
            raise NeedsLeave(ask)
        return _Leave(verdict, None, decided.approval_id if decided is not None else None)

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


def _ask_for(params: RunStepParams, name: str, verdict: Verdict) -> AgentAsk:
    """The question whether a worker may do this. Nobody may edit it: the request is the worker's own."""
    ask = AgentAsk(
        key=f"leave/{params.key}",
        title=f"Use the tool {name}"[: limits.TITLE_CHARS],
        body=f"The agent wants to use `{name}` with exactly this request:\n\n{fenced(params.request)}",
        subject={"tool": name, "request": params.request},
        name=name,
    )
    return asked_under(ask, verdict)


def _key(params: RunStepParams) -> str:
    return f"{INSIDE}/{params.kind}/{params.key}"
