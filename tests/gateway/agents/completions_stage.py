"""A chat-completions endpoint on loopback that does what a test tells it, one behaviour per request."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH = "/v1/chat/completions"


@dataclass
class Asked:
    """One request as the endpoint got it."""

    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Endpoint:
    """What it will do, and what it was asked."""

    url: str = ""
    behaviours: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def will(self, *behaviours: Behaviour) -> None:
        self.behaviours += behaviours

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(dict(request.headers), await request.json()))
        return await self.behaviours.pop(0)(request)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """One that listens until the end of the block."""
    made = Endpoint()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post(PATH, made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    try:
        yield made
    finally:
        await runner.cleanup()


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> str:
    """One event of a streamed completion."""
    delta = {} if text is None else {"content": text}
    value = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return f"data: {json.dumps(value)}\n\n"


USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
END = "data: [DONE]\n\n"


def streams(*events: str, cut: bool = False, content_type: str = "text/event-stream") -> Behaviour:
    """Send these events; `cut`: and break the connection."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for event in events:
            await response.write(event.encode("utf-8", "surrogatepass"))
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return behave


def answers(
    status: int, body: Any = None, headers: dict[str, str] | None = None, text: str | None = None
) -> Behaviour:
    """Answer at once."""

    async def behave(request: web.Request) -> web.StreamResponse:
        if text is not None:
            return web.Response(status=status, text=text, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return behave


def hangs(*events: str) -> Behaviour:
    """Send these events, and then nothing."""

    async def behave(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(event.encode())
        await asyncio.Event().wait()
        return response

    return behave
