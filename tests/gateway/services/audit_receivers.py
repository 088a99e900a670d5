"""What receives audit entries in tests: a syslog server, and an HTTP collector that fails as told."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


class SyslogReceiver:
    """Takes RFC 5424 messages framed by octet counting."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self.hangs_up_after: int | None = None
        self.address = ""
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: list[asyncio.Task[None] | None] = []

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=tls)
        self._port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._serving), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._serving.append(asyncio.current_task())
        try:
            while True:
                length = await reader.readuntil(b" ")
                self.messages.append(await reader.readexactly(int(length)))
                if self.hangs_up_after is not None and len(self.messages) >= self.hangs_up_after:
                    self.hangs_up_after = None
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    @property
    def seqs(self) -> list[int]:
        """The numbers of the messages, as they came."""
        return [int(found[1]) for one in self.messages if (found := re.search(rb'"seq":(\d+)', one))]


class Collector:
    """An HTTP address. `answers` are the statuses of the next requests; 200 when there are no more."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []
        self.retry_after = ""
        self.loses_answer = False
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        body = await request.read()
        if status < 300:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
        if self.loses_answer:
            self.loses_answer = False
            assert request.transport is not None
            request.transport.abort()
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=status, headers=headers)

    @property
    def lines(self) -> list[bytes]:
        return [line for body in self.bodies for line in body.splitlines()]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/collect", made.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/collect"
    try:
        yield made
    finally:
        await runner.cleanup()


def first_times(seqs: list[int]) -> list[int]:
    """What a receiver has once it dropped repetitions."""
    return list(dict.fromkeys(seqs))
