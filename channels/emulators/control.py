"""What the control sides have in common: script faults, read the log of calls, follow changes, read bodies.

JSON under `/control/`. For this machine only (see `loopback.py`): requests must name a loopback host, so that
a foreign page cannot reach it by rebinding a name, and bodies must be JSON, so that it cannot post a form.
What people can do on a network is each emulator's own.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from channels.emulators.calls import CallLog
from channels.emulators.errors import ControlError
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.page import PAGE_HEADERS, page_routes

Json = dict[str, Any]

# Shows a proxy or a browser that an idle stream still lives.
HEARTBEAT_S = 15.0
EVENTS_PATH = "/control/events"
# What a page may show by itself; everything else is only ever saved, whatever somebody called it.
_SHOWN_TYPES = frozenset(
    ("image/png", "image/jpeg", "image/gif", "image/webp", "audio/ogg", "audio/mpeg", "video/mp4")
)
_FAULT_FIELDS = frozenset({"kind", "method", "count", "retry_after_s", "code", "description", "delay_s"})


@dataclass(frozen=True, slots=True)
class ControlSide:
    """The control side of a running emulator: what serves it, and what it tells. `network` is the adapter's kind."""

    network: str
    routes: Sequence[web.RouteDef]
    feed: Feed

    def page_routes(self) -> list[web.RouteDef]:
        """The page of this network alone."""
        return page_routes({self.network: "/control"}, EVENTS_PATH)


class Inspection:
    """The handlers for faults, calls and changes."""

    def __init__(self, faults: FaultScript, calls: CallLog, feed: Feed) -> None:
        self._faults = faults
        self._calls = calls
        self._feed = feed

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/control/faults", self.faults),
            web.post("/control/faults", self.add_fault),
            web.delete("/control/faults", self.clear_faults),
            web.get("/control/calls", self.calls),
            web.get(EVENTS_PATH, self.events),
        ]

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response([fault.to_wire() for fault in self._faults.pending()])

    async def add_fault(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        if unknown := set(body) - _FAULT_FIELDS:
            raise ControlError(f"unknown field {min(unknown)}; known are {', '.join(sorted(_FAULT_FIELDS))}")
        delay_s = body.pop("delay_s", 0.0)
        if isinstance(delay_s, bool) or not isinstance(delay_s, int | float):
            raise ControlError("delay_s must be a number")
        fault = self._faults.add(
            text_of(body, "kind"),
            body.get("method"),
            count=integer_of(body, "count", 1),
            retry_after_s=integer_of(body, "retry_after_s", 1),
            code=integer_of(body, "code", 500),
            description=str(body.get("description", "Internal Server Error")),
            delay_s=delay_s,
        )
        return web.json_response(fault.to_wire())

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.json_response([])

    async def calls(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdecimal():
            raise ControlError("after is a call's seq")
        calls = self._calls.select(request.query.get("method"), int(after))
        return web.json_response([call.to_wire() for call in calls])

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await stream_changes(request, {"": self._feed})


async def stream_changes(request: web.Request, feeds: Mapping[str, Feed]) -> web.StreamResponse:
    """Tell the changes of feeds as server-sent events named after them, until one of them ends.

    A page that is cut off connects again and loads everything anew.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    queues = {name: feed.listen() for name, feed in feeds.items()}
    pumps: list[asyncio.Task[None]] = []
    try:
        # Connections that reset: the page went away, and there is nobody left to tell.
        with suppress(ConnectionResetError):
            await response.prepare(request)
            await response.write(b": connected\n\n")
            pumps += [asyncio.create_task(_pump(response, name, queue)) for name, queue in queues.items()]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await response.write_eof()
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for name, queue in queues.items():
            feeds[name].leave(queue)
    return response


async def _pump(response: web.StreamResponse, name: str, queue: asyncio.Queue[Json | None]) -> None:
    """Write the changes of one feed until it ends or the page goes away."""
    head = f"event: {name}\n" if name else ""
    with suppress(ConnectionResetError):
        while (event := await _next(queue)) is not None:
            text = f"{head}data: {json.dumps(event)}\n\n" if event else ": alive\n\n"
            await response.write(text.encode())


async def _next(queue: asyncio.Queue[Json | None]) -> Json | None:
    """The next change; an empty one when it is time for a sign of life."""
    try:
        return await asyncio.wait_for(queue.get(), HEARTBEAT_S)
    except TimeoutError:
        return {}


async def read_body(request: web.Request) -> Json:
    """The JSON object of a request. Raises ControlError."""
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise ControlError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ControlError("the body must be an object")
    return body


def text_of(body: Json, name: str) -> str:
    """A field that must be a text. Raises ControlError."""
    value = body.get(name)
    if not isinstance(value, str):
        raise ControlError(f"{name} must be a text")
    return value


def optional_text_of(body: Json, name: str) -> str | None:
    """A field that may be missing or null. Raises ControlError."""
    return None if body.get(name) is None else text_of(body, name)


def integer_of(body: Json, name: str, default: int | None = None) -> int:
    """A field that must be a whole number. Raises ControlError."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ControlError(f"{name} must be a whole number")
    return value


def optional_integer_of(body: Json, name: str) -> int | None:
    """A field that may be missing or null. Raises ControlError."""
    return None if body.get(name) is None else integer_of(body, name)


def file_response(data: bytes, content_type: str | None) -> web.Response:
    """Somebody's file: pictures and sounds may be shown, all else is saved; nothing of it runs on this origin."""
    headers = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}
    if content_type in _SHOWN_TYPES:
        return web.Response(body=data, content_type=content_type, headers=headers)
    headers["Content-Disposition"] = "attachment"
    return web.Response(body=data, content_type="application/octet-stream", headers=headers)
