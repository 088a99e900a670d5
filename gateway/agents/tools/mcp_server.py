"""One MCP server: its connection, owned by one task, with calls and listings over it from any run.

A connection is made when the agent starts and whenever somebody wants one; after one that failed or died the next
waits, longer each time. While it is down, who calls learns why. What the results mean is in `mcp_tools.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import structlog
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from mcp import Client, MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    CallToolResult,
    Implementation,
    Tool,
)

from gateway.agents.port import Json, OutcomeUnknown, StepFailed
from gateway.agents.tools.mcp_process import Ended

START_S: Final = 30.0
"""For the start of a program, its handshake and its first list of tools; interpreters with many packages are slow."""
FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 30.0
"""Between two connections, doubled each time."""
LIVED_S: Final = 60.0
"""A connection that lived so long begins the delays anew."""
PATIENCE_S: Final = 3.0
"""Who calls waits for the next connection when it is due so soon, and learns why there is none otherwise."""
STOP_S: Final = 6.0
"""For the end of a connection; longer than a program is given to end."""
TOOLS_MAX: Final = 500
PAGES_MAX: Final = 50
"""Of a listing: more cannot be told to any agent."""
_DOUBTFUL: Final = frozenset({CONNECTION_CLOSED, INTERNAL_ERROR, PARSE_ERROR, REQUEST_TIMEOUT})
"""Errors after which the call may have been carried out all the same."""
_SESSION_LOST: Final = "Session terminated"
"""What the package says when the server no longer knows the session: nothing was done."""
_FAULTS: Final = (
    MCPError,
    OSError,
    RuntimeError,
    ValueError,
    httpx2.HTTPError,
    httpx2.StreamError,
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
)
"""How a connection fails: the protocol, the network, the program, an answer that is not what it should be."""

Transport = AbstractAsyncContextManager[Any]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection that works."""

    client: Client
    tools: tuple[Tool, ...]
    ended: Ended


