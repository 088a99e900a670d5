"""The gateway's sockets: reads frames, writes frames plain or zlib-compressed, closes with codes.

The only shell around `handshake.py` and `sessions.py`. Frames leave each connection in the order in which they
were made; a slow client makes its own queue longer and nobody else's.
"""

import asyncio
import json
import zlib
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from channels.emulators.discord.handshake import HELLO, INVALID_SESSION, RECONNECT, Closing, Peer
from channels.emulators.discord.records import Bot, Json
from channels.emulators.discord.sessions import Frame, Sessions
from channels.emulators.discord.world import World
from channels.emulators.errors import ControlError
from channels.emulators.loopback import cut
from channels.emulators.page import PAGE_PATH

# What the real gateway asks for.
HEARTBEAT_INTERVAL_S = 41.25
# How many intervals a client may stay silent.
_PATIENCE = 1.5
# A socket is closed for good in this time, whether or not the other side agrees.
_CLOSE_TIMEOUT_S = 1.0
# After these the session cannot be resumed (topics/opcodes-and-status-codes.mdx; 1000 and 1001 are goodbyes).
_ENDING_CODES = frozenset({1000, 1001, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014})


class Connection:
    """One socket with its outbound queue. A pair (code, reason) in the queue is the end."""

    def __init__(self, world: World, sessions: Sessions, url: Callable[[], str], compressed: bool) -> None:
        self._queue: asyncio.Queue[Frame | Closing] = asyncio.Queue()
        self._deflate = zlib.compressobj() if compressed else None
        self.peer = Peer(world, sessions, self._queue.put_nowait, url)
        self.socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT_S, max_msg_size=0)
        self.request: web.Request | None = None

    def send(self, frame: Frame) -> None:
        """Queue a frame."""
        self._queue.put_nowait(frame)

    def close(self, closing: Closing) -> None:
        """Queue the end; what was queued before still leaves."""
        self._queue.put_nowait(closing)

    def abort(self) -> None:
        """Break the connection without a word."""
        if self.request is not None:
            cut(self.request, resets=True)

    async def write(self) -> None:
        """Send what is queued until the end is."""
        while True:
            frame = await self._queue.get()
            if isinstance(frame, Closing):
                await self.socket.close(code=frame.code, message=frame.reason.encode())
                return
            text = json.dumps(frame, ensure_ascii=False)
            if self._deflate is None:
                await self.socket.send_str(text)
            else:
                # One stream for the whole connection; each message ends with a sync flush.
                packed = self._deflate.compress(text.encode()) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(packed)


class Gateway:
    """All connections, and the control side's grip on them."""

    def __init__(
        self,
        world: World,
        sessions: Sessions,
        url: Callable[[], str],
        heartbeat_interval_s: float,
        spread: Callable[[], None],
    ) -> None:
        self._world = world
        self._sessions = sessions
        self._url = url
        self._interval_s = heartbeat_interval_s
        self._spread = spread
        self._connections: set[Connection] = set()
        self._refusals = 0
        self.upgrade_count = 0

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [web.get("/", self.connect), web.get("/resume", self.connect)]

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One client from upgrade to close. Who comes without an upgrade is a person, for the page."""
        if "Upgrade" not in request.headers:
            raise web.HTTPFound(PAGE_PATH)
        if self._refusals > 0:
            self._refusals -= 1
            return web.json_response({"message": "503: Service Unavailable", "code": 0}, status=503)
        compressed = request.query.get("compress") == "zlib-stream"
        connection = Connection(self._world, self._sessions, self._url, compressed)
        connection.request = request
        await connection.socket.prepare(request)
        self.upgrade_count += 1
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            await self._converse(request, connection)
            # Whoever ends the conversation, the queued close frame still has to leave.
            await writer
        except ConnectionResetError:
            return connection.socket
        finally:
            self._connections.discard(connection)
            writer.cancel()
            self._part(connection)
        return connection.socket

    def close_connections(self, bot: Bot, code: int, reason: str) -> int:
        """Close the sockets of a bot with a code; the number of them."""
        closing = Closing(code, reason, ends_session=code in _ENDING_CODES)
        return self._each(bot, lambda one: self._end(one, closing))

    def cut_connections(self, bot: Bot) -> int:
        """Break the sockets of a bot without a close frame."""
        return self._each(bot, Connection.abort)

    def ask_to_reconnect(self, bot: Bot) -> int:
        """Opcode 7."""
        return self._each(bot, lambda one: one.send({"op": RECONNECT, "d": None, "s": None, "t": None}))

    def invalidate(self, bot: Bot, resumable: bool) -> int:
        """Opcode 9; what is not resumable is forgotten first."""
        if not resumable:
            for session in self._sessions.of(bot):
                self._sessions.end(session)
        frame: Json = {"op": INVALID_SESSION, "d": resumable, "s": None, "t": None}
        return self._each(bot, lambda one: one.send(frame))

    def refuse_upgrades(self, count: int) -> None:
        """Answer the next connections with 503. Raises ControlError."""
        if count < 0:
            raise ControlError("count must not be negative")
        self._refusals = count

    def shut(self) -> None:
        """The emulator stops: everybody is told to come back later, sessions stay."""
        for connection in list(self._connections):
            connection.close(Closing(WSCloseCode.SERVICE_RESTART, ""))

    async def _converse(self, request: web.Request, connection: Connection) -> None:
        if request.query.get("v", "10") != "10":
            connection.close(Closing(4012, "Invalid API version."))
            return
        if request.query.get("encoding", "json") != "json":
            connection.close(Closing(4002, "encoding: only json is emulated"))
            return
        hello = {"heartbeat_interval": int(self._interval_s * 1000)}
        connection.send({"op": HELLO, "d": hello, "s": None, "t": None})
        while True:
            try:
                message = await connection.socket.receive(timeout=self._interval_s * _PATIENCE)
            except TimeoutError:
                self._end(connection, Closing(4009, "Session timed out.", ends_session=True))
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                # Closed, by whomever; a goodbye of the client ends its session.
                said_goodbye = message.type is WSMsgType.CLOSE and message.data in (1000, 1001)
                self._end(connection, Closing(1000, "", ends_session=said_goodbye))
                return
            self._receive(connection, message.data)

    def _receive(self, connection: Connection, data: str | bytes) -> None:
        peer = connection.peer
        was_anonymous = peer.session is None
        try:
            peer.receive(len(data if isinstance(data, bytes) else data.encode()), _parse(data))
        except Closing as closing:
            self._end(connection, closing)
        if was_anonymous and peer.session is not None:
            self._world.note("gateway", None, {"bot_id": str(peer.session.bot.id), "connected": True})
        self._spread()

    def _end(self, connection: Connection, closing: Closing) -> None:
        session = connection.peer.session
        # A connection whose session was taken over by another one has nothing left to end.
        if closing.ends_session and session is not None and session.sink in (None, connection.peer.send):
            self._sessions.end(session)
        connection.close(closing)

    def _part(self, connection: Connection) -> None:
        session = connection.peer.session
        if session is not None:
            self._sessions.leave(session, connection.peer.send)
            self._world.note("gateway", None, {"bot_id": str(session.bot.id), "connected": False})
            self._spread()

    def _each(self, bot: Bot, act: Callable[[Connection], None]) -> int:
        chosen = [one for one in self._connections if one.peer.session and one.peer.session.bot is bot]
        for connection in chosen:
            act(connection)
        return len(chosen)


def _parse(data: str | bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None
