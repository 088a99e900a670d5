"""The protocol state of one connection, as the server sees it. Pure: no socket, no clock, no tasks.

Theory of operation. A connection lives through four phases:

    HELLO ──hello──▶ AUTHENTICATING ──accept()──▶ LIVE ──close()──▶ CLOSED
      └───────────── anything else, a timeout or refuse() ─────────────▲

The shell feeds what the socket brings (`receive`, `receive_unreadable`, `receive_pong`), the decision about
the credential (`accept`, `refuse`) and the answers of handlers (`respond`, `fail`); it writes whatever
`take_actions` returns, in order, and arms one timer for `next_deadline`, at which it calls `handle_timeout`.
`now` is a monotonic time in seconds. Notifications of subscriptions do not pass through here: they are
encoded once for many connections, and the shell only reports with `sent` that the socket was used.

Rules kept here (PROTOCOL.md §1-3, §8-9): the frame limits before and after hello, the hello timeout, one
`hello` and it comes first, minors, requests in flight, unique ids, ping and pong, heartbeats, `bye` before
every close.
"""

import enum
from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.errors import CloseCode, ErrorKind, Fault, invalid_params, invalid_request
from protocol.events import Bye, Challenge, Heartbeat
from protocol.frames import (
    Malformed,
    Notification,
    Request,
    RequestId,
    Response,
    Result,
    decode,
    encode_error,
    encode_notification,
    encode_result,
)
from protocol.methods import validated
from protocol.requests import HelloParams, HelloResult

INFLIGHT_RETRY_MS: Final = 100
"""Hint when too many requests are in flight: about the time a slow answer takes."""
MALFORMED_MAX: Final = 16
"""Frames out of turn or unreadable that a connection may send before it is closed: enough to debug by hand."""

CLOSE_REASON_BYTES: Final = 120
"""A close frame has room for 123 bytes of reason (RFC 6455 §5.5); `bye` carries the whole of it."""


class Phase(enum.Enum):
    """Where the connection is in its life."""

    HELLO = enum.auto()
    AUTHENTICATING = enum.auto()
    LIVE = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class SendText:
    """Write one text frame."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class SendPing:
    """Write one WebSocket ping."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket with this code, after everything before it was written."""

    code: int
    reason: str


Action = SendText | SendPing | Close


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A well-formed hello; the shell authenticates and calls `accept` or `refuse`."""

    params: HelloParams


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request to dispatch; the shell answers with `respond` or `fail`."""

    request: Request


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """The peer's answer to a request of ours."""

    response: Response


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """A notification of the peer."""

    notification: Notification


Received = HelloReceived | RequestReceived | ResponseReceived | NotificationReceived


