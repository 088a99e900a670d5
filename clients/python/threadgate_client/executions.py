"""The runs an agent process executes: each in a task of its own, from `run.execute` to its last output.

What a handler can do with its run is in `agent_run.py`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from threadgate_client import limits
from threadgate_client.agent_run import AgentRun, Parked
from threadgate_client.engine import Engine
from threadgate_client.errors import AgentError, ProtocolViolation
from threadgate_client.fields import Fields
from threadgate_client.outputs import Asked, Lost, Served, Told

Handler = Callable[[AgentRun], AsyncGenerator[str, None] | Awaitable[str | None]]
"""What answers a run: an async generator of pieces of text, or a coroutine that returns the text."""
logger: Final = logging.getLogger("threadgate_client")


class Execution:
    """One execution of one run. It is `threadgate_client.agent_run.Outlet` of its run."""

    def __init__(self, engine: Engine, params: Mapping[str, Any]) -> None:
        """Raises ProtocolViolation."""
        wire = Fields(params, "run.execute")
        self.fence = wire.number("fence")
        self.run = AgentRun(params, self)
        self._engine = engine
        beat_s = params.get("beat_s")
        self._beat_s = beat_s if isinstance(beat_s, int | float) and beat_s > 0 else limits.BEAT_S
        self._index = 0
        self._loop = asyncio.get_running_loop()
        self._said_at = self._loop.time()
        self._timer = self._loop.call_later(self._beat_s, self._beat)

    async def go(self, handler: Handler) -> None:
        """Let the handler answer, and tell how it ended. Cancelled, it says nothing more."""
        try:
            await self._answer(handler)
        except AgentError as error:
            self._fail(error)
        except Parked:
            self.put("done")
        except BaseExceptionGroup as group:
            # A handler that asks from within a task group.
            self._end_of(group)
        except Exception as error:  # the edge of somebody else's code: the run must hear of it
            logger.exception("a handler failed", extra={"action": "agent.failed", "run_id": self.run.id})
            self._fail(AgentError(f"The agent failed ({type(error).__name__})"))
        else:
            self.put("done")

    def close(self) -> None:
        """Nothing is said any more."""
        self._timer.cancel()

    async def _answer(self, handler: Handler) -> None:
        answer = handler(self.run)
        if isinstance(answer, AsyncGenerator):
            async with aclosing(answer) as pieces:
                async for piece in pieces:
                    await self.run.say(piece)
            return
        text = await answer
        if text is not None:
            await self.run.say(text)

    def _end_of(self, group: BaseExceptionGroup[BaseException]) -> None:
        if group.subgroup(Parked) is not None:
            self.put("done")
            return
        logger.error(
            "a handler failed", exc_info=group, extra={"action": "agent.failed", "run_id": self.run.id}
        )
        self._fail(AgentError(f"The agent failed ({type(group.exceptions[0]).__name__})"))

    def _fail(self, error: AgentError) -> None:
        told = {"kind": error.kind, "message": str(error)[: limits.ERROR_CHARS]}
        more = {} if error.retry_after_s is None else {"retry_after_s": error.retry_after_s}
        self.put("failed", error=told, passes=error.passes, **more)

    def _beat(self) -> None:
        silent_s = self._loop.time() - self._said_at
        if silent_s >= self._beat_s / 2:
            self.put("beat")
            silent_s = 0.0
        self._timer = self._loop.call_later(self._beat_s - silent_s, self._beat)

    # --- what the run says --------------------------------------------------------------------------------

    def put(self, type_: str, **fields: Any) -> None:
        """Say it, in order. Raises TypeError or ValueError for what is not JSON."""
        output = {"run_id": self.run.id, "fence": self.fence, "index": self._index, "type": type_, **fields}
        self._engine.notify("run.output", output)
        self._index += 1
        self._said_at = self._loop.time()

    async def room(self) -> None:
        """Return when not too much of what was said waits."""
        await self._engine.written(limits.BACKLOG_CHARS)

    async def journal(self, **params: Any) -> Mapping[str, Any]:
        """Ask for a step to be recorded. Raises RequestRefused."""
        named = {"run_id": self.run.id, "fence": self.fence, **params}
        return await self._engine.request("run.step", named, limits.STEP_TIMEOUT_S)


class Executions:
    """All executions of one process, and what the gateway asks and tells about them."""

    def __init__(self, engine: Engine, handler: Handler, concurrent: int) -> None:
        self.is_open = True
        """Whether new runs are taken."""
        self._engine = engine
        self._handler = handler
        self._concurrent = concurrent
        self._tasks: dict[asyncio.Task[None], Execution] = {}

    def serve(self, output: Served) -> None:
        """Do what the gateway wants."""
        match output:
            case Asked(request_id, "run.execute", params):
                self._execute(request_id, params)
            case Asked(request_id, method):
                self._engine.refuse(
                    request_id, "method_not_found", f"An agent process does not serve {method}"
                )
            case Told("run.cancel", params):
                self._cancel(params.get("run_id"), params.get("fence"))
            case Lost():
                # The gateway lets somebody else go on; what this process did in steps is recorded.
                self.cancel()
            case _:
                pass

    async def finished(self) -> None:
        """Return when nothing is executed any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()

    def _execute(self, request_id: int | str, params: Mapping[str, Any]) -> None:
        if not self.is_open:
            self._engine.refuse(request_id, "unavailable", "This process is stopping")
            return
        if len(self._tasks) >= self._concurrent:
            self._engine.refuse(request_id, "busy", f"This process executes {len(self._tasks)} runs already")
            return
        try:
            execution = Execution(self._engine, params)
        except ProtocolViolation as violation:
            self._engine.refuse(request_id, "invalid_params", str(violation))
            return
        self._cancel(execution.run.id, None)
        self._engine.answer(request_id, {})
        task = asyncio.create_task(execution.go(self._handler), name=f"run {execution.run.id}")
        self._tasks[task] = execution
        task.add_done_callback(self._ended)

    def _cancel(self, run_id: object, fence: object) -> None:
        """Stop executing a run: at this fence, or (None) at any."""
        for task, execution in self._tasks.items():
            if execution.run.id == run_id and fence in (None, execution.fence):
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task).close()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("an execution broke", exc_info=error, extra={"action": "agent.broke"})
