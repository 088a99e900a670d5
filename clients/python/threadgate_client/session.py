"""The session: everything this client knows of the protocol, without a socket, a clock or a task (pure).

It outlives connections. The shell (`client.py`) tells it what happened and carries out what it wants:

    connection_opened(now, token)       the WebSocket is open          ┐
    receive(frame, now)                 a frame arrived                │ each returns outputs: what
    connection_lost(now, code, …)       the WebSocket is gone          │ the user is to be told, and
    dial_failed(now, …)                 it could not be opened         │ whether to drop the connection
    handle_timeout(now)                 `next_deadline()` has passed   ┘
    request, open_view, …               the user wants something
    frames_to_send(now)                 what to write, after any of the above

Theory of operation.

    offline ──opened──▶ opened ──challenge──▶ greeted ──hello answered──▶ ready
       ▲                  │                      │                          │
       └── lost: retry_at says when to dial ─────┴──────────────────────────┘──── stop verdict ──▶ ended

Between `opened` and `ready` only `hello` leaves; it names the subscriptions to restore. Requests wait in
their table, and unanswered ones leave again after every reconnect, with the same idempotency keys. Whatever
is wrong with a connection has one cure: it is broken, dropped, and everything resumes on the next one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, Final

from threadgate_client import limits
from threadgate_client.answers import ConnectionLimits, Hello
from threadgate_client.closing import (
    UNSUPPORTED_VERSION,
    RetryVerdict,
    is_ours,
    retry_delay_s,
    retry_verdict,
)
from threadgate_client.errors import ConnectionClosed, ProtocolViolation, RequestRefused, TooLarge
from threadgate_client.fields import Fields
from threadgate_client.frames import (
    Answer,
    GatewayRequest,
    Notification,
    Refusal,
    decode,
    encode_notification,
    encode_refusal,
    encode_result,
    encode_unknown_method,
)
from threadgate_client.inboxes import InboxView
from threadgate_client.outputs import (
    Answered,
    Asked,
    Broken,
    Lost,
    Output,
    Ready,
    Refused,
    Stopped,
    Told,
)
from threadgate_client.requests import RequestTable
from threadgate_client.subscriptions import Subscriptions
from threadgate_client.views import Position, View

READS: Final = frozenset(
    {
        "server.info", "thread.get", "thread.list", "thread.history", "thread.search", "run.get", "run.list",
        "run.steps", "run.diagnose", "run.replay", "run.step", "agent.list", "agent.get", "agent.reload",
        "route.explain", "approval.get", "approval.list", "channel.list", "channel.status", "delivery.list",
        "token.list", "pairing.list", "audit.list", "audit.checkpoint", "audit.prove", "auth.refresh", "user.list",
        "device.list", "device.get", "presence.list", "usage.get",
    }
)  # fmt: skip
"""Methods that change nothing, or nothing more when they are repeated. Every other method, known or not, gets an
idempotency key."""


Greeting = Callable[[str, str], Mapping[str, Any]]
"""What a device says in hello besides, from the nonce of the challenge and the Host header of the upgrade."""


class _Phase(Enum):
    OFFLINE = auto()
    OPENED = auto()
    GREETED = auto()
    READY = auto()
    BROKEN = auto()
    ENDED = auto()


class Session:
    """The protocol's state. All instants are seconds of one monotonic clock."""

    def __init__(
        self,
        *,
        name: str,
        version: str = "",
        platform: str = "",
        offer: Mapping[str, Any] | None = None,
        greeting: Greeting | None = None,
    ) -> None:
        """`offer` makes it the session of an agent process: what it can take, as hello says it in `worker`.

        `greeting` makes it that of a device: what hello says besides, from the nonce and the Host of the connection.
        """
        self._offer = offer
        self._greeting = greeting
        self._serves = offer is not None or greeting is not None
        self._host = ""
        self._client = {"name": name, "version": version, "platform": platform}
        self._requests = RequestTable()
        self._subscriptions = Subscriptions(self._requests)
        self._phase = _Phase.OFFLINE
        self._direct: deque[str] = deque()
        self._next_view_id = 1
        self._token: str | None = None
        self._hello_id: int | None = None
        self._limits = ConnectionLimits()
        self._heartbeat_s = limits.HEARTBEAT_S
        self._opened_at = self._heard_at = 0.0
        self._ready_at: float | None = None
        self._refusal: RequestRefused | ConnectionClosed | None = None
        self._refused_at = 0.0
        self._bye: Mapping[str, Any] | None = None
        self._last_close_code: int | None = None
        self._attempt = 0
        self.hello: Hello | None = None
        """The last answered `hello`; kept while offline."""
        self.retry_at: float | None = 0.0
        """When to dial (again); None while connected and after the end."""

    @property
    def is_ready(self) -> bool:
        """Whether requests flow."""
        return self._phase is _Phase.READY

    # --- the user's side ----------------------------------------------------------------------------------

    def request(self, method: str, params: Mapping[str, Any], key: str) -> int:
        """Ask something; `key` becomes the idempotency key of anything but a read that has none.

        Returns the request's id. Raises TooLarge, or ValueError and TypeError for params that are not JSON.
        """
        if method not in READS and params.get("idempotency_key") is None:
            params = {**params, "idempotency_key": key}
        request_id = self._requests.add(method, params)
        for refused in self._refuse_too_large():
            if refused.request_id == request_id:
                raise refused.error
        return request_id

    def forget(self, request_id: int) -> None:
        """Nobody waits for this answer any more."""
        self._requests.forget(request_id)

    # --- an agent process's side --------------------------------------------------------------------------

    def notify(self, method: str, params: Mapping[str, Any]) -> int:
        """Tell the gateway something over the present connection; nothing happens without one.

        Returns its length in characters. Raises ValueError or TypeError for params that are not JSON, and TooLarge for
        what would close the connection.
        """
        frame = encode_notification(method, params)
        if len(frame.encode()) > self._limits.frame_bytes:
            raise TooLarge(f"{method} takes more than a frame of {self._limits.frame_bytes} bytes")
        return self._send(frame)

    def answer(self, request_id: int | str, result: Mapping[str, Any]) -> None:
        """Answer what the gateway asked."""
        self._send(encode_result(request_id, result))

    def refuse(self, request_id: int | str, kind: str, message: str) -> None:
        """Refuse what the gateway asked."""
        self._send(encode_refusal(request_id, kind, message))

    def _send(self, frame: str) -> int:
        if self._phase is _Phase.READY:
            self._direct.append(frame)
        return len(frame)

    # --- views --------------------------------------------------------------------------------------------

    def open_view(
        self,
        thread_id: str,
        position: Position,
        now: float,
        *,
        deltas: bool = True,
        kinds: frozenset[str] | None = None,
        restarts: bool = False,
    ) -> int:
        """Follow a thread; returns the view's id, which its outputs carry."""
        view_id = self._take_view_id()
        view = View(view_id, thread_id, position, deltas, kinds, restarts)
        self._subscriptions.open_view(view, now)
        return view_id

    def open_inbox(self, after_offset: int | None, now: float) -> int:
        """Follow the heads of all threads; returns the view's id."""
        view_id = self._take_view_id()
        self._subscriptions.open_inbox(InboxView(view_id, after_offset, after_offset), now)
        return view_id

    def close_view(self, view_id: int, now: float) -> None:
        """Stop following."""
        self._subscriptions.close(view_id, now)

    def pause_view(self, view_id: int, now: float) -> None:
        """The reader is full: apply nothing until it is resumed."""
        self._subscriptions.pause(view_id, now)

    def resume_view(self, view_id: int, now: float) -> None:
        """The reader has room again: continue from its cursor."""
        self._subscriptions.resume(view_id, now)

    def _take_view_id(self) -> int:
        self._next_view_id += 1
        return self._next_view_id - 1

    # --- the connection's life ----------------------------------------------------------------------------

    def connection_opened(self, now: float, token: str | None, host: str = "") -> None:
        """The WebSocket is open, dialled under this Host; the gateway speaks first."""
        self._host = host
        self._phase = _Phase.OPENED
        self._token = token
        self._opened_at = self._heard_at = now
        self._ready_at = self._refusal = self._bye = self.retry_at = None

    def connection_lost(self, now: float, code: int, reason: str, jitter: float) -> list[Output]:
        """The WebSocket is gone. `jitter` is uniform in [0, 1)."""
        bye = self._bye or {}
        if self._bye is not None and not is_ours(code):
            code, reason = int(bye["code"]), str(bye.get("reason", ""))
        verdict = retry_verdict(code)
        if self._refusal is not None and not is_ours(code):
            is_final = isinstance(self._refusal, ConnectionClosed) or not self._refusal.is_retryable
            verdict = RetryVerdict.STOP if is_final else RetryVerdict.BACKOFF
        if self._ready_at is not None and now - self._ready_at >= limits.BACKOFF_RESET_S:
            self._attempt = 0
        self._offline(code)
        lost: list[Output] = [Lost()] if self._serves else []
        if verdict is RetryVerdict.STOP:
            self._phase, self.retry_at = _Phase.ENDED, None
            closed = ConnectionClosed(code, reason, verdict)
            if isinstance(self._refusal, RequestRefused):
                self._refusal.__cause__ = closed
            return [*lost, Stopped(self._refusal or closed)]
        after_ms = bye.get("retry_after_ms")
        after_s = after_ms / 1000 if isinstance(after_ms, int) else None
        if after_s is None and isinstance(self._refusal, RequestRefused):
            after_s = self._refusal.retry_after_s
        self._retry(now, verdict, jitter, after_s)
        return lost

    def dial_failed(self, now: float, jitter: float, retry_after_s: float | None = None) -> None:
        """The WebSocket could not be opened."""
        self._retry(now, RetryVerdict.BACKOFF, jitter, retry_after_s)

    def _retry(self, now: float, verdict: RetryVerdict, jitter: float, retry_after_s: float | None) -> None:
        self.retry_at = now + retry_delay_s(verdict, self._attempt, jitter, retry_after_s)
        self._attempt += 1

    def _offline(self, code: int) -> None:
        self._phase = _Phase.OFFLINE
        self._last_close_code = code
        self._direct.clear()
        self._hello_id = None
        self._requests.connection_lost()
        self._subscriptions.connection_lost()

    # --- frames -------------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes, now: float) -> list[Output]:
        """Take one frame from the gateway."""
        if self._phase in (_Phase.OFFLINE, _Phase.BROKEN, _Phase.ENDED):
            return []
        self._heard_at = now
        try:
            match decode(frame):
                case Notification() as notification:
                    return self._notified(notification, now)
                case Answer(request_id, result):
                    return self._answered(request_id, result, now)
                case Refusal(request_id, error):
                    return self._refused(request_id, error, now)
                case GatewayRequest(request_id, method, params):
                    return self._asked(request_id, method, params)
        except ProtocolViolation as violation:
            return self._break(str(violation))

    def frames_to_send(self, now: float) -> list[str]:
        """Take the frames to write now, in order."""
        frames = list(self._direct)
        self._direct.clear()
        if self._phase is _Phase.READY:
            frames += [found.frame for found in self._requests.take_unsent(self._limits.inflight, now)]
        return frames

    def has_frames_to_send(self) -> bool:
        """Whether `frames_to_send` would return any."""
        if self._direct:
            return True
        return self._phase is _Phase.READY and self._requests.has_unsent(self._limits.inflight)

    def _notified(self, frame: Notification, now: float) -> list[Output]:
        if frame.method == "challenge":
            return self._challenged(Fields(frame.params, "challenge"), now)
        if frame.method == "bye":
            self._bye = frame.params if isinstance(frame.params.get("code"), int) else None
            return []
        if self._phase is not _Phase.READY:
            return []
        if self._serves:
            return [Told(frame.method, frame.params)]
        return self._subscriptions.notified(frame, now)

    def _asked(self, request_id: int | str, method: str, params: Mapping[str, Any]) -> list[Output]:
        if not self._serves or self._phase is not _Phase.READY:
            self._direct.append(encode_unknown_method(request_id))
            return []
        return [Asked(request_id, method, params)]

    def _challenged(self, challenge: Fields, now: float) -> list[Output]:
        if self._phase is not _Phase.OPENED:
            return []
        minors = challenge.many("minors", lambda minor: minor)
        if limits.MINOR not in minors:
            reason = f"the gateway speaks only the minor versions {list(minors)}"
            self._refusal = ConnectionClosed(UNSUPPORTED_VERSION, reason)
            return self._break(reason)
        params: dict[str, Any] = {
            "minor": limits.MINOR,
            "client": self._client,
            "role": "client" if self._offer is None else "agent",
            "auth": {"token": self._token} if self._token is not None else {},
            "capabilities": [],
            "resume": self._subscriptions.resume_points(),
        }
        if self._offer is not None:
            params["worker"] = self._offer
        if self._greeting is not None:
            params |= self._greeting(challenge.text("nonce"), self._host)
        if self._last_close_code is not None:
            params["last_close_code"] = self._last_close_code
        self._hello_id = self._requests.add("hello", params, is_own=True)
        self._direct.append(self._requests.take(self._hello_id, now))
        self._phase = _Phase.GREETED
        return []

    def _answered(self, request_id: int, result: Mapping[str, Any], now: float) -> list[Output]:
        pending = self._requests.pop(request_id)
        if pending is None:
            return []  # somebody stopped waiting for it
        if request_id == self._hello_id:
            return self._welcomed(Hello.from_json(result), now)
        if pending.is_own:
            return self._subscriptions.answered(pending, result, now)
        return [Answered(request_id, result)] if not pending.is_forgotten else []

    def _refused(self, request_id: int | None, error: RequestRefused, now: float) -> list[Output]:
        if self._phase is not _Phase.READY and request_id in (None, self._hello_id):
            self._refusal, self._refused_at = error, now
            return []
        # Without an id the gateway could not read a frame of ours; it closes with 4000 if it minds.
        pending = self._requests.pop(request_id) if request_id is not None else None
        if pending is None:
            return []
        if pending.is_own:
            return self._subscriptions.refused(pending, error, now)
        return [Refused(pending.id, error)] if not pending.is_forgotten else []

    def _welcomed(self, hello: Hello, now: float) -> list[Output]:
        self.hello, self._limits, self._heartbeat_s = hello, hello.limits, float(hello.heartbeat_s)
        self._phase, self._ready_at = _Phase.READY, now
        outputs: list[Output] = [Ready(hello), *self._refuse_too_large()]
        outputs += self._subscriptions.ready(hello, now)
        self._requests.put_own_first()
        return outputs

    def _refuse_too_large(self) -> list[Refused]:
        """Refuse here what the gateway would close the connection for, again after every reconnect."""
        refused = []
        for pending in self._requests.larger_than(self._limits.frame_bytes):
            self._requests.pop(pending.id)
            error = TooLarge(
                f"{pending.method} takes {pending.size_bytes} bytes, a frame {self._limits.frame_bytes}"
            )
            refused.append(Refused(pending.id, error))
        return refused

    # --- time ---------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When to call `handle_timeout`, or None while offline."""
        if self._phase in (_Phase.OFFLINE, _Phase.BROKEN, _Phase.ENDED):
            return None
        times = [found for found, _ in self._fatal_deadlines()]
        if (due := self._subscriptions.next_due()) is not None:
            times.append(due)
        return min(times)

    def handle_timeout(self, now: float) -> list[Output]:
        """Do what is due by `now`; harmless when nothing is."""
        if self._phase in (_Phase.OFFLINE, _Phase.BROKEN, _Phase.ENDED):
            return []
        for deadline, reason in self._fatal_deadlines():
            if deadline <= now:
                return self._break(reason)
        self._subscriptions.sync_all(now)
        return []

    def _fatal_deadlines(self) -> list[tuple[float, str]]:
        deadlines = [
            (self._heard_at + self._heartbeat_s + limits.SILENCE_GRACE_S, "the gateway fell silent"),
        ]
        if self._phase is _Phase.OPENED:
            deadlines.append((self._opened_at + limits.CHALLENGE_TIMEOUT_S, "no challenge came"))
        if (sent_at := self._requests.oldest_own_sent_at()) is not None:
            deadlines.append((sent_at + limits.OWN_REQUEST_TIMEOUT_S, "a subscription was not answered"))
        if self._refusal is not None:
            deadlines.append((self._refused_at + limits.CLOSE_GRACE_S, "hello was refused"))
        return deadlines

    def _break(self, reason: str) -> list[Output]:
        self._phase = _Phase.BROKEN
        return [Broken(reason)]
