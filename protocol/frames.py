"""The JSON-RPC 2.0 envelope: text in → request, notification or response; values → text out.

Encoding is done once per frame with orjson and the result shared by all receivers. Nothing here knows about
connections (`connection.py`) or about WebSocket framing (`gateway/edge/websocket.py`).
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from protocol.errors import Fault, invalid_request, parse_error
from protocol.limits import INTEGER_MAX
from protocol.records import Record

RequestId = str | int
ID_CHARS_MAX: Final = 128
"""A correlation id is a counter or a UUID; a longer one only costs memory."""


class RawJson(bytes):
    """Bytes that already are one JSON value (a stored result, say) and are embedded as they are."""

    __slots__ = ()


Result = Record | RawJson | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to answer. `params` is an object, not yet validated for the method."""

    id: RequestId
    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    """A message without an answer."""

    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """The peer's answer to a request of ours: exactly one of result and error."""

    id: RequestId
    result: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that is none of these. `id` is the request's when it could be read, for the error answer."""

    id: RequestId | None
    fault: Fault


Frame = Request | Notification | Response | Malformed


def decode(raw: bytes) -> Frame:
    """Read one frame of UTF-8 JSON. Never raises: what cannot be read comes back as Malformed."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Malformed(None, parse_error(f"{error.msg} at character {error.pos}"))
    if isinstance(value, list):
        return Malformed(
            None, invalid_request("Batch arrays are not part of this protocol: send frames singly")
        )
    if not isinstance(value, dict):
        return Malformed(None, invalid_request("A frame is one JSON object"))
    return _classify(value)


def _classify(value: dict[str, Any]) -> Frame:
    has_id = "id" in value
    frame_id: RequestId = value.get("id", 0)
    if not _is_id(frame_id):
        return Malformed(None, invalid_request("`id` is a string (at most 128 characters) or an integer"))
    if value.get("jsonrpc") != "2.0":
        return Malformed(frame_id if has_id else None, invalid_request('`jsonrpc` must be "2.0"'))
    method = value.get("method")
    if method is None and has_id and ("result" in value) != ("error" in value):
        return _response(frame_id, value)
    if not isinstance(method, str):
        return Malformed(frame_id if has_id else None, invalid_request("`method` is a string"))
    params = value.get("params", {})
    if not isinstance(params, dict):
        return Malformed(frame_id if has_id else None, invalid_request("`params` is an object"))
    return Request(frame_id, method, params) if has_id else Notification(method, params)


def _response(frame_id: RequestId, value: dict[str, Any]) -> Frame:
    outcome = value.get("result", value.get("error"))
    if not isinstance(outcome, dict):
        return Malformed(None, invalid_request("`result` and `error` are objects"))
    return Response(frame_id, value.get("result"), value.get("error"))


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= ID_CHARS_MAX
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX


def to_json(value: Result) -> RawJson:
    """One JSON value as bytes; models leave out what is None."""
    if isinstance(value, RawJson):
        return value
    if isinstance(value, Record):
        return RawJson(value.__pydantic_serializer__.to_json(value, exclude_none=True, by_alias=True))
    return RawJson(orjson.dumps(value))


def encode_result(request_id: RequestId, result: Result) -> bytes:
    """A successful response."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (orjson.dumps(request_id), to_json(result))


def encode_error(request_id: RequestId | None, fault: Fault) -> bytes:
    """A refusal; `request_id` is None when the request's id could not be read (JSON-RPC 2.0 §5)."""
    error = {"code": fault.code, "message": fault.message, "data": fault.data}
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (orjson.dumps(request_id), orjson.dumps(error))


def encode_notification(method: str, params: Result) -> bytes:
    """A notification; `method` is one of ours and needs no escaping."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), to_json(params))


def encode_request(request_id: RequestId, method: str, params: Result) -> bytes:
    """A request, for clients and for what the gateway asks of devices and agents."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (
        orjson.dumps(request_id),
        orjson.dumps(method),
        to_json(params),
    )


def event_json(
    *, thread_id: str, seq: int, kind: str, at: str, actor: bytes, run_id: str | None, data: bytes
) -> RawJson:
    """The params of an `event` notification, from columns as the store keeps them.

    `actor` and `data` are JSON already. The same columns always give the same bytes (PROTOCOL.md §5), whether
    the event is live, replayed or paged; ids and kinds are ours and need no escaping.
    """
    run = b'"run_id":"%b",' % run_id.encode() if run_id else b""
    return RawJson(
        b'{"thread_id":"%b","seq":%d,"kind":"%b","at":"%b","actor":%b,%b"data":%b}'
        % (thread_id.encode(), seq, kind.encode(), at.encode(), actor, run, data)
    )
