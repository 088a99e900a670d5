"""What comes from an agent's program and goes to it: JSON-RPC 2.0 messages, one per line, within bounds.

The transport under the `acp` package's connection. That one believes what it reads, logs it when it cannot, and
reads as fast as it can; so every message is checked here before it gets there, and reading waits while nobody
takes what came. The first thing that is wrong ends the stream, and `failure` says what it was.
"""

import asyncio
from typing import Any, Final

import orjson

from gateway.agents.acp.process import AgentProcess
from gateway.agents.port import AgentFailure

SHOWN_BYTES: Final = 100
"""Of a line that is no message, in the error: enough to recognise what printed it."""


class Wire:
    """`acp._transport.Transport` over one program. `output_bytes` is the most it may send until `renew`."""

    def __init__(self, process: AgentProcess, output_bytes: int) -> None:
        self.failure: AgentFailure | None = None
        self.has_room = asyncio.Event()
        self.has_room.set()
        self._process = process
        self._output_bytes = output_bytes
        self._left = output_bytes
        self._writing = asyncio.Lock()

    def renew(self) -> None:
        """Begin to count again: what was said so far does not belong to the answer."""
        self._left = self._output_bytes

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end, whatever ended it."""
        if self.failure is not None:
            return None
        try:
            return await self._next()
        except AgentFailure as failure:
            self.failure = failure
            return None

    async def send(self, message: dict[str, Any]) -> None:
        """Write a message. What a program no longer reads is dropped: its end is seen where it is read."""
        async with self._writing:
            stdin = self._process.stdin
            if stdin.is_closing():
                return
            try:
                stdin.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
                await stdin.drain()
            except ConnectionError:
                return

    async def close(self) -> None:
        """Nothing: the program belongs to whoever started it."""

    async def _next(self) -> dict[str, Any] | None:
        while True:
            await self.has_room.wait()
            await asyncio.sleep(0)  # lines that are here already must not keep the loop from everybody else
            line = await self._process.line()
            if not line:
                return None
            self._left -= len(line)
            if self._left < 0:
                raise AgentFailure("too_large", f"It sent more than {self._output_bytes} bytes in one run.")
            if not line.isspace():
                return self._message(line)

    def _message(self, line: bytes) -> dict[str, Any]:
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError:
            shown = self._process.program.presentable(line[:SHOWN_BYTES].decode(errors="replace"))
            raise AgentFailure("bad_output", f"It sent something that is no JSON: {shown}") from None
        problem = problem_of(message)
        if problem is not None:
            raise AgentFailure("bad_output", f"It sent something that is no JSON-RPC message: {problem}.")
        assert isinstance(message, dict)
        return message


def problem_of(message: Any) -> str | None:
    """Why this is no message of JSON-RPC 2.0 (jsonrpc.org/specification), or a batch; None when it is one."""
    if not isinstance(message, dict):
        return "it is no object"
    if message.get("jsonrpc") != "2.0":
        return "it does not say jsonrpc 2.0"
    if not isinstance(message.get("id"), int | str | None) or isinstance(message.get("id"), bool):
        return "its id is neither a number nor a text"
    if "method" in message:
        if not isinstance(message["method"], str):
            return "its method is no text"
        return None if isinstance(message.get("params"), dict | list | None) else "its params are no object"
    if "id" not in message:
        return "it has neither a method nor an id"
    return _problem_of_response(message)


def _problem_of_response(message: dict[str, Any]) -> str | None:
    if "result" in message:
        return None
    error = message.get("error")
    if not isinstance(error, dict):
        return "it has neither a result nor an error"
    if not isinstance(error.get("code"), int) or not isinstance(error.get("message"), str):
        return "its error has no code and message"
    return None
