"""An MCP server as a program of its own, spoken to over stdio: its start, its pipes, its certain end.

The transport of the MCP package reads lines of any length and hands down parts of our environment; this one bounds
both, and ends the program with everything it has started. Messages and their meaning are the package's.
"""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from gateway.agents.tools.flood import MESSAGE_BYTES_MAX, Allowance, Flooded
from protocol.limits import KIB

LEAVE_S: Final = 1.0
"""Time to end by itself once its input has ended, and again after SIGTERM; the MCP specification asks for this order
(2025-11-25, lifecycle, shutdown)."""
LAST_WORDS_BYTES: Final = 1 * KIB
"""Of its error output, told when it ends."""
NOISE_MAX: Final = 50
"""Lines that are no messages: a banner is forgiven, a program that speaks something else is not."""
_INHERITED: Final = ("PATH", "HOME", "LANG", "LANGUAGE")

Received = SessionMessage | Exception


@dataclass(slots=True)
class Ended:
    """When a connection ended, and why, as far as anybody saw."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = "the connection ended"

    def because(self, reason: str) -> None:
        """It is over; the first reason counts."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()


def environment(own: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """What a program gets to see: where programs are, whose home it is, the locale, and what is meant for it."""
    kept = {name: value for name, value in inherited.items() if name in _INHERITED or name.startswith("LC_")}
    return kept | dict(own)


@asynccontextmanager
async def process_transport(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, ended: Ended
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]]:
    """Start the program and speak with it; at the end its whole process group is gone.

    `ended` is told when it ends by itself. Raises OSError when it cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=MESSAGE_BYTES_MAX, loop=loop),
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )
    pipes = _Pipes(Process(transport, protocol, loop), ended)
    tasks = [asyncio.create_task(part) for part in (pipes.read(), pipes.write(), pipes.listen())]
    try:
        yield pipes.received, pipes.to_send
    finally:
        ended.because("it was stopped")
        try:
            await _to_the_end(asyncio.create_task(_end(pipes.process, tasks)))
        finally:
            transport.close()
            pipes.close()


class _Pipes:
    """The three pipes of one program. Each of its coroutines is a task of the transport."""

    def __init__(self, process: Process, ended: Ended) -> None:
        assert process.stdin and process.stdout and process.stderr, "started with pipes"
        self.process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._ended = ended
        self._allowance = Allowance(at_s=_now())
        self._last_words = b""
        # Nothing is read ahead: while nobody takes a message, the program waits.
        self._into, self.received = anyio.create_memory_object_stream[Received](0)
        self.to_send, self._out_of = anyio.create_memory_object_stream[SessionMessage](0)

    async def read(self) -> None:
        """Messages of the program, until it ends, breaks the rules or nobody listens any more."""
        noise = 0
        try:
            while line := await self._stdout.readuntil(b"\n"):
                self._allowance.take(len(line), 1, _now())
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    noise += 1
                    if noise > NOISE_MAX:
                        self._over("it does not speak the Model Context Protocol")
                        return
                    continue
                await self._into.send(SessionMessage(message))
        except asyncio.IncompleteReadError:
            self._over(await self._how_it_ended())
        except asyncio.LimitOverrunError:
            self._over(f"it sent a message of more than {MESSAGE_BYTES_MAX} bytes")
        except Flooded as flood:
            self._over(str(flood))
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._over("the connection broke")
        finally:
            self._into.close()

    async def write(self) -> None:
        """Messages to the program. One that does not read them makes those who call it wait, and nobody else."""
        try:
            async for sent in self._out_of:
                text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._stdin.write(text.encode() + b"\n")
                await self._stdin.drain()
        except (OSError, anyio.ClosedResourceError):
            # It has closed its input. Its output says when it ended, and why; here it only takes no more.
            self._into.close()

    async def listen(self) -> None:
        """Its error output: the end of it is kept, to be told when it ends."""
        with suppress(OSError):
            while words := await self._stderr.read(4 * KIB):
                self._last_words = (self._last_words + words)[-LAST_WORDS_BYTES:]
                try:
                    self._allowance.take(len(words), 1, _now())
                except Flooded as flood:
                    self._over(str(flood))
                    return

    def close(self) -> None:
        """Let go of the streams."""
        for stream in (self._into, self.received, self.to_send, self._out_of):
            stream.close()

    def _over(self, reason: str) -> None:
        self._ended.because(reason)

    async def _how_it_ended(self) -> str:
        try:
            async with asyncio.timeout(LEAVE_S):
                code = await self.process.wait()
        except TimeoutError:
            return "it closed its output"
        how = f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        words = self._last_words.decode(errors="replace").strip().splitlines()
        return f"{how}: {words[-1][:300]}" if words else how


async def _to_the_end(work: asyncio.Task[None]) -> None:
    """Wait for work that is bounded and must not be cut off; who cancels meanwhile waits for it too."""
    is_cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            is_cancelled = True
    work.result()
    if is_cancelled:
        raise asyncio.CancelledError


async def _end(process: Process, tasks: Sequence[asyncio.Task[None]]) -> None:
    """End the program, first politely, and whatever it has started with it."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    if not await _left(process):
        _signal(process, signal.SIGTERM)
        await _left(process)
    _signal(process, signal.SIGKILL)
    await _left(process)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _left(process: Process) -> bool:
    try:
        async with asyncio.timeout(LEAVE_S):
            await process.wait()
    except TimeoutError:
        return False
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    """To the whole group, which outlives its leader."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _now() -> float:
    return asyncio.get_running_loop().time()
