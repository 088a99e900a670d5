"""Invocations: a device is told to do something, once, and what came of it is found out or said to be unknown.

Theory of operation. What is to be done is a row before anything is sent (`requested`), and the row says `sent` before
the first byte leaves. So after a crash of ours, or of the connection, a row that says `requested` was never sent; one
that says `sent` is asked about when the device is back (`recall`): it kept the answer under the invocation's id, or
says that it never got the request, or that it was cut off in the middle and does not know. Nothing else makes a second
request: the same claim finds the same row, whoever asks again, and a row has one driver at a time.

The deadline is that of whoever waits. When it is over the row says `unknown`; should the device remember later, the
row learns of it, and so does who asks again with the same key.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from gateway.agents.devices import DeviceCall
from gateway.agents.port import Json, OutcomeUnknown, StepFailed
from gateway.agents.tools.arguments import BadArguments, check, parsed
from gateway.clock import Clock
from gateway.rules.policy import Proposed, Verdict
from gateway.services.device_connections import DeviceConnections, DeviceRefused
from protocol.canonical import canonical, digest
from protocol.device_requests import DeviceInvokeParams, DeviceInvokeResult
from protocol.devices import CommandInvokeParams, DeviceCommand, Invocation, InvocationError
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from protocol.limits import KIB
from protocol.records import Actor, ActorKind
from storage.audit_ports import AuditStore
from storage.device_ports import DeviceStore, InvocationStore
from storage.device_values import InvocationOutcome, InvocationRow, KnownDevice, NewInvocation
from storage.errors import StoreUnavailable
from storage.values import GATEWAY, Act

log = structlog.get_logger()

RESULT_CHARS: Final = 256 * KIB
"""Of a result as JSON: what is larger belongs into a file."""
MESSAGE_CHARS: Final = 500
KIND_CHARS: Final = 64
"""Of what a device says when it fails."""
IN_FLIGHT_MAX: Final = 16
"""Commands of one device under way: what comes beyond would only wait in its program."""
RECALL_S: Final = 30.0
"""Time a device that is back has to say what came of an earlier request."""
RECALL_SINCE_MS: Final = 24 * 3600 * 1000
"""How far back a device is asked: as long as idempotency keys are kept."""
RECALL_MAX: Final = 100
EXPIRE_AT_ONCE: Final = 100
"""Invocations that are asked about, or settled, at once."""
KEPT_MS: Final = 30 * 24 * 3600 * 1000
FORGET_AT_ONCE: Final = 500
"""How long an invocation is kept after its end, and how many go in one transaction."""
NOT_SENT: Final = "not_sent"
"""The kind of what failed before anything was sent."""

Judge = Callable[[Proposed], Verdict]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Something to have done for somebody until a monotonic deadline."""

    device: KnownDevice
    command: str
    params: dict[str, Any]
    claim: str
    timeout_s: float
    wait: bool


