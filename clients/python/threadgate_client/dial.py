"""Opening the WebSocket: the address, the HTTP upgrade, and what its refusal means.

One attempt per call. When to try again is the session's decision; what is said afterwards is not known here.
"""

import ssl
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from threadgate_client import limits
from threadgate_client.errors import ConnectionRefused, ProtocolViolation, ThreadgateError
from threadgate_client.version import VERSION

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_ALWAYS_FINAL: Final = frozenset({400, 403})
"""A wrong subprotocol, Origin or Host: the same request will not be better next time (protocol §1)."""
_PASSING: Final = frozenset({408, 425, 429})
"""4xx that ask for patience (RFC 9110 §15.5.9, RFC 8470, RFC 6585)."""
_BODY_CHARS: Final = 500
"""As much of a refusal's body as fits a message; the gateway's own bodies are shorter."""


@dataclass(eq=False)
class DialFailed(Exception):
    """One attempt failed. `is_final` says that no other will do better.

    `is_final_at_first` says the same of a client that was never connected: an address that never worked is
    wrong, but behind a proxy the same answer can also mean that the gateway is being replaced.
    """

    error: Exception
    is_final: bool = False
    is_final_at_first: bool = False
    retry_after_s: float | None = None


def socket_url(url: str) -> str:
    """The WebSocket address of a gateway given by any of its addresses.

    Raises ValueError for another scheme, and for user, password or query: no credential belongs in a URL.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError("the gateway's address must be http, https, ws or wss and name a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("the gateway's address must not carry credentials, a query or a fragment")
    path = parts.path.rstrip("/")
    path = path if path.endswith(limits.SOCKET_PATH) else path + limits.SOCKET_PATH
    return urlunsplit((scheme, parts.netloc, path, "", ""))


async def dial(
    url: str, *, ssl_context: ssl.SSLContext | None, proxy: str | Literal[True] | None
) -> ClientConnection:
    """Open the WebSocket at `url`, within `DIAL_TIMEOUT_S`. Raises DialFailed."""
    tls: dict[str, Any] = {"ssl": ssl_context} if ssl_context is not None else {}
    try:
        socket = await _Connect(
            url,
            subprotocols=[Subprotocol(limits.SUBPROTOCOL)],
            compression=None,
            user_agent_header=f"threadgate-client/{VERSION}",
            proxy=proxy,
            open_timeout=limits.DIAL_TIMEOUT_S,
            ping_interval=None,  # the gateway pings, and the session watches for silence
            close_timeout=limits.CLOSE_TIMEOUT_S,
            max_size=limits.RECEIVED_FRAME_BYTES,
            **tls,
        )
    except InvalidStatus as refusal:
        raise _refused(refusal) from refusal
    except ssl.SSLCertVerificationError as error:
        raise DialFailed(error, is_final_at_first=True) from error
    except (OSError, InvalidHandshake, InvalidURI) as error:
        raise DialFailed(error) from error
    if socket.subprotocol != limits.SUBPROTOCOL:
        socket.transport.abort()
        raise DialFailed(
            ProtocolViolation(f"the server does not speak {limits.SUBPROTOCOL}"), is_final_at_first=True
        )
    return socket


class _Connect(connect):
    """`connect` without redirects: the token is sent in band, so it would follow to wherever they lead."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _refused(refusal: InvalidStatus) -> DialFailed:
    response = refusal.response
    status = response.status_code
    body = bytes(response.body or b"").decode(errors="replace")[:_BODY_CHARS]
    after = response.headers.get("Retry-After", "")
    error: ThreadgateError = ConnectionRefused(status, body)
    return DialFailed(
        error,
        is_final=status in _ALWAYS_FINAL,
        is_final_at_first=300 <= status < 500 and status not in _PASSING,
        retry_after_s=float(after) if after.isascii() and after.isdigit() else None,
    )
