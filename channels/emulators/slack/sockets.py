"""Socket Mode: tickets, the WebSockets of every app, their frames, and the ways they can break.

Knows no rule of retrying: frames out, acknowledgements in. An envelope goes to one of an app's sockets in turn.
https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from aiohttp import WSMsgType, web

from channels.emulators.errors import ControlError
from channels.emulators.loopback import cut
from channels.emulators.slack.records import AppAccount, Json
from channels.emulators.slack.world import World

SOCKETS_MAX = 10
# A client that does not answer a close is not waited for any longer.
CLOSE_TIMEOUT_S = 1.0
# Slack closes a socket after some hours and says so in the hello; the value means nothing here.
CONNECTION_TIME_S = 18_060
DISCONNECT_REASONS = ("warning", "refresh_requested", "link_disabled", "too_many_websockets")
Acknowledge = Callable[[str, str, Json | None], None]


class Socket:
    """One open WebSocket."""

    def __init__(self, number: int, app: AppAccount, connection: web.WebSocketResponse) -> None:
        self.number = number
        self.app = app
        self.connection = connection
        self.request: web.Request | None = None
        self.is_leaving = False
        self.frames_sent = 0
        self.acknowledged = 0
        self.frames: asyncio.Queue[Json | None] = asyncio.Queue()

    def to_wire(self) -> Json:
        """As the control side shows it."""
        return {
            "number": self.number,
            "app_id": self.app.id,
            "is_leaving": self.is_leaving,
            "frames_sent": self.frames_sent,
            "acknowledged": self.acknowledged,
        }


class Sockets:
    """All sockets and the tickets for new ones. Created and used on the event loop."""

    def __init__(self, world: World, acknowledge: Acknowledge, wake: Callable[[], None]) -> None:
        self._world = world
        self._acknowledge = acknowledge
        self._wake = wake
        self._tickets: dict[str, AppAccount] = {}
        self._numbers = count(1)
        self._sockets: list[Socket] = []
        self._turn = 0
        self._is_closed = False
        self.upgrades_to_refuse = 0
        self.upgrades_to_drop = 0
        self.attempts: list[str] = []
        """The tickets that were shown, good or not, oldest first."""

    def open_url(self, app: AppAccount) -> str:
        """The address for one new socket."""
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets[ticket] = app
        return f"{self._world.base_url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={app.id}"

    def all(self) -> list[Socket]:
        """The open sockets, oldest first."""
        return list(self._sockets)

    def send(self, app_id: str, frame: Json) -> bool:
        """Hand a frame to one of an app's sockets; False when there is none."""
        sockets = [one for one in self._sockets if one.app.id == app_id and not one.is_leaving]
        if not sockets:
            return False
        self._turn += 1
        sockets[self._turn % len(sockets)].frames.put_nowait(frame)
        return True

    def disconnect(self, reason: str, number: int | None = None, app_id: str | None = None) -> int:
        """Ask sockets to go, with the frame Slack sends before it closes; how many. Raises ControlError."""
        if reason not in DISCONNECT_REASONS:
            raise ControlError(f"reason must be one of {', '.join(DISCONNECT_REASONS)}")
        chosen = self._chosen(number, app_id)
        for socket in chosen:
            # A warning leaves the socket in use for some more seconds; everything else ends it.
            socket.is_leaving = reason != "warning"
            socket.frames.put_nowait(_disconnect_frame(reason))
            if reason in ("link_disabled", "too_many_websockets"):
                socket.frames.put_nowait(None)
        return len(chosen)

    def drop(self, number: int | None = None, app_id: str | None = None) -> int:
        """Cut sockets without a word; how many."""
        chosen = self._chosen(number, app_id)
        for socket in chosen:
            if socket.request is not None:
                cut(socket.request, resets=True)
            self._forget(socket)
        return len(chosen)

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The upgrade, and the life of the socket."""
        ticket = request.query.get("ticket", "")
        self.attempts.append(ticket)
        if self.upgrades_to_drop > 0:
            self.upgrades_to_drop -= 1
            return cut(request, resets=False)
        if self.upgrades_to_refuse > 0:
            self.upgrades_to_refuse -= 1
            return web.Response(status=503)
        app = self._tickets.pop(ticket, None)
        if app is None or self._is_closed:
            return web.Response(status=401)
        connection = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_S, heartbeat=self._world.timing.ping_s)
        await connection.prepare(request)
        socket = Socket(next(self._numbers), app, connection)
        socket.request = request
        mine = [one for one in self._sockets if one.app is app]
        if len(mine) >= SOCKETS_MAX:
            await connection.send_json(_disconnect_frame("too_many_websockets"))
            await connection.close()
            return connection
        await connection.send_json(_hello_frame(app, len(mine) + 1))
        self._sockets.append(socket)
        self._wake()
        writing = asyncio.create_task(self._write(socket))
        try:
            async for message in connection:
                if message.type is WSMsgType.TEXT:
                    self._read(socket, message.data)
        finally:
            self._forget(socket)
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        return connection

    async def close(self) -> None:
        """End every socket and take no new ones."""
        self._is_closed = True
        await asyncio.gather(*(socket.connection.close() for socket in self.all()))

    async def _write(self, socket: Socket) -> None:
        while (frame := await socket.frames.get()) is not None:
            try:
                await socket.connection.send_json(frame)
            except ConnectionResetError:
                return  # what was not acknowledged is repeated
            socket.frames_sent += 1
        await socket.connection.close()

    def _read(self, socket: Socket, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            return  # Slack ignores what is no acknowledgement
        if isinstance(frame, dict) and isinstance(frame.get("envelope_id"), str):
            payload = frame.get("payload")
            socket.acknowledged += 1
            # Any socket of the app may acknowledge: a library sends on its newest one.
            answer = payload if isinstance(payload, dict) else None
            self._acknowledge(socket.app.id, frame["envelope_id"], answer)

    def _chosen(self, number: int | None, app_id: str | None) -> list[Socket]:
        return [one for one in self._sockets if number in (None, one.number) and app_id in (None, one.app.id)]

    def _forget(self, socket: Socket) -> None:
        if socket in self._sockets:
            self._sockets.remove(socket)


def _hello_frame(app: AppAccount, connections: int) -> Json:
    return {
        "type": "hello",
        "num_connections": connections,
        "debug_info": {
            "host": "applink-emulated",
            "build_number": 1,
            "approximate_connection_time": CONNECTION_TIME_S,
        },
        "connection_info": {"app_id": app.id},
    }


def _disconnect_frame(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-emulated"}}
