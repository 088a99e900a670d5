"""The model gateway on a socket, with a script of mishaps: drops, refusals, close codes, silence.

Tests only. The handshake is that of the protocol: subprotocol checked before the upgrade, challenge first,
errors before closing.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from model_gateway import ModelGateway, Peer
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

SUBPROTOCOL = "threadgate.v1"


class ScriptedServer:
    """Serves `gateway` on loopback. Change the fields to script what the next connections meet."""

    def __init__(self, gateway: ModelGateway | None = None) -> None:
        self.gateway = gateway or ModelGateway()
        self.connections: dict[Peer, ServerConnection] = {}
        self.hellos: list[dict[str, Any]] = []
        self.refusals: deque[tuple[HTTPStatus, str, dict[str, str]]] = deque()
        """HTTP answers to the next upgrades."""
        self.mute: set[str] = set()
        """Methods whose effect happens, but whose answers get lost."""
        self.is_silent = False
        """Whether nothing at all is sent."""
        self.received = asyncio.Event()
        """Set by every frame that is not `hello`."""
        self.dials = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._process,
            compression=None,
            ping_interval=None,
            close_timeout=0.2,  # seconds; a client that is gone must not hold up a test
        )

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        await self._server.wait_closed()

    def flush(self) -> None:
        """Send what the gateway produced outside of a request."""
        for peer, connection in self.connections.items():
            self._flush(peer, connection)

    def drop(self) -> None:
        """Break every connection, without a close frame."""
        for connection in self.connections.values():
            connection.transport.abort()

    async def bye(self, code: int, reason: str = "", retry_after_ms: int | None = None) -> None:
        """Close every connection as a gateway does."""
        for peer, connection in list(self.connections.items()):
            fields = {"retry_after_ms": retry_after_ms} if retry_after_ms is not None else {}
            peer.notify("bye", {"code": code, "reason": reason, **fields})
            self._flush(peer, connection)
            await connection.close(code, reason)

    def _process(self, connection: ServerConnection, request: Request) -> Response | None:
        self.dials += 1
        if self.refusals:
            status, body, headers = self.refusals.popleft()
            response = connection.respond(status, body)
            for name, value in headers.items():
                response.headers[name] = value
            return response
        if request.path != "/v1/ws":
            return connection.respond(HTTPStatus.NOT_FOUND, "no such path")
        if SUBPROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
            return connection.respond(HTTPStatus.BAD_REQUEST, f"supported: {SUBPROTOCOL}")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        peer = Peer(self.gateway)
        self.connections[peer] = connection
        try:
            self._flush(peer, connection)
            async for frame in connection:
                peer.receive(frame)
                if '"method":"hello"' not in str(frame):
                    self.received.set()
                if peer.hello and peer.hello not in self.hellos:
                    self.hellos.append(peer.hello)
                if any(f'"{method}"' in str(frame) for method in self.mute):
                    peer.outgoing.clear()
                self._flush(peer, connection)
                if peer.close_code:
                    await connection.close(peer.close_code, "refused")
        except ConnectionClosed:
            pass
        finally:
            del self.connections[peer]
            peer.leave()

    def _flush(self, peer: Peer, connection: ServerConnection) -> None:
        # Frames are written to the transport at once, in order: a test has no slow reader on this side.
        while peer.outgoing:
            frame = peer.outgoing.popleft()
            if not self.is_silent and connection.state is State.OPEN:
                connection.protocol.send_text(frame.encode())
                connection.transport.write(b"".join(connection.protocol.data_to_send()))


@contextlib.asynccontextmanager
async def scripted(gateway: ModelGateway | None = None) -> AsyncIterator[ScriptedServer]:
    """A running scripted server, stopped at the end."""
    server = ScriptedServer(gateway)
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(5):
            await server.stop()
