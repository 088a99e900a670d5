"""An MCP server at an address (streamable HTTP): the package's transport over a client whose answers are bounded."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage

from gateway.agents.tools.flood import MESSAGE_BYTES_MAX, Allowance, Flooded

CONNECT_S: Final = 10.0
"""To connect, and to have a request taken."""
SILENCE_S: Final = 3600.0
"""Between two pieces of an answer; how long a call may take is decided by who calls."""
_EVENT_END: Final = b"\n\n"


@asynccontextmanager
async def http_transport(
    url: str, headers: Mapping[str, str]
) -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
    """Speak with the server at `url`. Proxies of the environment are not used."""
    timeout = httpx2.Timeout(CONNECT_S, read=SILENCE_S)
    bounded = _Bounded(httpx2.AsyncHTTPTransport(trust_env=False))
    async with (
        httpx2.AsyncClient(
            headers=dict(headers), timeout=timeout, transport=bounded, trust_env=False
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MESSAGE_BYTES_MAX) as streams,
    ):
        yield streams


class _Bounded(httpx2.AsyncBaseTransport):
    """Counts what a server sends, over all answers of one connection."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self._allowance = Allowance(at_s=_now())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("it sent a packed answer, which could unpack to any size")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        response.stream = _Counted(response.stream, self._allowance, None if is_stream else MESSAGE_BYTES_MAX)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    """One answer. `longest`: of an answer that is a single message."""

    def __init__(self, inner: httpx2.AsyncByteStream, allowance: Allowance, longest: int | None) -> None:
        self._inner = inner
        self._allowance = allowance
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._inner:
            size += len(piece)
            if self._longest is not None and size > self._longest:
                raise httpx2.StreamError(f"the answer has more than {self._longest} bytes")
            try:
                self._allowance.take(len(piece), piece.count(_EVENT_END), _now())
            except Flooded as flood:
                raise httpx2.StreamError(str(flood)) from flood
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _now() -> float:
    return asyncio.get_running_loop().time()
