"""One run at one worker: what the worker says about it, checked, in order and bounded, until somebody reads it.

The connection's side puts in (`take`, `step`, `fail`), the agent's side takes out (`next`). Nothing here knows
sockets; which worker executes what is in `workers.py`.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeAlias

from gateway.agents.port import AgentBeat, AgentFailure, AgentOutput, AgentRewind, AgentText
from gateway.agents.worker_outputs import BadOutput, is_last, to_failure, to_output
from protocol import limits
from protocol.errors import ErrorKind, Fault
from protocol.methods import validated
from protocol.requests import RunStepParams, RunStepResult
from protocol.workers import RunOutput

WAITING_BYTES: Final = 4 * limits.MIB
"""What may wait unread of one run: far more than a store that stalls for seconds leaves of any model's answer."""
JOINED_CHARS: Final = 8 * limits.KIB
"""Pieces of text that wait are joined up to this length: one longer piece costs less than many short ones."""


class Over(Enum):
    """That was the whole answer."""

    OVER = auto()


@dataclass(frozen=True, slots=True)
class StepCall:
    """The worker wants a step journalled, and waits for the answer."""

    params: RunStepParams
    answer: "asyncio.Future[RunStepResult]"

    @property
    def is_vain(self) -> bool:
        """Whether it asks for leave that nobody waits for any more; what came of a step always counts."""
        return self.params.phase == "begin" and self.answer.done()

    def reply(self, result: RunStepResult) -> None:
        """Answer it."""
        if not self.answer.done():
            self.answer.set_result(result)

    def refuse(self, fault: Fault) -> None:
        """Answer with a refusal."""
        if not self.answer.done():
            self.answer.set_exception(fault)


Item: TypeAlias = AgentOutput | StepCall | AgentFailure | Over


class Execution:
    """One `run.execute`. `fence` tells it from every other one of the same run."""

    def __init__(self, run_id: str, fence: int, output_bytes: int) -> None:
        self.run_id = run_id
        self.fence = fence
        self.is_over = False
        """Whether nothing of it counts any more."""
        self.ended_itself = False
        """Whether the worker said so."""
        self._output_bytes = output_bytes
        self._bytes = 0
        self._waiting: deque[tuple[Item, int]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._index = 0
        self._chars = 0

    # --- the connection's side ----------------------------------------------------------------

    def take(self, params: Mapping[str, Any], size_bytes: int) -> None:
        """Take one `run.output` of so many bytes. What is wrong with it ends the execution, never the connection."""
        if self.is_over:
            return
        try:
            output = self._checked(params, size_bytes)
            if output is not None:
                self._put(self._read(output), size_bytes)
        except BadOutput as bad:
            self.fail(AgentFailure(bad.kind, str(bad)))

    async def step(self, params: RunStepParams) -> RunStepResult:
        """Have a step journalled by whoever reads. Raises Fault."""
        if self.is_over:
            raise not_here(self.run_id)
        call = StepCall(params, asyncio.get_running_loop().create_future())
        self._put(call, 0)
        return await call.answer

    def fail(self, failure: AgentFailure) -> None:
        """End it: nothing the worker says from now on counts. A step that did not begin yet never will."""
        if self.is_over:
            return
        for item, _ in self._waiting:
            if isinstance(item, StepCall) and item.params.phase == "begin":
                item.refuse(not_here(self.run_id))
        self._put(failure, 0)

    # --- the agent's side ---------------------------------------------------------------------

    async def next(self, until: float | None) -> Item | None:
        """The next thing the worker said; None when it said nothing until then (monotonic seconds)."""
        if not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        item, size_bytes = self._waiting.popleft()
        self._waiting_bytes -= size_bytes
        return item

    def close(self) -> None:
        """Nobody reads any more: who waits for a step is told so."""
        self.is_over = True
        for item, _ in self._waiting:
            if isinstance(item, StepCall):
                item.refuse(not_here(self.run_id))
        self._waiting.clear()

    # --- inside -------------------------------------------------------------------------------

    def _checked(self, params: Mapping[str, Any], size_bytes: int) -> RunOutput | None:
        """The output, if it is the next one; None for a repetition."""
        self._bytes += size_bytes
        if self._bytes > self._output_bytes:
            raise BadOutput(f"The agent sent more than {self._output_bytes} bytes", kind="too_large")
        try:
            output = validated(RunOutput, params)
        except Fault as fault:
            found = "; ".join(f"{at['path']}: {at['message']}" for at in fault.data["errors"])
            raise BadOutput(f"The agent process sent an output that does not fit: {found}") from None
        if output.index < self._index:
            return None
        if output.index > self._index:
            raise BadOutput(f"Output {self._index} of the agent process is missing, {output.index} came")
        self._index += 1
        return output

    def _read(self, wire: RunOutput) -> Item:
        if is_last(wire):
            self.ended_itself = True
            return to_failure(wire) if wire.type == "failed" else Over.OVER
        output = to_output(wire)
        if isinstance(output, AgentText):
            self._chars += len(output.text)
        elif isinstance(output, AgentRewind):
            if output.chars > self._chars:
                raise BadOutput(f"The agent process rewinds to {output.chars} of {self._chars} characters")
            self._chars = output.chars
        return output

    def _put(self, item: Item, size_bytes: int) -> None:
        if isinstance(item, AgentBeat) and self._waiting:
            return  # what waits is a sign of life too
        if self._waiting_bytes + size_bytes > WAITING_BYTES:
            raise BadOutput("The agent says more than can be taken in", kind="too_large")
        last, last_bytes = self._waiting[-1] if self._waiting else (None, 0)
        if (
            isinstance(item, AgentText)
            and isinstance(last, AgentText)
            and len(last.text) + len(item.text) <= JOINED_CHARS
        ):
            self._waiting[-1] = AgentText(last.text + item.text), last_bytes + size_bytes
        else:
            self._waiting.append((item, size_bytes))
        self._waiting_bytes += size_bytes
        self.is_over = isinstance(item, AgentFailure | Over)
        self._arrived.set()


def not_here(run_id: str) -> Fault:
    """What is said about a run that this connection does not execute."""
    return Fault(
        ErrorKind.NOT_FOUND,
        f"This connection does not execute the run {run_id}, or not any more",
        hint="Stop working on it: somebody else may have it",
    )
