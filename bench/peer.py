"""The other side of a benchmark: a gateway process on a core of its own, and a cheap WebSocket client.

The client is made for load, not for use: it masks with a zero key (allowed by RFC 6455 §5.3, and free), does
not parse what it only counts, and costs a few microseconds per frame, so that the gateway is what is measured.
"""

import asyncio
import base64
import json
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from bench import machine

GATEWAY_COMMAND = ("-m", "gateway")
GATEWAY_CORE = 0
LOAD_CORE = 1
START_TIMEOUT_S = 20.0
CONFIG = """
[limits]
requests_per_s = 1000000
request_burst = 1000000

[runs]
queue_max = 10000
concurrent = {concurrent}
"""


class GatewayProcess:
    """`threadgate serve` on a scratch directory, pinned to one core."""

    def __init__(
        self, concurrent: int = 64, more_config: str = "", command: Sequence[str] = GATEWAY_COMMAND
    ) -> None:
        self._command = command
        self._scratch = tempfile.TemporaryDirectory(prefix="threadgate-bench-")
        self.data_dir = Path(self._scratch.name) / "data"
        self._config = Path(self._scratch.name) / "config.toml"
        self._config.write_text(CONFIG.format(concurrent=concurrent) + more_config)
        self.pid = 0
        self.port = 0
        self.secret = ""
        self.ready_s = 0.0

    async def __aenter__(self) -> Self:
        began = time.perf_counter()
        command = [sys.executable, *self._command, "serve", "--port", "0", "--data-dir", str(self.data_dir)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            "--config",
            str(self._config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {GATEWAY_CORE}),
        )
        self.pid = self._process.pid
        runtime = self.data_dir / "gateway.json"
        while not runtime.exists():
            if time.perf_counter() - began > START_TIMEOUT_S or self._process.returncode is not None:
                raise RuntimeError("the gateway did not start")
            await asyncio.sleep(0.002)
        found = json.loads(runtime.read_text())
        self.port = int(found["url"].rsplit(":", 1)[1])
        self.secret = found["secret"]
        while not await asyncio.to_thread(_is_ready, found["url"]):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        self.ready_s = time.perf_counter() - began
        os.sched_setaffinity(0, {LOAD_CORE})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 20)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._scratch.cleanup()

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        return machine.cpu_s(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return machine.rss_bytes(self.pid)

    async def metric(self, name: str) -> float:
        """The value of one metric without labels."""
        text = await asyncio.to_thread(
            lambda: urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5).read().decode()
        )
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def _is_ready(url: str) -> bool:
    """Whether nothing is missing; a channel may still be connecting."""
    try:
        with urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.read())
    except HTTPError:
        return False


class LoadClient(asyncio.Protocol):
    """One WebSocket connection for load."""

    def __init__(self) -> None:
        self.frames = 0
        self.received_bytes = 0
        self.on_frame: Callable[[bytes], None] | None = None
        self.only_counts_bytes = False
        self._buffer = bytearray()
        self._upgraded = False
        self._ready = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, gateway: GatewayProcess) -> "LoadClient":
        """Connect, say hello, return when the connection is live."""
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(cls, "127.0.0.1", gateway.port)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: threadgate.v1\r\n\r\n".encode()
        )
        await client._ready
        hello = {"minor": 0, "client": {"name": "bench"}, "auth": {"token": gateway.secret}}
        await client.request("hello", hello)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.only_counts_bytes:
            return
        self._buffer += data
        if not self._upgraded:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            if b" 101 " not in head:
                raise RuntimeError(head.decode())
            self._upgraded = True
            self._buffer = bytearray(rest)
            self._ready.set_result(None)
        self._parse()

    def _parse(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, begin = buffer[at + 1] & 0x7F, at + 2
            if size == 126:
                if len(buffer) < begin + 2:
                    break
                (size,) = struct.unpack_from("!H", buffer, begin)
                begin += 2
            elif size == 127:
                if len(buffer) < begin + 8:
                    break
                (size,) = struct.unpack_from("!Q", buffer, begin)
                begin += 8
            if len(buffer) < begin + size:
                break
            if buffer[at] == 0x81:
                self.frames += 1
                self._take(buffer, begin, size)
            elif buffer[at] == 0x89:
                self._write(0x8A, b"")
            at = begin + size
        del buffer[:at]

    def _take(self, buffer: bytearray, begin: int, size: int) -> None:
        # Answers begin with the id: the only frames worth reading whole, unless somebody asked for all.
        if buffer.startswith(b'{"jsonrpc":"2.0","id":', begin):
            answer = json.loads(bytes(buffer[begin : begin + size]))
            future = self._answers.pop(answer["id"], None)
            if future is not None and not future.done():
                future.set_result(answer)
        elif self.on_frame is not None:
            self.on_frame(bytes(buffer[begin : begin + size]))

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request; returns its result, raises on an error."""
        self._number += 1
        number = self._number
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        self._write(
            0x81, json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        )
        answer = await future
        if "error" in answer:
            raise RuntimeError(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, first: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, size)
        assert self._transport is not None
        self._transport.write(head + b"\0\0\0\0" + payload)


class Watcher:
    """Waits for kinds of notifications on one connection; a run that fails fails whoever waits."""

    def __init__(self, client: LoadClient) -> None:
        self._waiting: dict[str, asyncio.Future[float]] = {}
        client.on_frame = self._take

    def expect(self, what: str) -> "asyncio.Future[float]":
        """When the next one arrives (seconds of `time.perf_counter`): `delta`, or the kind of an event."""
        future = self._waiting[what] = asyncio.get_running_loop().create_future()
        return future

    def _take(self, frame: bytes) -> None:
        note = json.loads(frame)
        what = note["params"]["kind"] if note["method"] == "event" else note["method"]
        if what == "run.failed":
            for waiting in self._waiting.values():
                waiting.set_exception(RuntimeError(f"a run failed: {note['params']['data']}"))
            self._waiting.clear()
        future = self._waiting.pop(what, None)
        if future is not None and not future.done():
            future.set_result(time.perf_counter())


def text_message(text: str, **more: Any) -> dict[str, Any]:
    """Params of a message.send."""
    return {"content": [{"type": "text", "text": text}], **more}
