"""Everything this client raises.

    ThreadgateError
    ├── RequestRefused                  the gateway answered with an error (protocol §10)
    │   ├── InvalidRequest              not JSON, or not a request: a bug on this side
    │   ├── MethodNotFound              this gateway does not know the method
    │   ├── InvalidParams               `.errors` names each path
    │   ├── Unauthorized, Forbidden, NotFound, Conflict, IdempotencyConflict, RateLimited, Busy,
    │   │   BudgetExceeded, ApprovalRequired, PolicyDenied, Expired, TooLarge, Unavailable,
    │   │   PairingRequired, InvalidState
    │   └── Internal                    `.incident` is in the gateway's log
    ├── ConnectionClosed                the gateway closed for good: `.code`, `.reason`, `.verdict`
    ├── ConnectionRefused               the HTTP upgrade was refused: `.status`, `.body`
    ├── ProtocolViolation               the peer does not keep the contract
    ├── DeadlineExceeded                nothing came in time (also a TimeoutError)
    ├── ClientClosed                    `close()` was called, or the client failed
    ├── SubscriptionReset               the cursor cannot be honoured: `.reset`
    ├── InputRequired                   a reply waits for an answer of yours: `.run_id`, `.prompt`
    ├── StepFailed                      a step of an agent's run has a bad outcome: `.outcome`
    ├── CommandFailed                   raised by a device's command that cannot be done: `.kind`
    ├── AgentError                      raised by an agent that cannot answer: `.kind`, `.passes`
    └── RunEnded                        a reply ended without an answer: `.run_id`
        ├── RunFailed                   `.kind`, `.message`
        ├── RunCancelled
        └── RunInterrupted

Which of them a call may raise is in its docstring; how an error looks on the wire is in `from_wire` only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from threadgate_client.closing import RetryVerdict, retry_verdict
from threadgate_client.items import Reset


class ThreadgateError(Exception):
    """The root of all."""


class RequestRefused(ThreadgateError):
    """The gateway answered with an error. The request had no effect.

    `is_retryable` says whether the same request may succeed later, `retry_after_s` when; `fields` is the
    whole `error.data`, for what has no attribute here.
    """

    wire_kind: ClassVar[str] = ""

    def __init__(self, message: str, *, code: int = -32000, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fields: Mapping[str, Any] = MappingProxyType(dict(fields or {}))
        self.kind = str(self.fields.get("kind") or self.wire_kind)
        self.is_retryable = self.fields.get("retryable") is True
        after_ms = self.fields.get("retry_after_ms")
        self.retry_after_s = after_ms / 1000 if isinstance(after_ms, int | float) else None
        hint = self.fields.get("hint")
        self.hint = hint if isinstance(hint, str) else None

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}" if self.kind else self.message
        return f"{text} ({self.hint})" if self.hint else text


class InvalidRequest(RequestRefused):
    """The gateway could not read the frame as a request."""

    wire_kind = "invalid_request"


class MethodNotFound(RequestRefused):
    """No such method at this gateway."""

    wire_kind = "method_not_found"


class InvalidParams(RequestRefused):
    """The params do not fit. `errors` holds (path, message) pairs."""

    wire_kind = "invalid_params"

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What does not fit, by path."""
        found = self.fields.get("errors")
        entries = found if isinstance(found, list) else []
        return [
            (str(entry.get("path", "")), str(entry.get("message", "")))
            for entry in entries
            if isinstance(entry, dict)
        ]

    def __str__(self) -> str:
        return "; ".join([super().__str__(), *(f"{path}: {message}" for path, message in self.errors)])


class Unauthorized(RequestRefused):
    """The credential is unknown, expired or revoked."""

    wire_kind = "unauthorized"


class Forbidden(RequestRefused):
    """The principal lacks a scope; the message or `fields` names it."""

    wire_kind = "forbidden"


class NotFound(RequestRefused):
    """No such thing, or not visible to this principal."""

    wire_kind = "not_found"


class Conflict(RequestRefused):
    """Somebody else changed it first."""

    wire_kind = "conflict"


class IdempotencyConflict(RequestRefused):
    """The key was used before with other params."""

    wire_kind = "idempotency_conflict"


class RateLimited(RequestRefused):
    """Too many requests; `retry_after_s` says when there is room again."""

    wire_kind = "rate_limited"


class Busy(RequestRefused):
    """The thread has an active run and the request asked not to wait."""

    wire_kind = "busy"


class BudgetExceeded(RequestRefused):
    """The budget of the principal, agent or thread is used up."""

    wire_kind = "budget_exceeded"


class ApprovalRequired(RequestRefused):
    """Somebody has to approve this first."""

    wire_kind = "approval_required"


class PolicyDenied(RequestRefused):
    """A policy forbids this."""

    wire_kind = "policy_denied"


class Expired(RequestRefused):
    """Too late."""

    wire_kind = "expired"


class TooLarge(RequestRefused):
    """Larger than a limit; content of that size goes over HTTP as a blob."""

    wire_kind = "too_large"


class Unavailable(RequestRefused):
    """The gateway cannot do this now."""

    wire_kind = "unavailable"


