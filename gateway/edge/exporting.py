"""An export on its way to a reader: streamed, with a deadline for every piece, and never mistaken for a whole one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from protocol.errors import Fault
from storage.errors import StoreUnavailable

log = structlog.get_logger()

READER_S: Final = 60.0
"""A reader that takes nothing for so long is let go."""


async def stream(
    request: web.Request, pieces: AsyncIterator[bytes], media_type: str, name: str
) -> web.StreamResponse:
    """Send the pieces as a file. Raises Fault before the first byte; after it, the connection ends in the middle."""
    first = await anext(pieces, b"")
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{media_type}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    try:
        await _write(response, first)
        async for piece in pieces:
            await _write(response, piece)
        await response.write_eof()
    except (TimeoutError, ConnectionError, StoreUnavailable, Fault) as error:
        # What was sent is no whole export: without its end, the reader knows.
        log.warning("an export was broken off", action="export_broken", name=name, error=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(READER_S):
        await response.write(piece)
