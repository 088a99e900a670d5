"""What came of telling a device something, in the words of its connection, of the store and of the wire. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.services.device_connections import DeviceRefused
from protocol.canonical import canonical
from protocol.device_requests import DeviceInvokeResult
from protocol.devices import CommandInvokeParams, Invocation, InvocationError
from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.limits import KIB
from storage.device_values import InvocationOutcome, InvocationRow, KnownDevice

RESULT_CHARS: Final = 256 * KIB
"""Of a result as JSON: what is larger belongs into a file."""
MESSAGE_CHARS: Final = 500
KIND_CHARS: Final = 64
"""Of what a device says when it fails."""
NOT_SENT: Final = "not_sent"
"""The kind of what failed before anything was sent."""


def asked(row: InvocationRow, deadline_ms: int, *, recall: bool) -> CommandInvokeParams:
    return CommandInvokeParams(
        invocation_id=row.id,
        command=row.command,
        params=row.params,
        deadline=to_instant(deadline_ms),
        recall=recall,
    )


def done(answer: Mapping[str, Any]) -> InvocationOutcome:
    result = answer.get("result")
    try:
        text = canonical(result)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return InvocationOutcome("failed", None, "bad_result", "It was done, but its result is not JSON")
    if len(text) > RESULT_CHARS:
        return InvocationOutcome("failed", None, "too_large", "It was done, but its result is too large")
    return InvocationOutcome("done", result)


def refused(refused: DeviceRefused, timeout_s: float, was_sent: bool) -> InvocationOutcome:
    match refused.kind:
        case "timeout" | "unknown":
            return InvocationOutcome("unknown", error_message=f"no answer within {timeout_s:g} s")
        case "stalled" if was_sent:
            return InvocationOutcome("unknown")
        case "stalled":
            return InvocationOutcome(
                "failed", None, NOT_SENT, "The device reads too slowly: nothing was sent"
            )
    kind = refused.kind[:KIND_CHARS] or "internal"
    return InvocationOutcome("failed", None, kind, refused.message[:MESSAGE_CHARS] or "It failed")


def given_up(device: KnownDevice, timeout_s: float, was_sent: bool) -> InvocationOutcome:
    if was_sent:
        return InvocationOutcome("unknown", error_message=f"the device was not back within {timeout_s:g} s")
    message = f"The device {device.name} is not connected: nothing was sent"
    return InvocationOutcome("failed", None, NOT_SENT, message)


def not_here(device: KnownDevice) -> Fault:
    return Fault(
        ErrorKind.UNAVAILABLE,
        f"The device {device.name} is not connected: nothing was sent",
        hint="Ask again when it is back, or wait for it with `wait`",
    )


def unknown_text(row: InvocationRow) -> str:
    why = f" ({row.error_message})" if row.error_message else ""
    return f"Whether the device did it is not known{why}"


def answered(row: InvocationRow) -> DeviceInvokeResult:
    """Raises Fault unavailable for what has no outcome."""
    if row.state == "unknown":
        raise Fault(
            ErrorKind.UNAVAILABLE,
            unknown_text(row),
            hint="Ask again with the same idempotency_key: it is not done twice, and the device may remember",
            outcome="unknown",
            invocation_id=row.id,
        )
    if row.error_kind == NOT_SENT:
        raise Fault(
            ErrorKind.UNAVAILABLE,
            row.error_message or "Nothing was sent",
            hint="Ask again with a new idempotency_key",
            outcome="not_sent",
            invocation_id=row.id,
        )
    return DeviceInvokeResult(invocation=shown(row))


def shown(row: InvocationRow) -> Invocation:
    """An invocation as the wire has it."""
    error = None
    if row.state == "failed":
        error = InvocationError(kind=row.error_kind or "internal", message=row.error_message or "It failed")
    return Invocation(
        id=row.id,
        device_id=row.device_id,
        command=row.command,
        state=row.state,
        result=row.result,
        error=error,
        created_at=to_instant(row.created_at_ms),
        ended_at=to_instant(row.ended_at_ms) if row.ended_at_ms is not None else None,
    )