class McpServer:
    """One server of one agent. `open_transport` makes the transport of the next connection."""

    def __init__(self, name: str, open_transport: Callable[[Ended], Transport]) -> None:
        self.name = name
        self._open_transport = open_transport
        self._link: _Link | None = None
        self._next: asyncio.Future[_Link | str] | None = None
        self._wanted = asyncio.Event()
        self._down = "it was not connected yet"
        self._due_s = 0.0
        self._owner: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[CallToolResult]] = set()

    def start(self) -> None:
        """Begin to connect; waits for nothing."""
        if self._owner is None:
            self._wanted.set()
            self._owner = asyncio.create_task(self._own(), name=f"mcp {self.name}")

    async def stop(self) -> None:
        """End the connection, and a program with its whole process group. Idempotent."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        owner.cancel()
        for call in list(self._calls):
            call.cancel()
        await asyncio.wait([owner, *self._calls], timeout=STOP_S)

    async def tools(self) -> tuple[Tool, ...]:
        """What it offered when it was connected last. Raises StepFailed that says why there is no connection."""
        return (await self._connected()).tools

    async def call(self, tool: str, arguments: dict[str, Json]) -> CallToolResult:
        """Call a tool. Raises StepFailed, OutcomeUnknown when it may have been carried out all the same."""
        link = await self._connected()
        try:
            return await self._call(link, tool, arguments)
        except MCPError as error:
            if error.code != INVALID_REQUEST or error.message != _SESSION_LOST:
                raise self._failed(error, link) from error
        link.ended.because("it lost the session")
        self._link = None
        link = await self._connected()
        try:
            return await self._call(link, tool, arguments)
        except MCPError as error:
            raise self._failed(error, link) from error

    async def _call(self, link: _Link, tool: str, arguments: dict[str, Json]) -> CallToolResult:
        """In a task of its own: a call that is cut off says so to the server, and its caller need not wait for that."""
        call = asyncio.create_task(link.client.call_tool(tool, arguments))
        self._calls.add(call)
        call.add_done_callback(self._over)
        try:
            await asyncio.wait({call})
        finally:
            call.cancel()
        if call.cancelled():
            raise OutcomeUnknown(f"The server {self.name} was stopped. {_DOUBT}")
        try:
            return call.result()
        except (RuntimeError, ValueError) as error:
            raise OutcomeUnknown(
                f"The server {self.name} answered with something that cannot be used. {_DOUBT}"
            ) from error

    def _over(self, call: "asyncio.Task[CallToolResult]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # seen: whoever wanted to know has been told

    def _failed(self, error: MCPError, link: _Link) -> StepFailed:
        if error.code == CONNECTION_CLOSED:
            return OutcomeUnknown(
                f"The server {self.name} was lost during the call: {link.ended.reason}. {_DOUBT}"
            )
        text = f"The server {self.name} says: {error.message[:1000]}"
        return OutcomeUnknown(f"{text}. {_DOUBT}") if error.code in _DOUBTFUL else StepFailed(text)

    # --- the connection ----------------------------------------------------------------------------

    async def _connected(self) -> _Link:
        """The connection, or the next one when it is due soon. Raises StepFailed."""
        if self._link is not None and not self._link.ended.event.is_set():
            return self._link
        if self._owner is None:
            raise StepFailed(f"The server {self.name} is stopped.")
        wait_s = self._due_s - _now()
        if wait_s > PATIENCE_S:
            raise StepFailed(
                f"The server {self.name} cannot be used: {self._down}. It is tried again in {wait_s:.0f} s."
            )
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        self._wanted.set()
        found = await asyncio.shield(self._next)
        if isinstance(found, str):
            raise StepFailed(f"The server {self.name} cannot be used: {found}.")
        return found

    def _settle(self, found: _Link | str) -> None:
        """Tell those who wait for a connection what became of it."""
        waited, self._next = self._next, None
        if waited is not None and not waited.done():
            waited.set_result(found)

    async def _own(self) -> None:
        """The life of all connections, one after the other."""
        delay_s = FIRST_DELAY_S
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                began_s = _now()
                await self._live()
                if _now() - began_s > LIVED_S:
                    delay_s = FIRST_DELAY_S
                self._due_s = _now() + delay_s
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, LAST_DELAY_S)
        finally:
            self._link = None
            self._settle("it was stopped")

    async def _live(self) -> None:
        """One connection, from its beginning to its end."""
        ended = Ended()
        was_ready = False
        try:
            async with self._open(ended) as link:
                self._link = link
                was_ready = True
                self._settle(link)
                log.info(
                    "MCP server connected", action="mcp.connected", server=self.name, tools=len(link.tools)
                )
                await ended.event.wait()
        except TimeoutError:
            ended.because(f"it was not ready within {START_S:g} s")
        except _FAULTS as error:
            ended.because(_told(error))
        except ExceptionGroup as group:
            ended.because(_told(_first(group)))
        finally:
            ended.because("it was stopped")
            self._link = None
        self._down = ended.reason
        if not was_ready:  # who came since a connection died waits for the next one
            self._settle(ended.reason)
        log.warning("MCP server lost", action="mcp.lost", server=self.name, reason=ended.reason)

    @asynccontextmanager
    async def _open(self, ended: Ended) -> AsyncIterator[_Link]:
        client = Client(
            self._open_transport(ended),
            cache=None,
            client_info=Implementation(name="threadgate", version="1"),
        )
        async with asyncio.timeout(START_S) as deadline, client:
            tools = await _list(client)
            deadline.reschedule(None)
            yield _Link(client, tools, ended)


_DOUBT: Final = "Whether the call had an effect is not known."


async def _list(client: Client) -> tuple[Tool, ...]:
    """All its tools, as far as they can be told to an agent at all."""
    listed: list[Tool] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.list_tools(cursor=cursor)
        listed += page.tools
        cursor = page.next_cursor
        if cursor is None or len(listed) >= TOOLS_MAX:
            break
    return tuple(listed[:TOOLS_MAX])


def _first(error: BaseException) -> BaseException:
    """The innermost first one of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> str:
    if isinstance(error, ValueError):
        return "it answered with something that is not the Model Context Protocol"
    return str(error)[:300].rstrip(".") or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
