"""The HTTP twin: `POST /v1/{method}` with the params as JSON, answers and problems (PROTOCOL.md §11)."""

from typing import Any

import orjson
from aiohttp import web

from gateway.edge.authentication import Authenticator, Caller
from gateway.edge.dispatch import Dispatcher
from protocol.errors import ErrorKind, Fault, parse_error
from protocol.frames import to_json
from protocol.limits import IDEMPOTENCY_KEY_CHARS

_BEARER = "bearer "


async def call(dispatcher: Dispatcher, caller: Caller, request: web.Request) -> web.Response:
    """Answer one method call."""
    params = await _params(request)
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        params["idempotency_key"] = key[
            : IDEMPOTENCY_KEY_CHARS + 1
        ]  # one too long is refused, not cut to fit
    reply = await dispatcher.call(caller, request.match_info["method"], params)
    return web.Response(body=bytes(to_json(reply.result)), content_type="application/json")


async def authenticate(authenticator: Authenticator, request: web.Request) -> Caller:
    """The caller of an HTTP request, from its Authorization header alone. Raises Fault."""
    header = request.headers.get("Authorization", "")
    secret = header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else None
    return await authenticator.authenticate(secret, "http", request.remote)


def problem(fault: Fault) -> web.Response:
    """A refusal as an RFC 9457 problem."""
    body: dict[str, Any] = {
        "type": f"urn:threadgate:error:{fault.data['kind']}",
        "title": fault.data["kind"].replace("_", " "),
        "status": fault.http_status,
        "detail": fault.message,
        **fault.data,
    }
    headers = {}
    if fault.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after_ms" in fault.data:
        headers["Retry-After"] = str(-(-fault.data["retry_after_ms"] // 1000))
    return web.Response(
        body=orjson.dumps(body),
        status=fault.http_status,
        content_type="application/problem+json",
        headers=headers,
    )


async def _params(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Fault(ErrorKind.TOO_LARGE, "The body is too large", hint="Send less at once") from error
    if not body:
        return {}
    try:
        params = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise parse_error(f"{error.msg} at character {error.pos}") from None
    if not isinstance(params, dict):
        raise parse_error("the params are one JSON object")
    return params
