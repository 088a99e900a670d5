"""Notifications encoded once for all receivers, in the form each transport writes."""

import struct
from typing import Final

from protocol.frames import RawJson, Result, encode_notification, to_json

_TEXT_FIN: Final = 0x81
_PING_FIN: Final = 0x89


class Note:
    """One notification. Its WebSocket and SSE forms are made on first use and shared by all receivers."""

    __slots__ = ("_sse", "_websocket", "method", "params", "seq")

    def __init__(self, method: str, params: Result, seq: int | None = None) -> None:
        self.method = method
        self.params: RawJson = to_json(params)
        self.seq = seq
        self._websocket: bytes | None = None
        self._sse: bytes | None = None

    @property
    def websocket(self) -> bytes:
        """A complete, unmasked WebSocket text frame (RFC 6455 §5.2)."""
        if self._websocket is None:
            self._websocket = text_frame(encode_notification(self.method, self.params))
        return self._websocket

    @property
    def sse(self) -> bytes:
        """One chunk of an HTTP/1.1 chunked body with one server-sent event; durable events carry an `id`."""
        if self._sse is None:
            id_line = b"id: %d\n" % self.seq if self.seq is not None else b""
            event = b"%bevent: %b\ndata: %b\n\n" % (id_line, self.method.encode(), self.params)
            self._sse = b"%x\r\n%b\r\n" % (len(event), event)
        return self._sse


def text_frame(payload: bytes) -> bytes:
    """Frame `payload` as one text message from a server."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT_FIN, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT_FIN, 126, size) + payload
    return struct.pack("!BBQ", _TEXT_FIN, 127, size) + payload


PING_FRAME: Final = bytes((_PING_FIN, 0))
"""An empty ping."""


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping; control frames carry at most 125 bytes (RFC 6455 §5.5)."""
    return bytes((0x8A, len(payload))) + payload