class PairingRequired(RequestRefused):
    """The device is unknown; `fields` has `pairing_id`, `code` and `expires_at`."""

    wire_kind = "pairing_required"


class InvalidState(RequestRefused):
    """The thing is not in a state that allows this."""

    wire_kind = "invalid_state"


class Internal(RequestRefused):
    """The gateway failed; `incident` finds the story in its log."""

    wire_kind = "internal"

    @property
    def incident(self) -> str | None:
        """The incident id, when there is one."""
        found = self.fields.get("incident") or self.fields.get("incident_id")
        return str(found) if found else None


_BY_KIND: Final[Mapping[str, type[RequestRefused]]] = {
    found.wire_kind: found for found in RequestRefused.__subclasses__()
}
_BY_CODE: Final[Mapping[int, type[RequestRefused]]] = {
    -32700: InvalidRequest,
    -32600: InvalidRequest,
    -32601: MethodNotFound,
    -32602: InvalidParams,
    -32603: Internal,
}
"""JSON-RPC 2.0 §5.1; everything else is -32000 and told apart by its kind."""


def from_wire(error: Mapping[str, Any]) -> RequestRefused:
    """The exception for a wire error. A kind or code of a newer gateway becomes a plain RequestRefused."""
    code = error.get("code")
    fields = error.get("data")
    fields = fields if isinstance(fields, dict) else {}
    found = _BY_CODE.get(code) if isinstance(code, int) else None
    found = found or _BY_KIND.get(str(fields.get("kind")), RequestRefused)
    message = str(error.get("message", ""))
    return found(message, code=code if isinstance(code, int) else -32000, fields=fields)


class ConnectionClosed(ThreadgateError):
    """The gateway closed the connection and will not have us back (a 40xx code)."""

    def __init__(self, code: int, reason: str, verdict: RetryVerdict | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.verdict = verdict or retry_verdict(code)

    def __str__(self) -> str:
        return f"closed with {self.code} ({self.reason or 'no reason'}), verdict: {self.verdict}"


class ConnectionRefused(ThreadgateError):
    """The gateway, or something before it, refused the HTTP upgrade."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body

    def __str__(self) -> str:
        return f"the upgrade was refused with HTTP {self.status}: {self.body.strip() or 'no explanation'}"


class ProtocolViolation(ThreadgateError):
    """The peer sent something the protocol does not allow."""


class DeadlineExceeded(ThreadgateError, TimeoutError):
    """Nothing came in time. Whether a request had its effect is unknown: repeat it with the same key."""

    def __init__(self, what: str, timeout_s: float, idempotency_key: str | None = None) -> None:
        super().__init__(what, timeout_s)
        self.what = what
        self.timeout_s = timeout_s
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"{self.what}: nothing within {self.timeout_s:g} s"


class ClientClosed(ThreadgateError):
    """The client is not open (any more)."""


class SubscriptionReset(ThreadgateError):
    """Events were lost to this reader: the log was replaced, trimmed or closed to it."""

    def __init__(self, reset: Reset) -> None:
        super().__init__(reset)
        self.reset = reset

    def __str__(self) -> str:
        return f"the subscription of {self.reset.thread_id or 'the inbox'} was reset: {self.reset.reason}"


class InputRequired(ThreadgateError):
    """The agent asks something before it goes on; the next message in the thread answers it."""

    def __init__(self, run_id: str, prompt: str) -> None:
        super().__init__(run_id, prompt)
        self.run_id = run_id
        self.prompt = prompt

    def __str__(self) -> str:
        return f"{self.run_id} asks: {self.prompt}"


class RunEnded(ThreadgateError):
    """The run ended without an answer."""

    def __init__(self, run_id: str, message: str, kind: str = "") -> None:
        super().__init__(run_id, message)
        self.run_id = run_id
        self.message = message
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.run_id}: {self.kind + ': ' if self.kind else ''}{self.message}"


class RunFailed(RunEnded):
    """The agent failed; `kind` is stable, `message` is safe to show."""


class RunCancelled(RunEnded):
    """Somebody stopped the run."""


class RunInterrupted(RunEnded):
    """The gateway lost the run and will not try again."""


class StepFailed(ThreadgateError):
    """A step of a run was done, and failed; or it was cut off and a person decided not to do it again.

    `outcome` is `error`, `unknown` or `skipped`. Recorded: the same step fails alike when the run is executed again.
    """

    def __init__(self, message: str, outcome: str = "error") -> None:
        super().__init__(message)
        self.outcome = outcome


class CommandFailed(ThreadgateError):
    """Raised in a device's command: it was not done, or not well. `kind` is for programs, the text for people."""

    def __init__(self, message: str, *, kind: str = "failed") -> None:
        super().__init__(message)
        self.kind = kind


class AgentError(ThreadgateError):
    """Raised by an agent's handler: it cannot answer. The message is shown to people.

    `passes`: the same may work a little later, after `retry_after_s` when that is known; then the run is executed
    again. `kind` is one of the protocol's (`rate_limited`, `provider_error`, `timeout` …), else `agent_error`.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "agent_error",
        passes: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.passes = passes
        self.retry_after_s = retry_after_s
