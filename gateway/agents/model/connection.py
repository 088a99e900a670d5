"""The HTTP connection to a provider: timeouts, a pool, no redirects, and answers that cannot fill the memory.

A provider is somebody else's machine. What it sends is bounded here, below every parser: the SDKs collect an event
until its end and the whole of an error, however long they are.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

from protocol.limits import MIB

CONNECT_S: Final = 10.0
"""To connect, and to wait for a connection of the pool. Further than that a provider is not reached."""
CONNECTIONS: Final = 1000
"""At once to one provider: as many runs as a gateway is made for."""
IDLE_CONNECTIONS: Final = 100
"""Kept for the next request: a new one costs a TLS handshake."""
ANSWER_BYTES: Final = 32 * MIB
"""Of one answer. Models write up to 128,000 tokens, each in an event of about 250 bytes."""
EVENT_BYTES: Final = MIB
"""Of one server-sent event, or of a body that is none. Events of providers have less than a KiB."""
_TAIL: Final = 3
"""Bytes of one read that the end of an event may begin in."""


class AnswerTooLarge(httpx2.TransportError):
    """The provider sends more than any answer has."""


def open_client(idle_s: float) -> httpx2.AsyncClient:
    """A client for one agent; `idle_s` is how long nothing may come. Loads certificates: may block for milliseconds."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(idle_s, connect=CONNECT_S, pool=CONNECT_S),
        limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=IDLE_CONNECTIONS),
        # Compressed answers could be unpacked to any size.
        headers={"Accept-Encoding": "identity"},
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )


async def _bound(response: httpx2.Response) -> None:
    """Let no more come in than an answer has. Runs before anything of the body is read."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AnswerTooLarge("the answer is compressed, which was not asked for")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _BoundedStream(response.stream)


class _BoundedStream(httpx2.AsyncByteStream):
    """A body, read through and counted."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = event = 0
        tail = b""
        async for chunk in self._stream:
            total += len(chunk)
            seen = tail + chunk
            end = max(seen.rfind(b"\n\n"), seen.rfind(b"\r\n\r\n"))
            event = len(seen) - end if end >= 0 else event + len(chunk)
            tail = seen[-_TAIL:]
            if total > ANSWER_BYTES or event > EVENT_BYTES:
                raise AnswerTooLarge("the answer is larger than any answer of a model")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
