"""Socket Mode: two supervised WebSockets, so that messages keep coming while Slack moves one of them.

Theory of operation: each of the two links opens a socket with a ticket of its own (a ticket is good once), waits for
hello, and hands every envelope to the receiver in a task; the acknowledgement is sent when that task says so, on the
link's newest socket if its own is gone. Slack's `disconnect` with `warning` or `refresh_requested` makes the link
open the successor first and leave afterwards; every other end is followed by a wait with full jitter and a fresh
ticket. A refused app token ends the link: an operator must act.

The SDK's own client is not used: when an upgrade is refused it tries the same used ticket for ever, it sleeps on rate
limits, and it closes a socket before it opens the next.
https://docs.slack.dev/apis/events-api/using-socket-mode
"""

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from channels import backoff
from channels.errors import AuthLost, ChannelError, RateLimited, Unreachable
from channels.slack.calls import SlackCalls
from channels.slack.capabilities import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    BACKOFF_REFUSED_S,
    FAREWELL_S,
    HELLO_TIMEOUT_S,
    IN_FLIGHT_MAX,
    PING_S,
    SOCKETS,
    STOP_TIMEOUT_S,
)
from channels.slack.failures import TRANSPORT
from channels.slack.pulse import SOCKET, Pulse

log = logging.getLogger(__name__)

Receive = Callable[[Mapping[str, Any]], Awaitable[tuple[bool, dict[str, Any] | None]]]
"""Stores an envelope's payload: whether to acknowledge it, and with what."""

_ENVELOPES = frozenset({"events_api", "interactive", "slash_commands"})
_SWITCHED_OFF = (
    "Socket Mode is switched off for this app: switch it on at api.slack.com/apps, or use mode http"
)
_TOO_MANY = "Slack refuses another socket of this app: stop other programs that use its app token"


class Refused(Exception):
    """Slack closed a socket in a way that only a person can mend; says what to do."""


@dataclass(frozen=True, slots=True)
class Backoff(backoff.Backoff):
    """The waits of this adapter; `refused_s` is for what only a person can mend."""

    first_s: float = BACKOFF_FIRST_S
    max_s: float = BACKOFF_MAX_S
    refused_s: float = BACKOFF_REFUSED_S


@dataclass(eq=False, slots=True)
class _Socket:
    """One open WebSocket after its hello."""

    connection: aiohttp.ClientWebSocketResponse
    reader: "asyncio.Task[str] | None" = None
    is_refreshing: asyncio.Event = field(default_factory=asyncio.Event)


