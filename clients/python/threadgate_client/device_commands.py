"""The commands of a device: what they are called, what they take, and each invocation done once.

How they are declared is in `device.py`, what is remembered of them in `device_results.py`.
"""

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from threadgate_client import limits
from threadgate_client.device_results import Done, Results
from threadgate_client.engine import Engine
from threadgate_client.errors import CommandFailed, ProtocolViolation
from threadgate_client.fields import Fields
from threadgate_client.outputs import Asked, Lost, Served

Json = Any
"""Anything that JSON can say."""
Risk = Literal["low", "medium", "high"]
Handler = Callable[[Mapping[str, Json]], Awaitable[Json] | Json]
"""What does a command: takes the params, returns the result. A plain function runs in a thread of its own."""
logger: Final = logging.getLogger("threadgate_client")


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it is declared, and what does it."""

    name: str
    description: str
    schema: Mapping[str, Json]
    risk: Risk
    idempotent: bool
    handler: Handler

    def to_json(self) -> dict[str, Json]:
        """As hello says it."""
        return {
            "name": self.name,
            "description": self.description,
            "params_schema": dict(self.schema),
            "risk": self.risk,
            "idempotent": self.idempotent,
        }


class Invocations:
    """Everything a device is told to do, over as many connections as it takes."""

    def __init__(self, commands: Mapping[str, Command], results: Results) -> None:
        self._commands = commands
        self._results = results
        self._writing = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asking: dict[str, list[tuple[int, int | str]]] = {}
        self._engine: Engine | None = None
        self._connection = 0
        self.is_open = True
        """Whether new commands are taken."""

    def connect(self, engine: Engine) -> None:
        """Answer over this engine from now on."""
        self._engine = engine
        self._connection += 1

    def serve(self, output: Served) -> None:
        """Do what the gateway wants."""
        match output:
            case Asked(request_id, "command.invoke", params):
                self._invoke(request_id, params)
            case Asked(request_id, method):
                self._refuse(request_id, "method_not_found", f"A device does not serve {method}")
            case Lost():
                # Numbers begin again on the next connection: an answer to an old one would be somebody else's.
                self._connection += 1
            case _:
                pass

    async def finished(self) -> None:
        """Return when nothing is being done any more."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def cancel(self) -> None:
        """Stop everything: it is remembered as cut off."""
        for task in self._tasks.values():
            task.cancel()

    # --- one of them

    def _invoke(self, request_id: int | str, params: Mapping[str, Any]) -> None:
        try:
            wire = Fields(params, "command.invoke")
            invocation_id, name = wire.text("invocation_id"), wire.text("command")
            values, is_recall = wire.mapping("params"), wire.flag("recall")
        except ProtocolViolation as violation:
            self._refuse(request_id, "invalid_params", str(violation))
            return
        known = self._results.of(invocation_id)
        if invocation_id in self._tasks:
            self._asking[invocation_id].append((self._connection, request_id))
        elif known is not None:
            self._tell(request_id, known)
        elif is_recall:
            self._refuse(request_id, "not_found", "This never came here")
        elif not self.is_open:
            self._refuse(request_id, "unavailable", "This device is stopping")
        elif (command := self._commands.get(name)) is None:
            self._refuse(request_id, "no_such_command", f"This device has no command {name}")
        else:
            self._asking[invocation_id] = [(self._connection, request_id)]
            work = self._do(invocation_id, command, values)
            task = asyncio.create_task(work, name=f"command {name} {invocation_id}")
            self._tasks[invocation_id] = task
            task.add_done_callback(lambda done: self._ended(invocation_id, done))

    async def _do(self, invocation_id: str, command: Command, params: Mapping[str, Json]) -> None:
        async with self._writing:
            await asyncio.to_thread(self._results.begin, invocation_id)
        done = await _outcome(command, params)
        async with self._writing:
            await asyncio.to_thread(self._results.end, invocation_id, done)
        for connection, request_id in self._asking.pop(invocation_id):
            if connection == self._connection:
                self._tell(request_id, done)

    def _ended(self, invocation_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(invocation_id)
        self._asking.pop(invocation_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a command broke", exc_info=error, extra={"action": "device.broke"})

    # --- answers

    def _tell(self, request_id: int | str, done: Done) -> None:
        if not done.is_over:
            self._refuse(request_id, "unknown", "It was cut off: nobody knows what came of it")
        elif done.error is not None:
            self._refuse(request_id, done.error.get("kind", "failed"), done.error.get("message", ""))
        elif self._engine is not None:
            self._engine.answer(request_id, {"result": done.result})

    def _refuse(self, request_id: int | str, kind: str, message: str) -> None:
        if self._engine is not None:
            self._engine.refuse(request_id, kind, message[: limits.ERROR_CHARS])


async def _outcome(command: Command, params: Mapping[str, Json]) -> Done:
    """Do it; what came of it, as it can be remembered."""
    try:
        if inspect.iscoroutinefunction(command.handler):
            result = await command.handler(params)
        else:
            result = await asyncio.to_thread(command.handler, params)
        return _kept(result)
    except CommandFailed as failure:
        return Done(error={"kind": failure.kind, "message": str(failure)[: limits.ERROR_CHARS]})
    except Exception as error:  # the edge of somebody else's code: the gateway must hear of it
        logger.exception("a command failed", extra={"action": "device.failed", "command": command.name})
        return Done(error={"kind": "failed", "message": f"The command failed ({type(error).__name__})"})


def _kept(result: Json) -> Done:
    """A result that can be remembered and sent."""
    try:
        size = len(json.dumps(result, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return Done(error={"kind": "bad_result", "message": "It was done, but its result is not JSON"})
    if size > limits.COMMAND_RESULT_CHARS:
        return Done(error={"kind": "too_large", "message": "It was done, but its result is too large"})
    return Done(result)
