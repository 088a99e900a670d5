"""The agent: a process that answers runs, in ten lines.

    from threadgate_client import Agent

    agent = Agent("http://127.0.0.1:8787", token="tgate_…")

    @agent.on_run
    async def answer(run):
        yield f"You said: {run.text}"

    agent.serve()

What a handler can do with its run is in `agent_run.py`, how runs come and go in `executions.py`.
"""

import asyncio
import contextlib
import inspect
import logging
import ssl
from typing import Final, Literal, TypeVar

from threadgate_client import limits
from threadgate_client.engine import Engine, TokenSource
from threadgate_client.executions import Executions, Handler
from threadgate_client.outputs import Served
from threadgate_client.signals import serve_until_signal

H = TypeVar("H", bound=Handler)
logger: Final = logging.getLogger("threadgate_client")


class Agent:
    """A process that answers the runs of one agent of the gateway, the one its token is for.

    `url` is the gateway's address, `token` a token of role agent, or a function that returns the present one. `name`
    is shown to operators. So many runs are taken at once as `concurrent` says. `ssl_context` and `proxy` are those of
    `websockets`; no proxy is used unless given. All limits are in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource = None,
        name: str = "threadgate-agent",
        concurrent: int = limits.AGENT_RUNS,
        stop_timeout_s: float = limits.AGENT_STOP_S,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = None,
    ) -> None:
        if concurrent < 1:
            raise ValueError("concurrent is at least 1")
        self._engine = Engine(
            url,
            token,
            name,
            request_timeout_s=limits.REQUEST_TIMEOUT_S,
            ssl_context=ssl_context,
            proxy=proxy,
            offer={"concurrent": concurrent},
            on_served=self._serve,
        )
        self._concurrent = concurrent
        self._stop_timeout_s = stop_timeout_s
        self._handler: Handler | None = None
        self._executions: Executions | None = None
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Agent at {self._engine.url}, {'connected' if self.is_connected else 'not connected'}>"

    @property
    def is_connected(self) -> bool:
        """Whether runs can come right now."""
        return self._engine.is_connected

    def on_run(self, handler: H) -> H:
        """Let this function answer: an async generator of pieces of text, or a coroutine that returns the text."""
        if not (inspect.isasyncgenfunction(handler) or inspect.iscoroutinefunction(handler)):
            raise TypeError("a handler is an `async def` function, with yield or with return")
        self._handler = handler
        return handler

    def serve(self) -> None:
        """Answer runs until SIGINT or SIGTERM. Blocks. Raises what `run` raises.

        The first signal lets what runs end and takes nothing new, the second stops at once.
        """
        with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
            asyncio.run(self._serve_until_signal())

    async def run(self) -> None:
        """Answer runs until `stop`, over as many connections as it takes.

        Raises why the gateway will not have this process: Unauthorized (the token), Forbidden (not a token of role
        agent, or the agent is not configured as remote), ConnectionRefused, ProtocolViolation. A gateway that cannot
        be reached is waited for.
        """
        if self._handler is None:
            raise RuntimeError("there is no handler: decorate one with @agent.on_run")
        self._executions = Executions(self._engine, self._handler, self._concurrent)
        stopping = asyncio.create_task(self._stopping.wait())
        connected = asyncio.create_task(self._connected())
        try:
            await asyncio.wait({stopping, connected}, return_when=asyncio.FIRST_COMPLETED)
            if connected.done():
                connected.result()
            await self._finish(self._executions)
        finally:
            self._executions.cancel()
            await self._executions.finished()
            await self._engine.close()
            for task in (stopping, connected):
                task.cancel()
            await asyncio.gather(stopping, connected, return_exceptions=True)

    def stop(self) -> None:
        """Take no new runs, let those under way end, then let `run` return. Idempotent."""
        self._stopping.set()

    def _serve(self, output: Served) -> None:
        if self._executions is not None:
            self._executions.serve(output)

    async def _connected(self) -> None:
        await self._engine.start(None)
        await self._engine.ended()

    async def _finish(self, executions: Executions) -> None:
        executions.is_open = False
        try:
            async with asyncio.timeout(self._stop_timeout_s):
                await executions.finished()
                await self._engine.written()
        except TimeoutError:
            logger.warning("runs did not end in time", extra={"action": "agent.stop_timeout"})

    async def _serve_until_signal(self) -> None:
        await serve_until_signal(self.run, self.stop, self._stopping)