class Invocations:
    """Use cases of invoking devices; `gateway.agents.devices.DeviceHands` for agents."""

    def __init__(
        self,
        store: InvocationStore,
        devices: DeviceStore,
        connections: DeviceConnections,
        audit: AuditStore,
        clock: Clock,
        judge: Judge,
    ) -> None:
        self._store = store
        self._devices = devices
        self._connections = connections
        self._audit = audit
        self._clock = clock
        self._judge = judge
        self._driving: dict[str, asyncio.Task[InvocationRow]] = {}
        self._busy: Counter[str] = Counter()
        self._recalls: set[asyncio.Task[None]] = set()
        connections.on_join(self._joined)

    # --- for people and programs --------------------------------------------------------------

    async def invoke(self, act: Act, params: DeviceInvokeParams) -> DeviceInvokeResult:
        """Have a device do something for a caller of the protocol.

        Raises Fault: not_found, invalid_state (revoked), policy_denied, approval_required, invalid_params,
        idempotency_conflict, busy, and unavailable: when nothing was sent, or, with `data.outcome` unknown, when nobody
        knows what came of it.
        """
        device = await self._devices.known(act.org_id, params.device_id)
        command = device.command(params.command)
        await self._judged(act, device, params.command, command)
        assert command is not None, "what was not declared is denied"
        _check_params(command, params.params)
        wanted = _Wanted(device, command.name, params.params, _claim(act), params.timeout_s, params.wait)
        return _answered(await self._outcome(act, wanted))

    async def _judged(self, act: Act, device: KnownDevice, name: str, command: DeviceCommand | None) -> None:
        """Raise Fault unless the policies allow it; a refusal leaves its entry."""
        proposed = Proposed(
            kind="device",
            name=f"{device.name}.{name}",
            at=datetime.fromtimestamp(act.at_ms / 1000, UTC),
            channel="client",
            person=act.actor.id,
            risk=command.risk if command is not None else "high",
            is_known=command is not None,
        )
        verdict = self._judge(proposed)
        # What a device did not declare has no schema to check and no risk: no policy makes it callable.
        if command is not None and verdict.effect in ("allow", "warn"):
            return
        subject = {"device_id": device.id}
        detail = {"command": name, "effect": verdict.effect, "rule": verdict.rule}
        await self._audit.record(act, "device.invoke", subject, "failure", detail)
        if command is None:
            raise Fault(
                ErrorKind.POLICY_DENIED,
                f"The device {device.name} has declared no command {name}",
                hint="device.get shows what it can do",
            )
        if verdict.effect == "require_approval":
            raise Fault(
                ErrorKind.APPROVAL_REQUIRED,
                verdict.reason or "Somebody else must allow this command",
                hint="Let an agent ask for it: its approval is decided by people; a direct call cannot wait for one",
                rule=verdict.rule,
            )
        raise Fault(
            ErrorKind.POLICY_DENIED,
            verdict.reason or "A policy forbids this command",
            hint="threadgate policy explain says which",
            rule=verdict.rule,
        )

    # --- for agents ---------------------------------------------------------------------------

    async def active(self, org_id: str) -> list[KnownDevice]:
        """See DeviceHands."""
        return await self._devices.active(org_id)

    async def use(self, call: DeviceCall) -> Json:
        """See DeviceHands. What policies say was asked before, by whoever executes the step."""
        act = Act(
            call.org_id,
            Actor(id=call.agent_id, kind=ActorKind.AGENT, name=call.agent_id),
            "run",
            self._clock.now_ms(),
        )
        claim = hashlib.sha256(f"run\0{call.org_id}\0{call.run_id}\0{call.key}".encode()).hexdigest()
        try:
            device = await self._devices.known(call.org_id, call.device_id)
            command = device.command(call.command)
            if command is None:
                raise StepFailed(f"The device {device.name} does not offer {call.command} any more.")
            _check_params(command, call.params)
            wanted = _Wanted(device, command.name, call.params, claim, call.timeout_s, wait=True)
            row = await self._outcome(act, wanted)
        except Fault as fault:
            raise StepFailed(f"{fault.message}.") from fault
        match row.state:
            case "done":
                return row.result
            case "failed":
                raise StepFailed(f"{row.error_message or 'The device says that it failed'}.")
            case _:
                raise OutcomeUnknown(f"{_unknown_text(row)}.")

    # --- once ---------------------------------------------------------------------------------

    async def _outcome(self, act: Act, wanted: _Wanted) -> InvocationRow:
        """What came of it, now or before. Raises Fault busy, unavailable, idempotency_conflict."""
        device = wanted.device
        known = await self._store.claimed(wanted.claim)
        if known is None:
            if not wanted.wait and self._connections.find(device.id) is None:
                raise _not_here(device)
            if self._busy[device.id] >= IN_FLIGHT_MAX:
                raise Fault(
                    ErrorKind.BUSY,
                    f"{IN_FLIGHT_MAX} commands of {device.name} are under way",
                    retry_after_ms=1000,
                )
        new = NewInvocation(
            id=self._clock.new_id(IdPrefix.INVOCATION),
            device_id=device.id,
            claim=wanted.claim,
            request_hash=digest([device.id, wanted.command, wanted.params]),
            command=wanted.command,
            params=wanted.params,
            deadline_ms=self._deadline_ms(wanted.timeout_s),
        )
        row = await self._store.request(act, new)
        if row.state in ("done", "failed", "unknown"):
            return row
        task = self._driven(row, wanted)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():  # who asked is gone; it goes on without them
                raise
            raise Fault(
                ErrorKind.UNAVAILABLE,
                "The gateway is restarting",
                hint="Ask again with the same idempotency_key",
                invocation_id=row.id,
            ) from None

    def _driven(self, row: InvocationRow, wanted: _Wanted) -> "asyncio.Task[InvocationRow]":
        """The one driver of an invocation: it goes on when nobody waits for it any more."""
        task = self._driving.get(row.id)
        if task is None:
            task = asyncio.create_task(self._drive(row, wanted), name=f"invocation {row.id}")
            self._driving[row.id] = task
            self._busy[row.device_id] += 1
            task.add_done_callback(lambda done: self._driven_out(row, done))
        return task

    def _driven_out(self, row: InvocationRow, task: "asyncio.Task[InvocationRow]") -> None:
        self._driving.pop(row.id, None)
        self._busy[row.device_id] -= 1
        if not self._busy[row.device_id]:
            del self._busy[row.device_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning(
                "an invocation was not driven", action="invocation_broke", id=row.id, error=str(error)
            )

    async def _drive(self, row: InvocationRow, wanted: _Wanted) -> InvocationRow:
        """Send it, or ask about it, until its outcome is known or the deadline is over."""
        until = self._clock.monotonic() + wanted.timeout_s
        deadline_ms = self._deadline_ms(wanted.timeout_s)
        was_sent = row.state == "sent"
        while True:
            patience_s = until - self._clock.monotonic() if wanted.wait or was_sent else 0.0
            connection = await self._connections.wait(row.device_id, patience_s)
            left_s = until - self._clock.monotonic()
            if connection is None or left_s <= 0:
                return await self._settle(row, _given_up(wanted.device, wanted.timeout_s, was_sent))
            if not await self._store.send(row.id, deadline_ms):
                return await self._settle(row, _given_up(wanted.device, wanted.timeout_s, was_sent))
            try:
                answer = await connection.request(
                    "command.invoke", _asked(row, deadline_ms, recall=was_sent), left_s
                )
            except DeviceRefused as refused:
                if refused.kind == "gone":  # back again it says what came of it
                    was_sent = True
                    continue
                if (
                    was_sent and refused.kind == "not_found"
                ):  # it never got it, and never will: that connection is gone
                    was_sent = False
                    continue
                return await self._settle(row, _refused(refused, wanted.timeout_s, was_sent))
            return await self._settle(row, _done(answer))

    async def _settle(self, row: InvocationRow, outcome: InvocationOutcome) -> InvocationRow:
        is_devices = outcome.state != "unknown" and outcome.error_kind != NOT_SENT
        actor = Actor(id=row.device_id, kind=ActorKind.DEVICE, name="") if is_devices else GATEWAY
        act = Act(row.org_id, actor, "websocket" if is_devices else "gateway", self._clock.now_ms())
        return await self._store.settle(act, row.id, outcome)

    def _deadline_ms(self, timeout_s: float) -> int:
        return self._clock.now_ms() + round(timeout_s * 1000)

    # --- a device is back ---------------------------------------------------------------------

    def _joined(self, device_id: str) -> None:
        task = asyncio.create_task(self._recall_all(device_id), name=f"recall {device_id}")
        self._recalls.add(task)
        task.add_done_callback(self._recalls.discard)

    async def _recall_all(self, device_id: str) -> None:
        """Ask a device what came of everything nobody waits for any more.

        What is still in time is left to whoever asks again with its claim: a run that is resumed, a request repeated.
        """
        now_ms = self._clock.now_ms()
        since_ms = now_ms - RECALL_SINCE_MS
        try:
            for row in await self._store.of_device(device_id, since_ms, RECALL_MAX):
                connection = self._connections.find(device_id)
                if connection is None:
                    return
                if row.id not in self._driving and row.deadline_ms <= now_ms:
                    asked = _asked(row, self._deadline_ms(RECALL_S), recall=True)
                    await self._recall(row, connection.request("command.invoke", asked, RECALL_S))
        except StoreUnavailable as error:
            log.warning("devices are not asked now", action="recall_failed", error=str(error))

    async def _recall(self, row: InvocationRow, answer: "Any") -> None:
        try:
            outcome = _done(await answer)
        except DeviceRefused as refused:
            if refused.kind in ("gone", "timeout", "stalled"):
                return
            if refused.kind == "not_found":
                outcome = InvocationOutcome(
                    "failed", error_kind=NOT_SENT, error_message="It never reached the device"
                )
            else:
                outcome = _refused(refused, RECALL_S, was_sent=True)
        await self._settle(row, outcome)

    # --- house keeping ------------------------------------------------------------------------

    async def expire(self) -> None:
        """Settle what an earlier process left and nobody asks about any more; forget what is old."""
        now_ms = self._clock.now_ms()
        for row in await self._store.overdue(now_ms, EXPIRE_AT_ONCE):
            if row.id in self._driving:
                continue
            if row.state == "requested":
                restarted = "The gateway was restarted before it was sent"
                await self._settle(row, InvocationOutcome("failed", None, NOT_SENT, restarted))
                continue
            await self._settle(row, InvocationOutcome("unknown"))
            if self._connections.find(row.device_id) is not None:
                self._joined(row.device_id)  # it may remember
        while await self._store.forget(now_ms - KEPT_MS, FORGET_AT_ONCE) == FORGET_AT_ONCE:
            pass

    async def close(self) -> None:
        """Stop waiting. What was sent stays so, and is asked about when the device meets the next process."""
        tasks = [*self._driving.values(), *self._recalls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _claim(act: Act) -> str:
    """Who asks with which key; without a key every request is one of its own."""
    if act.claim is None:
        return hashlib.sha256(f"{act.org_id}\0{act.actor.id}\0{id(act)}\0{act.at_ms}".encode()).hexdigest()
    named = "\0".join(("call", act.org_id, act.claim.principal_id, act.claim.method, act.claim.key))
    return hashlib.sha256(named.encode()).hexdigest()


def _check_params(command: DeviceCommand, params: dict[str, Any]) -> None:
    """Raise Fault invalid_params for params that do not fit what was declared."""
    try:
        check(command.params_schema, parsed(params))
    except BadArguments as error:
        raise invalid_params([{"path": "params", "message": str(error)}]) from error


def _asked(row: InvocationRow, deadline_ms: int, *, recall: bool) -> CommandInvokeParams:
    return CommandInvokeParams(
        invocation_id=row.id,
        command=row.command,
        params=row.params,
        deadline=to_instant(deadline_ms),
        recall=recall,
    )


def _done(answer: Mapping[str, Any]) -> InvocationOutcome:
    result = answer.get("result")
    try:
        text = canonical(result)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return InvocationOutcome("failed", None, "bad_result", "It was done, but its result is not JSON")
    if len(text) > RESULT_CHARS:
        return InvocationOutcome("failed", None, "too_large", "It was done, but its result is too large")
    return InvocationOutcome("done", result)


def _refused(refused: DeviceRefused, timeout_s: float, was_sent: bool) -> InvocationOutcome:
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


def _given_up(device: KnownDevice, timeout_s: float, was_sent: bool) -> InvocationOutcome:
    if was_sent:
        return InvocationOutcome("unknown", error_message=f"the device was not back within {timeout_s:g} s")
    message = f"The device {device.name} is not connected: nothing was sent"
    return InvocationOutcome("failed", None, NOT_SENT, message)


def _not_here(device: KnownDevice) -> Fault:
    return Fault(
        ErrorKind.UNAVAILABLE,
        f"The device {device.name} is not connected: nothing was sent",
        hint="Ask again when it is back, or wait for it with `wait`",
    )


def _unknown_text(row: InvocationRow) -> str:
    why = f" ({row.error_message})" if row.error_message else ""
    return f"Whether the device did it is not known{why}"


def _answered(row: InvocationRow) -> DeviceInvokeResult:
    """Raises Fault unavailable for what has no outcome."""
    if row.state == "unknown":
        raise Fault(
            ErrorKind.UNAVAILABLE,
            _unknown_text(row),
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
