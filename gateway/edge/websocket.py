"""One WebSocket: the shell around `protocol.connection.Connection`. Reads, feeds, writes, arms one timer.

What the frames mean is decided there, who may do what in `dispatch.py`, what followers get in the hub. An
idle connection costs its handler's coroutine and one timer, no task of its own.
"""

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.agents.workers import WorkerPool
from gateway.clock import Clock
from gateway.edge.authentication import Authenticator, Caller
from gateway.edge.devices import DeviceLink, caller_of, check_credential, close_code
from gateway.edge.dispatch import Dispatcher
from gateway.edge.handshake import hello_result
from gateway.edge.hooks import Hooks
from gateway.edge.presence import Presence
from gateway.edge.send_queue import SendQueue
from gateway.edge.workers import WorkerLink, check_role
from gateway.hub.hub import Hub, Opening
from gateway.hub.notes import PING_FRAME, Note, pong_frame, text_frame
from gateway.metrics import Metrics
from gateway.services.audit_export import AuditExports
from gateway.services.blobs import Uploads
from gateway.services.device_connections import DeviceConnections
from gateway.services.devices import Admission, Devices
from gateway.services.usage_export import UsageExports
from gateway.settings import LimitSettings
from protocol import limits
from protocol.connection import (
    Close,
    Connection,
    HelloReceived,
    Phase,
    RequestReceived,
    SendPing,
    SendText,
)
from protocol.device_identity import Connected
from protocol.errors import CloseCode, ErrorKind, Fault
from protocol.events import Challenge, ServerIdentity
from protocol.frames import Request
from protocol.ids import IdPrefix
from protocol.records import Principal
from protocol.requests import (
    ConnectionLimits,
    CursorPosition,
    HelloParams,
    ResumePoint,
)
from protocol.scopes import Scope
from storage.errors import StoreUnavailable
from storage.values import Bearer

log = structlog.get_logger()

CLOSE_TIMEOUT_S: Final = 2.0
"""Time a peer gets to answer a close before its connection is dropped."""
FRAME_MARGIN: Final = 64
"""Bytes the WebSocket layer takes beyond our limit, so that we answer a slightly larger frame ourselves."""
NONCE_BYTES: Final = 16
TIMER_SLACK_S: Final = 0.01
"""Deadlines this close together are served by one timer."""


@dataclass(slots=True)
class EdgeContext:
    """What connections share. Made once by `app.py`."""

    clock: Clock
    authenticator: Authenticator
    dispatcher: Dispatcher
    hooks: Hooks
    hub: Hub
    metrics: Metrics
    limits: LimitSettings
    uploads: Uploads
    audit_exports: AuditExports
    identity: ServerIdentity
    compression: bool
    devices: Devices
    device_connections: DeviceConnections
    presence: Presence
    usage_exports: UsageExports
    workers: WorkerPool = field(default_factory=WorkerPool)
    sessions: set["Session"] = field(default_factory=set)
    streams: set["EventStream"] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class EventStream:
    """An open stream of server-sent events, and whose credential keeps it open until when."""

    transport: asyncio.WriteTransport
    bearer: Bearer
    expires_at_ms: int | None


class _Socket(web.WebSocketResponse):
    """aiohttp's WebSocket, except that a frame it refuses is answered in our protocol before the close."""

    session: "Session | None" = None

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        if self.session is not None and code in (
            WSCloseCode.MESSAGE_TOO_BIG,
            WSCloseCode.PROTOCOL_ERROR,
            WSCloseCode.INVALID_TEXT,
            WSCloseCode.UNSUPPORTED_DATA,
        ):
            self.session.refuse_frame(WSCloseCode(code))
            code = CloseCode.BAD_FRAME
        return await super().close(code=code, message=message, drain=drain)


