"""`/hooks/{kind}/{account}/…`: what chat networks send to our port, handed to the adapter of the account.

No bearer token: the adapter verifies the platform's signature, stores what came, and only then answers. An
error that escapes is a 500, so that the platform delivers again. Paths and bodies are never logged: some
platforms put a secret there.
"""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from channels.messages import HttpRequest
from channels.port import Adapter
from gateway.clock import Clock
from gateway.edge import http
from gateway.services.channels import Channels
from protocol.errors import ErrorKind, Fault
from protocol.ids import IdPrefix
from protocol.limits import MIB

log = structlog.get_logger()

BODY_BYTES: Final = MIB
"""More than any of the three networks sends in one request."""
DEADLINE_S: Final = 10.0
"""To read, verify, store and answer. Slack hangs up after 3 s, Telegram is more patient."""


class Hooks:
    """Finds the adapter and translates between HTTP and its port."""

    def __init__(self, channels: Channels, clock: Clock) -> None:
        self._channels = channels
        self._clock = clock

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one request. Raises Fault: not_found, too_large, unavailable (the deadline)."""
        kind, account = request.match_info["kind"], request.match_info["account"]
        adapter = self._channels.find(kind, account)
        if adapter is None:
            raise Fault(ErrorKind.NOT_FOUND, "There is no such channel account")
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await _pass_on(adapter, request)
        except (Fault, asyncio.CancelledError):
            raise
        except TimeoutError:
            log.warning("a hook took too long", action="hook_timeout", channel=kind, account=account)
            raise Fault(ErrorKind.UNAVAILABLE, "It took too long", retry_after_ms=1000) from None
        except Exception:
            incident = self._clock.new_id(IdPrefix.INCIDENT)
            log.exception(
                "a hook broke", action="hook_broke", channel=kind, account=account, incident=incident
            )
            return http.problem(Fault(ErrorKind.INTERNAL, "Something went wrong here", incident=incident))


async def _pass_on(adapter: Adapter, request: web.Request) -> web.Response:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), value)
    answer = await adapter.receive(
        HttpRequest(
            method=request.method,
            path=request.match_info.get("path", ""),
            headers=headers,
            query=dict(request.query),
            body=await _body(request),
        )
    )
    return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))


async def _body(request: web.Request) -> bytes:
    """The body, never more of it in memory than is allowed: the length a sender claims is not believed."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > BODY_BYTES:
            raise Fault(ErrorKind.TOO_LARGE, f"A hook takes at most {BODY_BYTES} bytes")
    return bytes(body)
