"""Frames: JSON-RPC 2.0 text in, typed values out, and back. Pure, and the only place that parses JSON.

What a frame means is the session's business.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadgate_client.errors import ProtocolViolation, RequestRefused, from_wire

METHOD_NOT_FOUND = -32601
"""JSON-RPC 2.0 §5.1."""
REFUSED = -32000
"""Every other error; its kind tells which (protocol §10)."""


@dataclass(frozen=True, slots=True)
class Notification:
    """The gateway tells something."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request of ours."""

    request_id: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error of a request of ours; without an id the gateway could not even read which."""

    request_id: int | None
    error: RequestRefused


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """The gateway asks something."""

    request_id: int | str
    method: str
    params: Mapping[str, Any]


Frame = Notification | Answer | Refusal | GatewayRequest


def decode(text: str | bytes) -> Frame:
    """Read one frame. Raises ProtocolViolation; never quotes the frame, which may hold secrets."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolViolation("a frame is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolViolation("a frame is not an object")
    request_id = value.get("id")
    if isinstance(method := value.get("method"), str):
        params = value.get("params", {})
        if not isinstance(params, dict):
            raise ProtocolViolation(f"the params of {method[:40]!r} are not an object")
        if request_id is None:
            return Notification(method, params)
        return GatewayRequest(request_id, method, params)
    if isinstance(error := value.get("error"), dict):
        return Refusal(request_id if isinstance(request_id, int) else None, from_wire(error))
    result = value.get("result")
    if not isinstance(request_id, int) or not isinstance(result, dict):
        raise ProtocolViolation("a frame is neither notification, request nor response")
    return Answer(request_id, result)


def encode_request(request_id: int, method: str, params: Mapping[str, Any]) -> str:
    """Write a request. Raises ValueError or TypeError for params that are not JSON in UTF-8."""
    text = _dump({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    # A lone surrogate would pass until the socket encodes it, and break the connection for everybody.
    text.encode()
    return text


def encode_notification(method: str, params: Mapping[str, Any]) -> str:
    """Write a notification. Raises ValueError or TypeError for params that are not JSON in UTF-8."""
    text = _dump({"jsonrpc": "2.0", "method": method, "params": params})
    text.encode()
    return text


def encode_result(request_id: int | str, result: Mapping[str, Any]) -> str:
    """Write the answer to a request of the gateway."""
    return _dump({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_refusal(request_id: int | str, kind: str, message: str) -> str:
    """Write the refusal of a request of the gateway."""
    error = {"code": REFUSED, "message": message, "data": {"kind": kind, "retryable": True}}
    return _dump({"jsonrpc": "2.0", "id": request_id, "error": error})


def encode_unknown_method(request_id: int | str) -> str:
    """Write the answer to a request that this client does not serve."""
    error = {
        "code": METHOD_NOT_FOUND,
        "message": "This client serves no requests",
        "data": {"kind": "method_not_found", "retryable": False},
    }
    return _dump({"jsonrpc": "2.0", "id": request_id, "error": error})


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
