"""Error kinds, JSON-RPC codes and close codes: the closed lists of PROTOCOL.md §9 and §10.

`Fault` is the one exception that becomes an error on the wire; everything else that escapes a handler is
`internal`. Close codes carry the retry verdict in their hundred, so an old client handles new codes.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
APPLICATION_ERROR: Final = -32000
"""JSON-RPC 2.0 §5.1 codes (jsonrpc.org/specification); everything of ours is -32000 and `data.kind`."""


class ErrorKind(StrEnum):
    """What went wrong, for programs. Closed in v1: new kinds only with a new minor version."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    BUDGET_EXCEEDED = "budget_exceeded"
    APPROVAL_REQUIRED = "approval_required"
    POLICY_DENIED = "policy_denied"
    EXPIRED = "expired"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"
    PAIRING_REQUIRED = "pairing_required"
    INVALID_STATE = "invalid_state"
    INTERNAL = "internal"


RETRYABLE: Final = frozenset(
    {ErrorKind.RATE_LIMITED, ErrorKind.BUSY, ErrorKind.UNAVAILABLE, ErrorKind.INTERNAL}
)
"""Kinds where the same request may succeed later without a change by the caller."""

HTTP_STATUS: Final[Mapping[str, int]] = {
    ErrorKind.UNAUTHORIZED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.IDEMPOTENCY_CONFLICT: 409,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.BUSY: 409,
    ErrorKind.BUDGET_EXCEEDED: 402,
    ErrorKind.APPROVAL_REQUIRED: 403,
    ErrorKind.POLICY_DENIED: 403,
    ErrorKind.EXPIRED: 410,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.PAIRING_REQUIRED: 403,
    ErrorKind.INVALID_STATE: 409,
    ErrorKind.INTERNAL: 500,
}
"""The HTTP twin's status per kind (RFC 9110 §15)."""


class Fault(Exception):
    """A refusal that the caller is told about, word for word.

    `message` is safe to show: no secret, no internal detail. `kind` is None only for the JSON-RPC protocol
    faults, which `code` tells apart. `data` travels in `error.data` beside kind and retryable.
    """

    def __init__(
        self,
        kind: ErrorKind | None,
        message: str,
        *,
        code: int = APPLICATION_ERROR,
        hint: str | None = None,
        retry_after_ms: int | None = None,
        **data: Any,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_about_credential = False
        """Set where a credential is checked: what is wrong with it is 401, whatever its kind (RFC 9110 §15.5.2)."""
        self.message = message
        self.code = code
        self.data: dict[str, Any] = {"kind": kind.value if kind else _PROTOCOL_KINDS[code]}
        self.data["retryable"] = kind in RETRYABLE
        if retry_after_ms is not None:
            self.data["retry_after_ms"] = retry_after_ms
        if hint is not None:
            self.data["hint"] = hint
        self.data.update(data)

    @property
    def http_status(self) -> int:
        """The status of the HTTP twin for this fault."""
        if self.is_about_credential:
            return 401
        return HTTP_STATUS[self.kind] if self.kind else _PROTOCOL_STATUS[self.code]


_PROTOCOL_KINDS: Final = {
    PARSE_ERROR: "parse_error",
    INVALID_REQUEST: "invalid_request",
    METHOD_NOT_FOUND: "method_not_found",
    INVALID_PARAMS: "invalid_params",
}
_PROTOCOL_STATUS: Final = {PARSE_ERROR: 400, INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404, INVALID_PARAMS: 422}


def parse_error(detail: str) -> Fault:
    """The frame is not JSON."""
    return Fault(None, f"The frame is not valid JSON: {detail}", code=PARSE_ERROR)


def invalid_request(detail: str) -> Fault:
    """The frame is JSON but not a JSON-RPC 2.0 request."""
    return Fault(None, detail, code=INVALID_REQUEST)


def method_not_found(method: str) -> Fault:
    """No such method in v1."""
    return Fault(None, f"Unknown method {method[:80]!r}", code=METHOD_NOT_FOUND)


def invalid_params(errors: list[dict[str, str]]) -> Fault:
    """The params do not fit; each error has a `path` and a `message`, never the offending value."""
    return Fault(None, "The params do not fit the method", code=INVALID_PARAMS, errors=errors)


class CloseCode(IntEnum):
    """Why the gateway closes a WebSocket: 40xx stop, 41xx retry with backoff, 42xx retry soon."""

    BAD_FRAME = 4000
    UNAUTHORIZED = 4001
    UNSUPPORTED_VERSION = 4002
    FORBIDDEN = 4003
    PAIRING_REQUIRED = 4005
    REPLACED = 4006
    HELLO_TIMEOUT = 4007
    TOO_MANY_CONNECTIONS = 4008
    OVERLOADED = 4100
    INTERNAL_ERROR = 4101
    RATE_LIMITED = 4103
    TOO_SLOW = 4104
    NO_PONG = 4105
    STORE_NOT_WRITABLE = 4106
    RESTARTING = 4200
    TOKEN_EXPIRED = 4201
    ACCESS_CHANGED = 4202


class RetryVerdict(StrEnum):
    """What a client does after a close."""

    STOP = "stop"
    BACKOFF = "backoff"
    SOON = "soon"


def retry_verdict(close_code: int) -> RetryVerdict:
    """The verdict of any close code, known or not.

    Codes outside 4000-4299 come from the network or a proxy (1000, 1001, 1006, 1011 …): back off and retry,
    because a proxy may well send 1000.
    """
    hundred = close_code // 100
    if hundred == 40:
        return RetryVerdict.STOP
    return RetryVerdict.SOON if hundred == 42 else RetryVerdict.BACKOFF
