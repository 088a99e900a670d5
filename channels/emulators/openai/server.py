"""The API side: chat completions and models over HTTP, faults carried out, calls recorded.

What is answered is decided in `answers.py`, how it looks in `wire.py`.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from aiohttp import web

from channels.emulators.calls import Call, CallLog
from channels.emulators.faults import Fault, FaultKind, FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import cut
from channels.emulators.openai.answers import Answer, AnswerScript
from channels.emulators.openai.wire import END, Heading, Json, Refused, check_request, frames, whole

COMPLETIONS = "chat.completions"
MODELS = "models"
# Of a request's body, in the log of calls.
BODY_CHARS = 2_000
# Frames without a delay between them travel together, as they do on a real connection.
WRITE_BYTES = 64 * 1024


class CompletionsApi:
    """The routes under `/v1`. `key` None takes every key, and none. `requests` gets the bodies it was asked with."""

    def __init__(
        self,
        script: AnswerScript,
        faults: FaultScript,
        calls: CallLog,
        feed: Feed,
        requests: deque[Json],
        clock: Callable[[], float],
        models: Sequence[str],
        key: str | None,
    ) -> None:
        self._requests = requests
        self._closing = asyncio.Event()
        self._script = script
        self._faults = faults
        self._calls = calls
        self._feed = feed
        self._clock = clock
        self._models = models
        self._key = key

    def close(self) -> None:
        """Wake everybody who waits, so that the server can stop."""
        self._closing.set()

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.post("/v1/chat/completions", self.completions),
            web.get("/v1/models", self.models),
        ]

    async def models(self, request: web.Request) -> web.StreamResponse:
        call = self._calls.add(self._clock(), "", MODELS, {})
        try:
            self._check_key(request)
        except Refused as refused:
            return self._refuse(call, refused)
        fault = await self._before(call, MODELS)
        if fault is not None and (broken := self._carry_out(request, call, fault)) is not None:
            return broken
        self._answered(call, 200)
        created = int(self._clock())
        data = [
            {"id": name, "object": "model", "created": created, "owned_by": "emulator"}
            for name in self._models
        ]
        return web.json_response({"object": "list", "data": data})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        call = self._calls.add(self._clock(), "", COMPLETIONS, {"body": text[:BODY_CHARS]})
        try:
            self._check_key(request)
            body = check_request(_parsed(text))
        except Refused as refused:
            return self._refuse(call, refused)
        call.bot = body["model"]
        self._requests.append(body)
        fault = await self._before(call, COMPLETIONS)
        if fault is not None and (broken := self._carry_out(request, call, fault)) is not None:
            return broken
        heading = Heading(call.seq, int(self._clock()), body["model"])
        answer = self._script.take(body)
        await self._pause(answer.first_delay_s)
        self._answered(call, 200)
        if answer.raw is None and not body.get("stream"):
            return web.json_response(whole(heading, body, answer))
        return await self._stream(request, _bodies(heading, body, answer), answer)

    async def _stream(
        self, request: web.Request, bodies: Iterator[bytes], answer: Answer
    ) -> web.StreamResponse:
        """Write a stream: each piece by itself when there is a delay between them, otherwise together."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        # Connections that reset: the client went away, which is its right.
        with suppress(ConnectionResetError):
            await response.prepare(request)
            for body in bodies if answer.delay_s else _together(bodies):
                await response.write(body)
                await self._pause(answer.delay_s)
            if answer.cut_after is not None and not answer.ends_early:
                return cut(request, resets=False)
            await response.write_eof()
        return response

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    async def _before(self, call: Call, method: str) -> Fault | None:
        """The fault of this call, after its delay."""
        fault = self._faults.take(method)
        if fault is not None:
            call.fault = fault.kind.value
            await self._pause(fault.delay_s)
        return fault

    def _carry_out(self, request: web.Request, call: Call, fault: Fault) -> web.StreamResponse | None:
        """What a fault answers; None when it only took time."""
        match fault.kind:
            case FaultKind.RATE_LIMIT:
                refused = Refused(429, "Rate limit reached", "requests", "rate_limit_exceeded")
                return self._refuse(call, refused, {"Retry-After": str(fault.retry_after_s)})
            case FaultKind.ERROR:
                kind = "server_error" if fault.code >= 500 else "invalid_request_error"
                code = "invalid_api_key" if fault.code == 401 else None
                return self._refuse(call, Refused(fault.code, fault.description, kind, code))
            case FaultKind.SLOW:
                return None
            case _:
                return cut(request, resets=fault.kind is FaultKind.REFUSE)

    def _check_key(self, request: web.Request) -> None:
        if self._key is not None and request.headers.get("Authorization") != f"Bearer {self._key}":
            raise Refused(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key")

    def _refuse(self, call: Call, refused: Refused, headers: dict[str, str] | None = None) -> web.Response:
        self._answered(call, refused.status, str(refused))
        return web.json_response(refused.to_wire(), status=refused.status, headers=headers)

    def _answered(self, call: Call, status: int, description: str | None = None) -> None:
        call.status, call.description = status, description
        if self._feed.has_listeners:
            self._feed.publish([call.to_wire()])


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise Refused(
            400, "We could not parse the JSON body of your request.", "invalid_request_error"
        ) from None


def _bodies(heading: Heading, body: Json, answer: Answer) -> Iterator[bytes]:
    """What is written, piece by piece, the end mark included when the answer has one."""
    if answer.raw is not None:
        yield answer.raw.encode()
        return
    for number, frame in enumerate(frames(heading, body, answer)):
        # The first frame has no text: it is there before any piece.
        if answer.cut_after is not None and number > answer.cut_after:
            return
        yield frame
    yield END


def _together(bodies: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger writes."""
    waiting: list[bytes] = []
    size = 0
    for body in bodies:
        waiting.append(body)
        size += len(body)
        if size >= WRITE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