async def serve(context: EdgeContext, request: web.Request) -> web.StreamResponse:
    """Upgrade and serve until the connection ends."""
    socket = _Socket(
        protocols=(limits.SUBPROTOCOL,),
        timeout=CLOSE_TIMEOUT_S,
        autoping=False,
        compress=context.compression,
        max_msg_size=context.limits.frame_bytes + FRAME_MARGIN,
        decode_text=False,
    )
    await socket.prepare(request)
    session = Session(context, request, socket)
    socket.session = session
    context.sessions.add(session)
    gauge = context.metrics.connections.labels("websocket")
    gauge.inc()
    try:
        await session.run()
    finally:
        gauge.dec()
        context.sessions.discard(session)
        await session.finish()
    return socket


class Session:
    """One connection from its upgrade to its end."""

    __slots__ = (
        "_caller",
        "_connection",
        "_context",
        "_device",
        "_expiry",
        "_host",
        "_loop",
        "_peer",
        "_queue",
        "_socket",
        "_tails",
        "_tasks",
        "_timer",
        "_transport",
        "_worker",
        "connection_id",
        "device_id",
        "nonce",
    )

    def __init__(self, context: EdgeContext, request: web.Request, socket: _Socket) -> None:
        assert request.transport is not None, "an upgraded request has a transport"
        self._context = context
        self._socket = socket
        self._transport = request.transport
        self._peer = request.remote
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue(request.transport, _encode, self._on_stall)
        self._caller: Caller | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._worker: WorkerLink | None = None
        self._device: DeviceLink | None = None
        self.device_id: str | None = None
        """The device whose key this connection has proved, even before it is let in."""
        self.connection_id = context.clock.new_id(IdPrefix.CONNECTION)
        self.nonce = secrets.token_urlsafe(NONCE_BYTES)
        self._host = request.headers.get("Host", "")
        now = self._loop.time()
        challenge = Challenge(
            nonce=self.nonce,
            server_time=context.clock.now_ms(),
            server=context.identity,
            minors=list(limits.MINORS),
        )
        self._connection = Connection(challenge, now, context.limits.frame_bytes)
        self._timer = self._loop.call_at(now + limits.HELLO_TIMEOUT_S, self._on_timer)

    @property
    def bearer(self) -> Bearer | None:
        """Whose credential keeps this connection open; None before hello."""
        return self._caller.bearer if self._caller is not None else None

    @property
    def is_worker(self) -> bool:
        """Whether this is the connection of an agent process."""
        return self._worker is not None

    async def run(self) -> None:
        """Read until the connection ends."""
        self._flush()
        while True:
            if self._queue.is_full:  # who does not read answers may not ask for more
                await self._queue.has_room()
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    await self._receive(message.data)
                case WSMsgType.BINARY:
                    self._connection.receive_unreadable("Frames are text, not binary")
                case WSMsgType.PING:
                    self._queue.write_control(pong_frame(message.data))
                case WSMsgType.PONG:
                    self._connection.receive_pong()
                case _:
                    return
            self._flush()
            if self._queue.waiting_bytes > limits.QUEUE_BYTES:
                await self._queue.has_room()  # who does not read its answers may not ask for more

    async def _receive(self, data: bytes) -> None:
        if self._worker is not None:
            await self._worker.pace()
        received = self._connection.receive(data, self._loop.time())
        if isinstance(received, RequestReceived):
            self._start(received.request)
        elif isinstance(received, HelloReceived):
            await self._hello(received.params)
        elif self._worker is not None:
            self._worker.receive(received, len(data))
        elif self._device is not None:
            self._device.receive(received)

    def close(self, code: CloseCode, reason: str, retry_after_ms: int | None = None) -> None:
        """Say bye and close."""
        self._connection.close(code, reason, retry_after_ms)
        self._flush()

    def refuse_frame(self, code: WSCloseCode) -> None:
        """The WebSocket layer refused a frame: say so in our words; it closes afterwards."""
        if code is WSCloseCode.MESSAGE_TOO_BIG:
            self._connection.receive_oversized()
        else:
            self._connection.receive_unreadable("The frame is not valid WebSocket text")
        for action in self._connection.take_actions():
            if isinstance(action, SendText):
                self._queue.write(text_frame(action.payload))

    async def finish(self) -> None:
        """The socket is gone: forget everything. Requests under way finish their writes unanswered."""
        self._timer.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        self._context.hub.drop(self._queue)
        self._queue.close()
        self._leave()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- requests -----------------------------------------------------------------------------

    def _start(self, request: Request) -> None:
        """Answer in a task; requests on one thread take effect in the order sent (PROTOCOL.md §2)."""
        thread_id = request.params.get("thread_id")
        before = self._tails.get(thread_id) if isinstance(thread_id, str) else None
        task = self._loop.create_task(self._answer(request, before))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if isinstance(thread_id, str):
            self._tails[thread_id] = task
            task.add_done_callback(lambda done: self._forget_tail(thread_id, done))

    def _forget_tail(self, thread_id: str, task: "asyncio.Task[None]") -> None:
        if self._tails.get(thread_id) is task:
            del self._tails[thread_id]

    async def _answer(self, request: Request, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait((before,))
            if self._connection.phase is Phase.CLOSED:  # what its access was is over, too
                return
        assert self._caller is not None, "requests come after hello"
        self._context.authenticator.used(self._caller.bearer)
        try:
            worker = self._worker.worker if self._worker is not None else None
            reply = await self._context.dispatcher.call(
                self._caller, request.method, request.params, self._queue, worker, self._renew
            )
        except Fault as fault:
            self._connection.fail(request.id, fault)
            self._flush()
            return
        self._connection.respond(request.id, reply.result)
        self._flush()
        if reply.then is not None:
            reply.then()

    # --- hello --------------------------------------------------------------------------------

    async def _hello(self, params: HelloParams) -> None:
        admission: Admission | None = None
        try:
            check_credential(params)
            if params.auth.device is not None:
                admission = await self._admit(params)
                caller = caller_of(admission)
            else:
                caller = await self._context.authenticator.authenticate(
                    params.auth.token, "websocket", self._peer
                )
            self._caller = caller  # from here on a revocation finds this connection
            check_role(params, caller, self._context.workers)
            openings = [await self._resume(caller, point) for point in params.resume]
        except Fault as refusal:
            self._connection.refuse(refusal, close_code(refusal))
            return
        except StoreUnavailable:
            unreadable = Fault(ErrorKind.UNAVAILABLE, "The store cannot be read now")
            self._connection.refuse(unreadable, CloseCode.STORE_NOT_WRITABLE)
            return
        if self._connection.phase is Phase.CLOSED:  # shut out meanwhile
            return
        accepted = connection_limits(self._context.limits)
        asked = admission.asked if admission is not None else None
        epoch = self._context.hub.epoch
        self._connection.accept(
            hello_result(self.connection_id, caller, params, openings, epoch, accepted, asked)
        )
        self._arm_expiry(caller)
        self._flush()
        self._join(params, caller, admission)
        for opening in openings:
            if isinstance(opening, Opening):
                opening.begin()

    async def _admit(self, params: HelloParams) -> Admission:
        """The device that proved its key to this connection. Raises Fault."""
        assert params.auth.device is not None, "the caller looked"
        here = Connected(self.nonce, params.role, self._host, self._context.clock.now_ms())
        proven = await self._context.devices.prove(params.auth.device, here, self._peer)
        # From here on a revocation finds this connection, whatever the store is just asked.
        self.device_id = proven.successor_id or proven.device_id
        return await self._context.devices.admit(proven, params, self._peer)

    def _join(self, params: HelloParams, caller: Caller, admission: Admission | None) -> None:
        """Be there for others: as a principal, as a worker, as a device."""
        actor = caller.bearer.actor
        principal = Principal(id=actor.id, kind=actor.kind, name=actor.name)
        now_ms = self._context.clock.now_ms()
        self._context.presence.joined(caller.bearer.org_id, principal, self.connection_id, now_ms)
        if params.role == "agent" and caller.bearer.agent_id is not None:
            self._worker = WorkerLink(self.connection_id, params, self._queue, self.close)
            self._worker.join(self._context.workers, caller.bearer.org_id, caller.bearer.agent_id)
        if params.role == "device" and admission is not None:
            self._device = DeviceLink(admission.device, self._queue, self.close)
            self._context.device_connections.join(admission.device.id, self._device)

    def _leave(self) -> None:
        """The opposite. Idempotent."""
        if self._caller is not None:
            bearer = self._caller.bearer
            self._context.presence.left(bearer.org_id, bearer.actor.id, self.connection_id)
        if self._worker is not None:
            self._worker.leave(self._context.workers)
        if self._device is not None:
            self._device.leave(self._context.device_connections)

    async def _resume(self, caller: Caller, point: ResumePoint) -> Opening | str:
        """Reopen one subscription; a reason when its thread cannot be followed."""
        if Scope.THREAD_READ not in caller.scopes:
            return "forbidden"
        try:
            return await self._context.hub.subscribe(
                self._queue,
                caller.bearer.org_id,
                point.thread_id,
                CursorPosition(epoch=point.epoch, after_seq=point.after_seq),
                deltas=point.deltas,
                kinds=frozenset(point.kinds) if point.kinds is not None else None,
            )
        except Fault:
            return "gone"

    def _renew(self, caller: Caller) -> None:
        """From now on this credential keeps the connection open, and says what it may."""
        self._caller = caller
        self._arm_expiry(caller)
        if Scope.THREAD_READ not in caller.scopes:
            self._context.hub.drop(self._queue)

    def shorten(self, expires_at_ms: int) -> None:
        """The credential expires earlier than it did."""
        if self._caller is not None:
            bearer = replace(self._caller.bearer, expires_at_ms=expires_at_ms)
            self._renew(replace(self._caller, bearer=bearer))

    def _arm_expiry(self, caller: Caller) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expires = caller.bearer.expires_at_ms
        if expires is not None:
            left_s = max(0.0, (expires - self._context.clock.now_ms()) / 1000)
            # A timer cannot be set for longer than about 24 days everywhere; a shorter one renews itself.
            self._expiry = self._loop.call_later(min(left_s, 86_400.0), self._check_expiry, caller)

    def _check_expiry(self, caller: Caller) -> None:
        expires = caller.bearer.expires_at_ms
        if expires is not None and expires <= self._context.clock.now_ms():
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
        else:
            self._arm_expiry(caller)

    # --- writing and time ---------------------------------------------------------------------

    def _flush(self) -> None:
        for action in self._connection.take_actions():
            match action:
                case SendText(payload):
                    self._queue.write(text_frame(payload))
                case SendPing():
                    self._queue.write_control(PING_FRAME)
                case Close(code, reason):
                    self._context.metrics.closes.labels(str(code)).inc()
                    self._context.hub.drop(self._queue)  # nothing comes after bye
                    self._leave()
                    task = self._loop.create_task(self._close_socket(code, reason))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def _close_socket(self, code: int, reason: str) -> None:
        """Close once what waits was written; drop the connection when the peer does not take it."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._queue.has_room()
        except TimeoutError:
            self._transport.abort()
            return
        await self._socket.close(code=code, message=reason.encode()[:120])

    def _on_timer(self) -> None:
        now = self._loop.time()
        if self._queue.is_full:  # its pong is not read meanwhile; that it makes progress is watched there
            self._connection.receive_pong()
        self._connection.sent(max(self._queue.sent_at, now - limits.HEARTBEAT_S))
        self._connection.handle_timeout(now)
        self._flush()
        deadline = self._connection.next_deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(max(deadline, now + TIMER_SLACK_S), self._on_timer)

    def _on_stall(self) -> None:
        """The socket took nothing for 15 s: nobody will read a farewell."""
        self._connection.close(CloseCode.TOO_SLOW, "the socket takes no data")
        self._connection.take_actions()
        self._context.metrics.closes.labels(str(int(CloseCode.TOO_SLOW))).inc()
        log.info("a connection read too slowly", action="connection_too_slow")
        self._queue.close()
        self._transport.abort()


def connection_limits(settings: LimitSettings) -> ConnectionLimits:
    """The limits as clients see them."""
    return ConnectionLimits(
        frame_bytes=settings.frame_bytes,
        subscriptions=limits.SUBSCRIPTIONS,
        inflight=limits.INFLIGHT_REQUESTS,
        queue_bytes=limits.QUEUE_BYTES,
    )


def _encode(note: Note) -> bytes:
    return note.websocket
