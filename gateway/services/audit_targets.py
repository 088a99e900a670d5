"""What takes entries and checkpoints of the audit log: a file, a syslog receiver, an HTTP address.

A batch that is sent was taken, as far as its target can say so: a file has it on its disk, an HTTP server answered 2xx,
a syslog receiver's machine has acknowledged its bytes. Who repeats, and when, is `audit_outlets.py`.
"""

import asyncio
import os
import re
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from termios import TIOCOUTQ
from typing import Final, Protocol

import aiohttp
import orjson

from gateway import checkpoint_file
from protocol.limits import KIB, MIB

CONNECT_S: Final = 10.0
ANSWER_S: Final = 30.0
"""For a whole POST: a collector that takes longer for some hundred lines is not well."""
ACKNOWLEDGED_S: Final = 10.0
"""Time the machine of a syslog receiver gets to acknowledge a batch."""
LOOK_S: Final = 0.01
"""How often is looked whether it has."""
TORN_BYTES: Final = 2 * MIB
"""How far back the end of the last whole line is looked for: more than a line ever has."""
ANSWER_BYTES: Final = 64 * KIB
"""Read of an answer, so that the connection can be used again."""
RETRY_AFTER_MAX_S: Final = 3600.0
FACILITY_AUDIT: Final = 13
"""RFC 5424 §6.2.1, table 1: log audit."""
SEVERITY: Final = {"success": 6, "failure": 4}
"""Informational, warning."""
SEQUENCE_MAX: Final = 2_147_483_647
"""RFC 5424 §7.3.1: the largest sequenceId."""
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")


class NotTaken(Exception):
    """The target did not take a batch. `retry_after_s` is what it asked for."""

    def __init__(self, why: str, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send: an entry as a line, or a checkpoint. `position` is where an outlet is after it."""

    position: int
    data: bytes


class Target(Protocol):
    """Where batches go. One batch at a time."""

    async def send(self, batch: Sequence[Item]) -> None:
        """Have a batch taken. Raises NotTaken, OSError, TimeoutError; then all of it is sent again."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class FileTarget:
    """Appends lines to a file, which may be moved away at any time (log rotation): then a new one begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    async def send(self, batch: Sequence[Item]) -> None:
        await asyncio.to_thread(self._append, b"".join(item.data for item in batch))

    async def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, data: bytes) -> None:
        descriptor = self._opened()
        before = os.fstat(descriptor).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)  # no half line: all of it comes again
            raise

    def _opened(self) -> int:
        if self._descriptor is not None:
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            ours = os.fstat(self._descriptor)
            if there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._descriptor = descriptor
        _drop_torn_line(descriptor)
        if is_new:
            _sync_directory(self._path.parent)
        return descriptor


class AnchorFileTarget:
    """Appends checkpoints to a file, each a note with an empty line behind it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, batch: Sequence[Item]) -> None:
        for item in batch:
            await asyncio.to_thread(checkpoint_file.append, self._path, item.data.decode())

    async def close(self) -> None: ...


class SyslogTarget:
    """RFC 5424 messages over TCP, framed by octet counting (RFC 6587 §3.4.1), or the same over TLS (RFC 5425).

    Syslog has no answer. A batch counts as taken when the receiver's machine acknowledged its bytes; and since its
    program may still have lost them with the connection, the last batch is sent again on the next one.
    """

    def __init__(self, host: str, port: int, *, tls: bool = False) -> None:
        self._host, self._port = host, port
        self._tls = ssl.create_default_context() if tls else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._last: Sequence[Item] = ()

    async def send(self, batch: Sequence[Item]) -> None:
        if self._writer is None or self._writer.is_closing() or (self._reader and self._reader.at_eof()):
            await self.close()
            async with asyncio.timeout(CONNECT_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
            writer, sent = self._writer, [*self._last, *batch]
        else:
            writer, sent = self._writer, list(batch)
        try:
            async with asyncio.timeout(ACKNOWLEDGED_S):
                writer.write(b"".join(framed(item.data) for item in sent))
                await writer.drain()
                while _unacknowledged(writer):
                    await asyncio.sleep(LOOK_S)
                    if self._reader is not None and self._reader.at_eof():
                        raise NotTaken("the receiver closed the connection")
        except BaseException:
            writer.transport.abort()
            self._writer = None
            raise
        self._last = batch

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._reader = self._writer = None


class HttpTarget:
    """POSTs batches; an answer of 2xx takes them. No redirect is followed, no proxy of the environment asked."""

    def __init__(self, url: str, media_type: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = {"User-Agent": "threadgate", **headers, "Content-Type": media_type}
        self._session: aiohttp.ClientSession | None = None

    async def send(self, batch: Sequence[Item]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_S, connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        data = b"".join(item.data for item in batch)
        try:
            async with self._session.post(
                self._url, data=data, headers=self._headers, allow_redirects=False
            ) as response:
                await response.content.read(ANSWER_BYTES)
                if not 200 <= response.status < 300:
                    raise NotTaken(f"it answered {response.status}", _retry_after_s(response))
        except aiohttp.ClientError as error:
            raise NotTaken(type(error).__name__) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def framed(message: bytes) -> bytes:
    """A message behind its length in octets."""
    return b"%d %b" % (len(message), message)


def syslog_message(body: str, text: bytes, hostname: str) -> bytes:
    """An entry as an RFC 5424 message: priority by outcome, the action as MSGID, the number as `meta sequenceId`.

    `text` is the entry as it is written (its line, without the newline).
    """
    entry = orjson.loads(body)
    priority = FACILITY_AUDIT * 8 + SEVERITY.get(entry["outcome"], SEVERITY["failure"])
    action = _UNPRINTABLE.sub("_", entry["action"])[:32] or "-"
    number = (entry["seq"] - 1) % SEQUENCE_MAX + 1
    head = f'<{priority}>1 {entry["at"]} {hostname} threadgate - {action} [meta sequenceId="{number}"] '
    return head.encode("ascii") + text


def own_hostname() -> str:
    """This machine's name as syslog takes it: 255 printable characters at most."""
    return _UNPRINTABLE.sub("_", socket.gethostname())[:255] or "-"


def _unacknowledged(writer: asyncio.StreamWriter) -> int:
    """Bytes the peer's machine has not acknowledged: ours that wait, and the kernel's (Linux tcp(7), SIOCOUTQ)."""
    ours: int = writer.transport.get_write_buffer_size()
    peer = writer.get_extra_info("socket")
    (kernels,) = struct.unpack("i", ioctl(peer.fileno(), TIOCOUTQ, b"\0" * 4))
    return ours + int(kernels)


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    given = response.headers.get("Retry-After", "")
    return min(float(given), RETRY_AFTER_MAX_S) if given.isdecimal() and len(given) < 10 else 0.0


def _drop_torn_line(descriptor: int) -> None:
    """A crash may have left a line without its end; it was not confirmed and comes again."""
    size = os.fstat(descriptor).st_size
    begin = max(0, size - TORN_BYTES)
    tail = os.pread(descriptor, size - begin, begin)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(descriptor, begin + tail.rfind(b"\n") + 1)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
