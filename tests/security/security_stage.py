"""What attacks share: requests byte by byte, everything the gateway logs, and chat networks to hide behind."""

import asyncio
import io
import json
import logging
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog

from gateway import log
from tests.contract.contract_stage import ContractStage as ChatStage
from tests.contract.discord_network import DiscordNetwork
from tests.contract.networks import Network
from tests.contract.slack_network import SlackNetwork
from tests.contract.telegram_network import TelegramNetwork
from tests.gateway.gateway_stage import Frame, Stage

__all__ = [
    "CLIENT",
    "NETWORKS",
    "Answer",
    "ChatStage",
    "actions",
    "free_port",
    "logged",
    "place",
    "raw",
    "refusal_of_hello",
    "start_line",
]

CLIENT = {"name": "attacker"}
NETWORKS: dict[str, Callable[..., Network]] = {
    "slack": SlackNetwork,
    "telegram": TelegramNetwork,
    "discord": DiscordNetwork,
}


class Answer(NamedTuple):
    """What came back on a raw connection until it was closed."""

    status: int
    head: str
    body: bytes


def place(stage: Stage) -> tuple[str, int]:
    """Where the gateway listens."""
    host, _, port = stage.url.removeprefix("http://").rpartition(":")
    return host, int(port)


def start_line(stage: Stage, method: str, path: str, **headers: str) -> bytes:
    """A request head as an attacker writes it; `Host` is right unless given, header names have `_` for `-`."""
    host, port = place(stage)
    named = {"Host": f"{host}:{port}", "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


async def raw(stage: Stage, data: bytes, patience_s: float = 5.0) -> Answer:
    """Send bytes, read one answer; its status is 0 when the connection was closed without any."""
    reader, writer = await asyncio.open_connection(*place(stage))
    try:
        writer.write(data)
        async with asyncio.timeout(patience_s):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer(0, "", b"")
    finally:
        writer.close()
    return Answer(int(head.split(" ", 2)[1]), head, body)


async def refusal_of_hello(stage: Stage, **params: Any) -> tuple[Frame, int]:
    """Say hello on a new connection that must be refused: the error, and the code that closed it."""
    wire = await stage.open()
    await wire.receive()
    said = {"minor": 0, "client": CLIENT, **params}
    await wire.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": said}))
    frames, code = await wire.ended()
    error: Frame = next(frame["error"] for frame in frames if "error" in frame)
    return error, code


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def actions(stage: Stage) -> list[str]:
    """The actions of the audit log."""
    wire = await stage.connect()
    return [entry["action"] for entry in (await wire.call("audit.list", limit=500))["entries"]]


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, at its most talkative, as JSON lines, without the mask the daemon puts last."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        log.configure(level="debug", json=True, redact=str)
        yield sys.stderr
    finally:
        sys.stderr = stderr
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
