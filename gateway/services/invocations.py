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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from gateway.agents.devices import DeviceCall
from gateway.agents.port import Json, OutcomeUnknown, StepFailed
from gateway.agents.tools.arguments import BadArguments, check, parsed
from gateway.clock import Clock
from gateway.rules.policy import Proposed, Verdict
from gateway.services.device_approvals import DeviceApprovals
from gateway.services.device_connections import DeviceConnections, DeviceRefused
from gateway.services.invocation_outcomes import (
    NOT_SENT,
    answered,
    asked,
    done,
    given_up,
    not_here,
    refused,
    unknown_text,
)
from protocol.canonical import digest
from protocol.device_requests import DeviceInvokeParams, DeviceInvokeResult
from protocol.devices import DeviceCommand
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind
from storage.audit_ports import AuditStore
from storage.device_ports import DeviceStore, InvocationStore
from storage.device_values import InvocationOutcome, InvocationRow, KnownDevice, NewInvocation
from storage.errors import StoreUnavailable
from storage.values import GATEWAY, Act, Claim

log = structlog.get_logger()

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
        approvals: DeviceApprovals,
        clock: Clock,
        judge: Judge,
    ) -> None:
        self._store = store
        self._devices = devices
        self._connections = connections
        self._audit = audit
        self._approvals = approvals
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
        verdict = await self._judged(act, device, params.command, command)
        assert command is not None, "what was not declared is denied"
        _check_params(command, params.params)
        claim = await self._leave(act, device, command, params, verdict)
        wanted = _Wanted(device, command.name, params.params, claim, params.timeout_s, params.wait)
        return answered(await self._outcome(act, wanted))

    async def _judged(
        self, act: Act, device: KnownDevice, name: str, command: DeviceCommand | None
    ) -> Verdict:
        """What the policies say. Raises Fault policy_denied; that leaves its entry."""
        verdict = self._judge(
            Proposed(
                kind="device",
                name=f"{device.name}.{name}",
                at=datetime.fromtimestamp(act.at_ms / 1000, UTC),
                channel="client",
                person=act.actor.id,
                risk=command.risk if command is not None else "high",
                is_known=command is not None,
            )
        )
        # What a device did not declare has no schema to check and no risk: no policy makes it callable.
        if command is not None and verdict.effect != "deny":
            return verdict
        await self._refuse(act, device, name, verdict)
        if command is None:
            raise Fault(
                ErrorKind.POLICY_DENIED,
                f"The device {device.name} has declared no command {name}",
                hint="device.get shows what it can do",
            )
        raise Fault(
            ErrorKind.POLICY_DENIED,
            verdict.reason or "A policy forbids this command",
            hint="threadgate policy explain says which",
            rule=verdict.rule,
        )

    async def _leave(
        self,
        act: Act,
        device: KnownDevice,
        command: DeviceCommand,
        params: DeviceInvokeParams,
        verdict: Verdict,
    ) -> str:
        """The claim under which it may be done: that of the approval, of the key, or one of its own.

        Raises Fault as `DeviceApprovals.given` does, and approval_required where people have to be asked.
        """
        if params.approval_id is not None:
            return await self._approvals.given(act, params.approval_id, device, command, params.params)
        if verdict.effect == "require_approval":
            await self._refuse(act, device, command.name, verdict)
            raise await self._approvals.ask(act, device, command, params.params, verdict)
        return (
            _claimed(act.org_id, act.claim)
            if act.claim is not None
            else self._clock.new_id(IdPrefix.INVOCATION)
        )

    async def _refuse(self, act: Act, device: KnownDevice, name: str, verdict: Verdict) -> None:
        """What is not done leaves its entry, too."""
        detail = {"command": name, "effect": verdict.effect, "rule": verdict.rule}
        await self._audit.record(act, "device.invoke", {"device_id": device.id}, "failure", detail)

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
                raise OutcomeUnknown(f"{unknown_text(row)}.")

    # --- once ---------------------------------------------------------------------------------

    async def _outcome(self, act: Act, wanted: _Wanted) -> InvocationRow:
        """What came of it, now or before. Raises Fault busy, unavailable, idempotency_conflict."""
        device = wanted.device
        known = await self._store.claimed(wanted.claim)
        if known is None:
            if not wanted.wait and self._connections.find(device.id) is None:
                raise not_here(device)
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
                return await self._settle(row, given_up(wanted.device, wanted.timeout_s, was_sent))
            if not await self._store.send(row.id, deadline_ms):
                return await self._settle(row, given_up(wanted.device, wanted.timeout_s, was_sent))
            try:
                answer = await connection.request(
                    "command.invoke", asked(row, deadline_ms, recall=was_sent), left_s
                )
            except DeviceRefused as refusal:
                if refusal.kind == "gone":  # back again it says what came of it
                    was_sent = True
                    continue
                if (
                    was_sent and refusal.kind == "not_found"
                ):  # it never got it, and never will: that connection is gone
                    was_sent = False
                    continue
                return await self._settle(row, refused(refusal, wanted.timeout_s, was_sent))
            return await self._settle(row, done(answer))

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
                    wanted = asked(row, self._deadline_ms(RECALL_S), recall=True)
                    await self._recall(row, connection.request("command.invoke", wanted, RECALL_S))
        except StoreUnavailable as error:
            log.warning("devices are not asked now", action="recall_failed", error=str(error))

    async def _recall(self, row: InvocationRow, answer: Awaitable[Mapping[str, Any]]) -> None:
        try:
            outcome = done(await answer)
        except DeviceRefused as refusal:
            if refusal.kind in ("gone", "timeout", "stalled"):
                return
            if refusal.kind == "not_found":
                outcome = InvocationOutcome(
                    "failed", error_kind=NOT_SENT, error_message="It never reached the device"
                )
            else:
                outcome = refused(refusal, RECALL_S, was_sent=True)
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


def _claimed(org_id: str, claim: Claim) -> str:
    """Who asks with which key, as one word."""
    named = "\0".join(("call", org_id, claim.principal_id, claim.method, claim.key))
    return hashlib.sha256(named.encode()).hexdigest()


def _check_params(command: DeviceCommand, params: dict[str, Any]) -> None:
    """Raise Fault invalid_params for params that do not fit what was declared."""
    try:
        check(command.params_schema, parsed(params))
    except BadArguments as error:
        raise invalid_params([{"path": "params", "message": str(error)}]) from error
