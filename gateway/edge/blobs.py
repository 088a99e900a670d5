"""Files over HTTP: `POST /v1/blobs` takes one, `GET /v1/blobs/{id}` gives one (PROTOCOL.md §11).

A body goes to the disk as it comes. What is served is never run by a browser: it is an attachment, its type is
one of a short list, and a sandbox is around it.
"""

import asyncio
import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote

from aiohttp import web

from gateway.edge.authentication import Caller
from gateway.edge.websocket import EdgeContext
from gateway.rules.scopes import require
from gateway.services.blobs import Uploads
from protocol.errors import ErrorKind, Fault, invalid_params, invalid_request
from protocol.limits import IDEMPOTENCY_KEY_CHARS
from protocol.scopes import Scope
from storage.ports import FileDraft
from storage.values import Claim

CHUNK_BYTES: Final = 64 * 1024
"""Read from the socket at once."""
CHUNK_TIMEOUT_S: Final = 30.0
"""A body that brings nothing for so long is given up."""
UPLOAD_TIMEOUT_S: Final = 15 * 60.0
"""The longest an upload may take: 25 MiB at 30 KB/s."""
UPLOADS_AT_ONCE: Final = 32
"""Each has a file open and a buffer of 256 KiB."""
BUSY_RETRY_MS: Final = 2000
SHOWN_TYPES: Final = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain",
        "audio/mpeg", "audio/ogg", "audio/wav", "video/mp4", "video/webm",
    }
)  # fmt: skip
"""Types that no browser runs anything in; all others are served as mere bytes."""
_CLAIMED: Final = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
"""Content types that say nothing: what HTTP clients send of their own accord."""
_SANDBOX: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
_EXTENDED: Final = re.compile(r"filename\*=utf-8''([^;\s]+)", re.IGNORECASE)
_QUOTED: Final = re.compile(r'filename="((?:[^"\\]|\\.)*)"|filename=([^;\s"]+)', re.IGNORECASE)
"""RFC 6266, as far as clients write it."""


class BlobEdge:
    """Both routes."""

    def __init__(self, context: EdgeContext, uploads: Uploads) -> None:
        self._context = context
        self._uploads = uploads
        self._under_way = 0

    async def take(self, caller: Caller, request: web.Request) -> web.Response:
        """Store the body. Raises Fault."""
        self._context.dispatcher.take(caller)
        require(caller.scopes, Scope.MESSAGE_SEND)
        name, kind = _name(request), _claimed_type(request)
        claim = _claim(caller, request, name)
        if (request.content_length or 0) > self._uploads.limit_bytes:
            raise self._uploads.too_large()
        if self._under_way >= UPLOADS_AT_ONCE:
            raise Fault(ErrorKind.UNAVAILABLE, "Too many uploads at once", retry_after_ms=BUSY_RETRY_MS)
        self._under_way += 1
        draft: FileDraft | None = None
        try:
            draft = await self._uploads.begin()
            await self._read(request, draft)
            act = caller.act(self._context.clock.now_ms(), claim)
            answer = await self._uploads.finish(act, draft, name, kind)
        finally:
            self._under_way -= 1
            if draft is not None:
                await draft.abandon()
        return web.Response(body=bytes(answer), content_type="application/json")

    async def give(self, caller: Caller, request: web.Request) -> web.StreamResponse:
        """Serve a file, or the part of it that is asked for. Raises Fault."""
        self._context.dispatcher.take(caller)
        require(caller.scopes, Scope.THREAD_READ)
        served = await self._uploads.find(caller.bearer.org_id, request.match_info["blob_id"])
        kind = served.blob.media_type
        headers = {
            "Content-Type": kind if kind in SHOWN_TYPES else "application/octet-stream",
            "Content-Disposition": _disposition(served.blob.name),
            "Content-Security-Policy": _SANDBOX,
            "Cache-Control": "private, no-cache",
        }
        return web.FileResponse(served.path, headers=headers)

    async def _read(self, request: web.Request, draft: FileDraft) -> None:
        try:
            async with asyncio.timeout(UPLOAD_TIMEOUT_S):
                while chunk := await _next(request):
                    await self._uploads.add(draft, chunk)
        except TimeoutError:
            raise invalid_request("the body did not arrive in time") from None


async def _next(request: web.Request) -> bytes:
    async with asyncio.timeout(CHUNK_TIMEOUT_S):
        return await request.content.read(CHUNK_BYTES)


def _name(request: web.Request) -> str:
    """What the client calls the file; the gateway makes a name of it."""
    given = request.headers.get("X-Blob-Name")
    if given is not None:
        return unquote(given, errors="replace")
    disposition = request.headers.get("Content-Disposition", "")
    if found := _EXTENDED.search(disposition):
        return unquote(found[1], errors="replace")
    if found := _QUOTED.search(disposition):
        return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
    return ""


def _claimed_type(request: web.Request) -> str:
    kind = request.content_type
    return "" if kind in _CLAIMED else kind


def _claim(caller: Caller, request: web.Request, name: str) -> Claim | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARS:
        message = f"An idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS} characters"
        raise invalid_params([{"path": "idempotency_key", "message": message}])
    meaning = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
    return Claim(caller.bearer.actor.id, "blob.upload", key, meaning)


def _disposition(name: str) -> str:
    """An attachment, whatever it is; the plain name is for those who cannot read the other (RFC 6266 §4.3)."""
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
