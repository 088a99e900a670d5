"""A thread as server-sent events: the same subscription and replay as over WebSocket, in another dress.

`id:` is the seq of durable events, so a browser's EventSource resumes by itself with Last-Event-ID.
"""

import asyncio
from typing import Final

from aiohttp import web

from gateway.edge.authentication import Caller
from gateway.edge.http import problem
from gateway.edge.send_queue import SendQueue
from gateway.edge.websocket import EdgeContext, EventStream
from gateway.hub.hub import Position
from gateway.hub.notes import Note
from gateway.rules.scopes import require
from protocol import limits
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.requests import CursorPosition
from protocol.scopes import Scope

POLL_S: Final = 5.0
"""How soon a vanished reader, or an expired token, is noticed."""
_COMMENT: Final = b"c\r\n: heartbeat\n\r\n"


async def serve(context: EdgeContext, request: web.Request, caller: Caller) -> web.StreamResponse:
    """Stream `GET /v1/threads/{id}/events` until the reader goes away or the cursor is refused."""
    require(caller.scopes, Scope.THREAD_READ)
    _position(context, request)  # refused before anything is open
    transport = request.transport
    if transport is None:
        return problem(invalid_params([{"path": "", "message": "the connection is gone"}]))
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    response.enable_chunked_encoding()
    queue = SendQueue(transport, _encode, transport.abort)
    stream = EventStream(transport, caller.bearer, caller.bearer.expires_at_ms)
    context.streams.add(stream)  # before anything is awaited: from here on a revocation finds it
    try:
        await _stream(context, request, caller, response, queue, stream)
    finally:
        context.streams.discard(stream)
        context.hub.drop(queue)
        queue.close()
    return response


async def _stream(
    context: EdgeContext,
    request: web.Request,
    caller: Caller,
    response: web.StreamResponse,
    queue: SendQueue,
    stream: EventStream,
) -> None:
    kinds = request.query.get("kinds")
    opening = await context.hub.subscribe(
        queue,
        caller.bearer.org_id,
        request.match_info["thread_id"],
        _position(context, request),
        deltas=request.query.get("deltas", "true") != "false",
        kinds=frozenset(kinds.split(",")) if kinds else None,
    )
    if queue.is_closed:
        raise Fault(ErrorKind.UNAUTHORIZED, "The credential was revoked just now")
    gauge = context.metrics.connections.labels("sse")
    gauge.inc()
    try:
        await response.prepare(request)
        await response.write(b": threadgate\n\n")  # sends the headers, which aiohttp holds back until then
        opening.begin()
        if opening.reset_reason is None:
            await _keep_open(context, stream, queue)
    finally:
        gauge.dec()


def _position(context: EdgeContext, request: web.Request) -> Position:
    given = request.headers.get("Last-Event-ID") or request.query.get("after_seq")
    if given is None:
        return "start"
    if not given.isdecimal():
        raise invalid_params([{"path": "after_seq", "message": "Give the number of the last event you have"}])
    epoch = request.query.get("epoch", context.hub.epoch)
    return CursorPosition(epoch=epoch, after_seq=min(int(given), 2**53 - 1))


async def _keep_open(context: EdgeContext, stream: EventStream, queue: SendQueue) -> None:
    loop = asyncio.get_running_loop()
    queue.sent_at = loop.time()
    while not queue.is_closed:
        if stream.expires_at_ms is not None and context.clock.now_ms() >= stream.expires_at_ms:
            return
        if loop.time() - queue.sent_at >= limits.HEARTBEAT_S:
            queue.write(_COMMENT)
        await asyncio.sleep(POLL_S)


def _encode(note: Note) -> bytes:
    return note.sse
