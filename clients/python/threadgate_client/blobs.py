"""Files: `client.blobs`. The one part of the protocol that goes over HTTP, because frames are small.

With the standard library, in a thread: a file is rare beside messages, and nothing here needs another dependency.
A proxy that the client was given is not used for files.
"""

import asyncio
import json
import secrets
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

from threadgate_client import limits
from threadgate_client.engine import Engine
from threadgate_client.errors import DeadlineExceeded, ProtocolViolation, ThreadgateError, from_wire
from threadgate_client.fields import Fields
from threadgate_client.version import VERSION

T = TypeVar("T")
TIMEOUT_S: Final = 60.0
"""A connection on which nothing moves for so long is broken."""
_PIECE: Final = 256 * 1024
_EXTENDED: Final = "filename*=utf-8''"


class Disconnected(ThreadgateError):
    """The connection for a file broke. An upload with the same key can be repeated safely."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file at the gateway. `state` is pending, stored, failed, or a newer one."""

    id: str
    name: str
    media_type: str
    size_bytes: int | None
    sha256: str | None
    state: str
    created_at: datetime

    @classmethod
    def from_json(cls, value: object) -> "Blob":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "blob")
        return cls(
            id=wire.text("id"),
            name=wire.text("name", ""),
            media_type=wire.text("media_type", ""),
            size_bytes=wire.maybe_number("size_bytes"),
            sha256=wire.maybe_text("sha256"),
            state=wire.text("state"),
            created_at=wire.instant("created_at"),
        )


@dataclass(frozen=True, slots=True)
class Download:
    """A file and its bytes. `name` is safe to save under."""

    name: str
    media_type: str
    data: bytes


class Blobs:
    """Uploads and downloads. Both raise RequestRefused, DeadlineExceeded, Disconnected and why the client ended."""

    def __init__(self, engine: Engine, ssl_context: ssl.SSLContext | None) -> None:
        self._engine = engine
        self._ssl_context = ssl_context

    async def upload(
        self,
        source: bytes | Path,
        name: str | None = None,
        *,
        media_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Blob:
        """Store a file, to be sent as `BlobPart(blob.id)`. A path is read while it is sent.

        Without a name a path has its own. Raises OSError when the path cannot be read.
        """
        if name is None:
            name = source.name if isinstance(source, Path) else "file"
        headers = {
            "X-Blob-Name": quote(name, safe=""),
            "Content-Type": media_type or "application/octet-stream",
            "Idempotency-Key": idempotency_key or secrets.token_hex(limits.IDEMPOTENCY_KEY_BYTES),
        }
        path = self._path("/v1/blobs")

        def ask(connection: HTTPConnection) -> Blob:
            if isinstance(source, bytes):
                connection.request("POST", path, source, headers)
            else:
                with source.open("rb") as file:
                    sized = headers | {"Content-Length": str(source.stat().st_size)}
                    connection.request("POST", path, _Pieces(file), sized)
            body = _checked(connection.getresponse()).read()
            return Fields(_object(body), "answer").one("blob", Blob.from_json)

        return await self._in_thread(ask, headers)

    async def download(self, blob_id: str) -> Download:
        """The bytes of a file. InvalidState while it is still fetched, with `retry_after_s`."""
        path = self._path(f"/v1/blobs/{quote(blob_id, safe='')}")
        headers: dict[str, str] = {}

        def ask(connection: HTTPConnection) -> Download:
            connection.request("GET", path, headers=headers)
            response = _checked(connection.getresponse())
            name = _name(response.getheader("Content-Disposition", ""))
            return Download(name or blob_id, response.getheader("Content-Type", ""), response.read())

        return await self._in_thread(ask, headers)

    # --- one request

    def _path(self, path: str) -> str:
        return urlsplit(self._engine.url).path.removesuffix(limits.SOCKET_PATH) + path

    async def _in_thread(self, ask: Callable[[HTTPConnection], T], headers: dict[str, str]) -> T:
        self._engine.check_open()
        token = self._engine.token
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        headers["User-Agent"] = f"threadgate-client/{VERSION}"
        connection = self._connection()
        gone = threading.Event()

        def run() -> T:
            try:
                return ask(connection)
            except TimeoutError:
                raise DeadlineExceeded("a file", TIMEOUT_S) from None
            except (HTTPException, ConnectionError) as error:
                raise Disconnected(f"the connection broke: {error!r}") from error
            except OSError:
                if gone.is_set():
                    raise Disconnected("the request was given up") from None
                raise
            finally:
                connection.close()

        try:
            return await asyncio.to_thread(run)
        except asyncio.CancelledError:
            gone.set()
            connection.close()
            raise

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self._engine.url)
        assert parts.hostname is not None, "the engine checked its address"
        if parts.scheme == "wss":
            return HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=self._ssl_context)
        return HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)


class _Pieces:
    """A file in large pieces: `http.client` would send 8 KiB at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __iter__(self) -> "_Pieces":
        return self

    def __next__(self) -> bytes:
        if piece := self._file.read(_PIECE):
            return piece
        raise StopIteration


def _checked(response: HTTPResponse) -> HTTPResponse:
    """The response, if it is what was asked for. Raises RequestRefused, ProtocolViolation."""
    if response.status == 200:
        return response
    problem = _object(response.read())
    if "kind" not in problem:
        raise ProtocolViolation(f"HTTP {response.status} without a reason")
    raise from_wire({"code": -32000, "message": problem.get("detail", ""), "data": problem})


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        raise ProtocolViolation("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolViolation("the answer is not an object")
    return value


def _name(disposition: str) -> str:
    """What the gateway calls the file, without anything that could be a path."""
    for field in disposition.split(";"):
        field = field.strip()
        if field.lower().startswith(_EXTENDED):
            return Path(unquote(field[len(_EXTENDED) :]).replace("\\", "/")).name
    return ""