class Sockets:
    """All links of one account. `start` once, `stop` once."""

    def __init__(
        self,
        calls: SlackCalls,
        app_token: str,
        receive: Receive,
        pulse: Pulse,
        backoff: Backoff | None = None,
    ) -> None:
        self._calls = calls
        self._app_token = app_token
        self._receive = receive
        self._pulse = pulse
        self._backoff = backoff or Backoff()
        self._jitter = random.Random()
        self._open: list[_Socket] = []
        self._links: list[asyncio.Task[None]] = []
        self._handling: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self.connected = asyncio.Event()
        """Set while at least one socket has said hello."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called at once when the last one is gone."""

    def start(self) -> None:
        """Begin to connect, in owned tasks."""
        self._links = [
            asyncio.create_task(self._link(f"{SOCKET} {number}"), name=f"slack socket {number}")
            for number in range(1, SOCKETS + 1)
        ]

    async def stop(self) -> None:
        """Read nothing more, let what is being stored be acknowledged, close. Idempotent."""
        links, self._links = self._links, []
        for socket in self._open:
            if socket.reader is not None:
                socket.reader.cancel()
        for link in links:
            link.cancel()
        if links:
            await asyncio.wait(links)
        if self._handling:
            await asyncio.wait(tuple(self._handling), timeout=STOP_TIMEOUT_S)
        for task in tuple(self._handling):
            task.cancel()
        for socket in tuple(self._open):
            await self._close(socket)

    # --- one link -----------------------------------------------------------------------------

    async def _link(self, name: str) -> None:
        """Keep one socket open until cancelled or until the app token is refused."""
        failures = 0
        while True:
            try:
                failures = await self._life(name, failures)
            except AuthLost as error:
                self._pulse.auth_lost = f"app_token: {error}"
                log.error("slack stopped: %s", error, extra=self._log_fields("auth_lost"))  # noqa: TRY400 - expected
                return
            except Refused as error:
                failures += 1
                await self._wait(name, self._backoff.refused_s, str(error))
            except ChannelError as error:
                failures += 1
                after_s = error.after_s if isinstance(error, RateLimited) else 0.0
                await self._wait(
                    name, max(after_s, self._backoff.delay_s(failures, self._jitter)), str(error)
                )
            except Exception:
                # The edge of this task: whatever a frame does must not end receiving.
                log.exception("slack socket broke", extra=self._log_fields("socket_broke"))
                failures += 1
                await self._wait(
                    name, self._backoff.delay_s(failures, self._jitter), "a socket broke; see the log"
                )

    async def _life(self, name: str, failures: int) -> int:
        """One socket and its successors, for as long as Slack only asks to move. Raises how it ended."""
        socket = await self._connected()
        while True:
            self._pulse.troubles.pop(name, None)
            refreshed = asyncio.create_task(socket.is_refreshing.wait())
            reader = socket.reader
            assert reader is not None
            try:
                await asyncio.wait({reader, refreshed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                refreshed.cancel()
            if not reader.done():
                try:
                    successor = await self._connected()
                except BaseException:
                    # Until there is a successor it is read for as long as Slack lets it.
                    self._leave_later(socket, None)
                    raise
                self._leave_later(socket, FAREWELL_S)
                socket = successor
                continue
            await self._close(socket)
            reason = reader.result()
            if socket.is_refreshing.is_set():
                # Slack asked to move and closed at once: no failure, but no hurry in a loop either.
                socket = await self._connected()
                continue
            raise Unreachable(f"Slack closed the socket ({reason})")

    async def _connected(self) -> _Socket:
        """A new socket with a fresh ticket, after its hello. Raises ChannelError or Refused."""
        answer = await self._calls.bare(
            None,
            "apps.connections.open",
            lambda client: client.apps_connections_open(app_token=self._app_token),
        )
        url = str(answer.fields.get("url") or "")
        try:
            connection = await self._calls.session().ws_connect(
                url, heartbeat=PING_S, timeout=aiohttp.ClientWSTimeout(ws_close=STOP_TIMEOUT_S)
            )
        except TRANSPORT as error:
            # Without its text: that holds the address, and the address the ticket.
            raise Unreachable(f"the socket was not opened ({type(error).__name__})") from None
        try:
            await self._hello(connection)
        except BaseException:
            await connection.close()
            raise
        socket = _Socket(connection)
        self._open.append(socket)
        self._count()
        socket.reader = asyncio.create_task(self._read(socket), name="slack socket reader")
        return socket

    async def _hello(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                message = await connection.receive()
        except TimeoutError:
            raise Unreachable("the socket stayed silent") from None
        frame = _frame(message)
        if frame.get("type") == "hello":
            return
        _raise_for(frame)
        raise Unreachable("the socket said no hello")

    async def _read(self, socket: _Socket) -> str:
        """Hand over envelopes until the socket ends; returns why. Raises Refused."""
        async for message in socket.connection:
            frame = _frame(message)
            kind = frame.get("type")
            if kind in _ENVELOPES and isinstance(frame.get("payload"), dict):
                # More than the store takes at once stays with Slack: the socket is not read meanwhile.
                await self._room.acquire()
                task = asyncio.create_task(self._handle(socket, frame), name="slack envelope")
                self._handling.add(task)
                task.add_done_callback(self._handled)
            elif kind == "disconnect":
                _raise_for(frame)
                socket.is_refreshing.set()
        return f"code {socket.connection.close_code}"

    def _handled(self, task: "asyncio.Task[None]") -> None:
        self._handling.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("slack envelope broke", exc_info=error, extra=self._log_fields("envelope_broke"))

    async def _handle(self, socket: _Socket, frame: Mapping[str, Any]) -> None:
        """Store one envelope, then acknowledge it; what is not acknowledged comes again."""
        is_stored, answer = await self._receive(frame["payload"])
        if not is_stored:
            return
        acknowledgement: dict[str, Any] = {"envelope_id": frame.get("envelope_id")}
        if answer is not None and frame.get("accepts_response_payload"):
            acknowledgement["payload"] = answer
        for one in (socket, *reversed(self._open)):
            if not one.connection.closed:
                with suppress(ConnectionError, aiohttp.ClientError):
                    await one.connection.send_str(json.dumps(acknowledgement))
                    return
        log.info("slack acknowledgement not sent: no socket", extra=self._log_fields("not_acknowledged"))

    # --- ends ---------------------------------------------------------------------------------

    def _leave_later(self, socket: _Socket, within_s: float | None) -> None:
        """Read what is still sent on a socket that Slack takes away, for a while or until it ends."""

        async def leave() -> None:
            reader = socket.reader
            assert reader is not None
            await asyncio.wait({reader}, timeout=within_s)
            await self._close(socket)

        task = asyncio.create_task(leave(), name="slack socket farewell")
        self._links.append(task)
        task.add_done_callback(lambda done: self._links.remove(done) if done in self._links else None)

    async def _close(self, socket: _Socket) -> None:
        if socket in self._open:
            self._open.remove(socket)
            self._count()
        if socket.reader is not None and not socket.reader.done():
            socket.reader.cancel()
            await asyncio.wait({socket.reader})
        elif socket.reader is not None and not socket.reader.cancelled():
            socket.reader.exception()  # told by whoever waited for it
        await socket.connection.close()

    def _count(self) -> None:
        self._pulse.sockets_up = len(self._open)
        if self._open:
            self.connected.set()
        else:
            self.connected.clear()
            self.on_lost()

    async def _wait(self, name: str, delay_s: float, detail: str) -> None:
        if self._pulse.troubles.get(name) != detail and not self._open:
            log.warning("slack degraded: %s", detail, extra=self._log_fields("degraded"))
        self._pulse.troubles[name] = detail
        await asyncio.sleep(delay_s)

    @staticmethod
    def _log_fields(action: str) -> dict[str, str]:
        return {"action": f"slack.{action}"}


def _frame(message: aiohttp.WSMessage) -> Mapping[str, Any]:
    """A frame as an object; nothing for what is none."""
    if message.type is not aiohttp.WSMsgType.TEXT:
        return {}
    try:
        frame = json.loads(message.data)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _raise_for(frame: Mapping[str, Any]) -> None:
    """Raise Refused for a disconnect that asks for a person."""
    match frame.get("reason") if frame.get("type") == "disconnect" else None:
        case "link_disabled":
            raise Refused(_SWITCHED_OFF)
        case "too_many_websockets":
            raise Refused(_TOO_MANY)