class Connection:
    """One connection. See the module's theory of operation."""

    __slots__ = (
        "_actions",
        "_frame_bytes",
        "_hello_deadline",
        "_hello_id",
        "_inflight",
        "_malformed",
        "_ping_at",
        "_pong_deadline",
        "_sent_at",
        "phase",
    )

    def __init__(self, challenge: Challenge, now: float, frame_bytes: int = limits.FRAME_BYTES) -> None:
        self.phase = Phase.HELLO
        self._frame_bytes = frame_bytes
        self._actions: list[Action] = [SendText(encode_notification("challenge", challenge))]
        self._hello_id: RequestId = 0
        self._hello_deadline = now + limits.HELLO_TIMEOUT_S
        self._inflight: set[RequestId] = set()
        self._malformed = 0
        self._sent_at = now
        self._ping_at = now + limits.HEARTBEAT_S
        self._pong_deadline: float | None = None

    # --- what the socket brings ----------------------------------------------------------

    def receive(self, raw: bytes, now: float) -> Received | None:
        """Take one text frame; return what the shell must act on, if anything."""
        if self.phase is Phase.CLOSED:
            return None
        allowed = self._frame_bytes if self.phase is Phase.LIVE else limits.PRE_HELLO_FRAME_BYTES
        if len(raw) > allowed:
            self._too_large(allowed)
            return None
        frame = decode(raw)
        if self.phase is Phase.LIVE:
            return self._receive_live(frame)
        return self._receive_hello(frame)

    def receive_unreadable(self, reason: str) -> None:
        """Take note of a frame that is no text of ours (binary, not UTF-8, badly framed): it ends things."""
        if self.phase is not Phase.CLOSED:
            self._answer_error(None, invalid_request(reason))
            self.close(CloseCode.BAD_FRAME, reason)

    def receive_oversized(self) -> None:
        """Take note of a frame the WebSocket layer refused for its size."""
        if self.phase is not Phase.CLOSED:
            self._too_large(self._frame_bytes if self.phase is Phase.LIVE else limits.PRE_HELLO_FRAME_BYTES)

    def receive_pong(self) -> None:
        """The peer answered a ping."""
        self._pong_deadline = None

    # --- decisions and answers -----------------------------------------------------------

    def accept(self, result: HelloResult) -> None:
        """The credential is good: answer hello and go live."""
        if self.phase is Phase.AUTHENTICATING:
            self.phase = Phase.LIVE
            self._actions.append(SendText(encode_result(self._hello_id, result)))

    def refuse(self, fault: Fault, code: CloseCode) -> None:
        """The credential is not good (or cannot be checked): answer hello with the error and close."""
        if self.phase is Phase.AUTHENTICATING:
            self._answer_error(self._hello_id, fault)
            self.close(code, fault.message)

    def respond(self, request_id: RequestId, result: Result) -> None:
        """Answer a request."""
        if request_id in self._inflight:
            self._inflight.discard(request_id)
            self._actions.append(SendText(encode_result(request_id, result)))

    def fail(self, request_id: RequestId, fault: Fault) -> None:
        """Refuse a request."""
        if request_id in self._inflight:
            self._inflight.discard(request_id)
            self._answer_error(request_id, fault)

    def close(self, code: CloseCode, reason: str, retry_after_ms: int | None = None) -> None:
        """Say `bye` and close; a second call changes nothing."""
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self._inflight.clear()
        bye = Bye(code=code, reason=reason, retry_after_ms=retry_after_ms)
        self._actions.append(SendText(encode_notification("bye", bye)))
        short = reason.encode()[:CLOSE_REASON_BYTES].decode(errors="ignore")
        self._actions.append(Close(code, short))

    # --- what the shell asks -------------------------------------------------------------

    def take_actions(self) -> list[Action]:
        """What to write now, in order; each action is returned once."""
        actions, self._actions = self._actions, []
        return actions

    def sent(self, now: float) -> None:
        """The shell wrote something: no heartbeat is due for a while."""
        self._sent_at = now

    def next_deadline(self) -> float | None:
        """When `handle_timeout` must be called at the latest; None when nothing is due any more."""
        if self.phase is Phase.CLOSED:
            return None
        if self.phase is Phase.HELLO:
            return self._hello_deadline
        deadline = self._ping_at if self._pong_deadline is None else min(self._ping_at, self._pong_deadline)
        return min(deadline, self._sent_at + limits.HEARTBEAT_S)

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; calling it early does nothing."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase is Phase.HELLO:
            if now >= self._hello_deadline:
                self._answer_error(None, invalid_request("No hello within 10 s"))
                self.close(CloseCode.HELLO_TIMEOUT, "no hello within 10 s")
            return
        if self._pong_deadline is not None and now >= self._pong_deadline:
            self.close(CloseCode.NO_PONG, "no pong within 20 s")
            return
        if now >= self._ping_at:
            self._ping_at = now + limits.HEARTBEAT_S
            if self._pong_deadline is None:
                self._pong_deadline = now + limits.PONG_TIMEOUT_S
            self._actions.append(SendPing())
        if now >= self._sent_at + limits.HEARTBEAT_S:
            self._sent_at = now
            self._actions.append(SendText(encode_notification("heartbeat", Heartbeat())))

    # --- inside --------------------------------------------------------------------------

    def _receive_hello(self, frame: Request | Notification | Response | Malformed) -> Received | None:
        if self.phase is Phase.AUTHENTICATING:
            fault = invalid_request("Wait for the answer to hello before the next frame")
            self._answer_error(frame.id if isinstance(frame, Request | Malformed) else None, fault)
            self._count_malformed()
            return None
        if not isinstance(frame, Request) or frame.method != "hello":
            request_id = frame.id if isinstance(frame, Request | Malformed) else None
            fault = (
                frame.fault if isinstance(frame, Malformed) else invalid_request("The first frame is `hello`")
            )
            self._refuse_hello(request_id, fault, CloseCode.BAD_FRAME)
            return None
        try:
            params = validated(HelloParams, frame.params)
        except Fault as refusal:
            self._refuse_hello(frame.id, refusal, CloseCode.BAD_FRAME)
            return None
        if params.minor not in limits.MINORS:
            spoken = ", ".join(map(str, limits.MINORS))
            fault = invalid_params([{"path": "minor", "message": f"This gateway speaks v1 minors {spoken}"}])
            self._refuse_hello(frame.id, fault, CloseCode.UNSUPPORTED_VERSION)
            return None
        self.phase = Phase.AUTHENTICATING
        self._hello_id = frame.id
        return HelloReceived(params)

    def _refuse_hello(self, request_id: RequestId | None, fault: Fault, code: CloseCode) -> None:
        self._answer_error(request_id, fault)
        self.close(code, fault.message)

    def _receive_live(self, frame: Request | Notification | Response | Malformed) -> Received | None:
        if isinstance(frame, Notification):
            return NotificationReceived(frame)
        if isinstance(frame, Response):
            return ResponseReceived(frame)
        if isinstance(frame, Malformed):
            self._answer_error(frame.id, frame.fault)
            self._count_malformed()
            return None
        refusal = self._refusal(frame)
        if refusal is not None:
            self._answer_error(frame.id, refusal)
            return None
        self._inflight.add(frame.id)
        return RequestReceived(frame)

    def _refusal(self, request: Request) -> Fault | None:
        if request.id in self._inflight:
            return invalid_request("A request with this id is still in flight")
        if request.method == "hello":
            return invalid_request("hello was already said on this connection")
        if len(self._inflight) >= limits.INFLIGHT_REQUESTS:
            return Fault(
                ErrorKind.RATE_LIMITED,
                f"{limits.INFLIGHT_REQUESTS} requests are in flight on this connection",
                hint="Wait for answers before sending more",
                retry_after_ms=INFLIGHT_RETRY_MS,
            )
        return None

    def _count_malformed(self) -> None:
        self._malformed += 1
        if self._malformed >= MALFORMED_MAX:
            self.close(CloseCode.BAD_FRAME, "too many malformed frames")

    def _too_large(self, allowed: int) -> None:
        fault = Fault(
            ErrorKind.TOO_LARGE,
            f"A frame here has at most {allowed} bytes",
            hint="Send larger content as a blob over HTTP",
        )
        self._answer_error(None, fault)
        self.close(CloseCode.BAD_FRAME, fault.message)

    def _answer_error(self, request_id: RequestId | None, fault: Fault) -> None:
        self._actions.append(SendText(encode_error(request_id, fault)))
