"""What devices were told to do: requested, sent, and what came of it. Each claim once, whatever happens between."""

from protocol.canonical import canonical
from protocol.errors import ErrorKind, Fault
from storage import audit_log
from storage.device_values import InvocationOutcome, InvocationRow, NewInvocation
from storage.engine import Engine, Reader, Row, Transaction
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act

_SQL = Queries("invocations")


class Invocations:
    """`storage.device_ports.InvocationStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def request(self, act: Act, new: NewInvocation) -> InvocationRow:
        return await self._engine.write(_request, act, new)

    async def claimed(self, claim: str) -> InvocationRow | None:
        return await self._engine.read(_claimed, claim)

    async def send(self, invocation_id: str, deadline_ms: int) -> bool:
        return await self._engine.write(_send, invocation_id, deadline_ms)

    async def settle(self, act: Act, invocation_id: str, outcome: InvocationOutcome) -> InvocationRow:
        return await self._engine.write(_settle, act, invocation_id, outcome)

    async def of_device(self, device_id: str, since_ms: int, limit: int) -> list[InvocationRow]:
        return await self._engine.read(_of_device, device_id, since_ms, limit)

    async def overdue(self, now_ms: int, limit: int) -> list[InvocationRow]:
        return await self._engine.read(_overdue, now_ms, limit)

    async def forget(self, before_ms: int, limit: int) -> int:
        return await self._engine.write(_forget, before_ms, limit)


def _request(tx: Transaction, act: Act, new: NewInvocation) -> InvocationRow:
    row = tx.one(_SQL.claimed, claim=new.claim)
    if row is not None:
        if row["request_hash"] != new.request_hash:
            raise Fault(
                ErrorKind.IDEMPOTENCY_CONFLICT,
                "This idempotency key was used with other params",
                hint="Use a new key for a new request",
            )
        return _invocation(row)
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=act.org_id,
        device_id=new.device_id,
        claim=new.claim,
        request_hash=new.request_hash,
        command=new.command,
        params=canonical(new.params),
        requested_by=act.actor.id,
        now=act.at_ms,
        deadline_at=new.deadline_ms,
    )
    subject = {"device_id": new.device_id, "invocation_id": new.id}
    audit_log.append(
        tx,
        act,
        "device.invoke",
        subject,
        detail={"command": new.command},
        content={"params": new.params},
        about=new.device_id,
    )
    return _found(tx, act.org_id, new.id)


def _claimed(tx: Reader, claim: str) -> InvocationRow | None:
    row = tx.one(_SQL.claimed, claim=claim)
    return _invocation(row) if row is not None else None


def _send(tx: Transaction, invocation_id: str, deadline_ms: int) -> bool:
    tx.run(_SQL.extend, id=invocation_id, deadline_at=deadline_ms)
    return tx.run(_SQL.send, id=invocation_id) == 1


def _settle(tx: Transaction, act: Act, invocation_id: str, outcome: InvocationOutcome) -> InvocationRow:
    before = _found(tx, act.org_id, invocation_id)
    if before.state in ("done", "failed") or before.state == outcome.state:
        return before
    tx.run(
        _SQL.settle,
        id=invocation_id,
        state=outcome.state,
        result=canonical(outcome.result) if outcome.state == "done" else None,
        error_kind=outcome.error_kind,
        error_message=outcome.error_message,
        now=act.at_ms,
    )
    audit_log.append(
        tx,
        act,
        "device.result",
        {"device_id": before.device_id, "invocation_id": invocation_id},
        outcome="success" if outcome.state == "done" else "failure",
        detail={"state": outcome.state, **({"kind": outcome.error_kind} if outcome.error_kind else {})},
    )
    return _found(tx, act.org_id, invocation_id)


def _of_device(tx: Reader, device_id: str, since_ms: int, limit: int) -> list[InvocationRow]:
    rows = tx.all(_SQL.of_device, device_id=device_id, since=since_ms, limit=limit)
    return [_invocation(row) for row in rows]


def _overdue(tx: Reader, now_ms: int, limit: int) -> list[InvocationRow]:
    return [_invocation(row) for row in tx.all(_SQL.overdue, now=now_ms, limit=limit)]


def _forget(tx: Transaction, before_ms: int, limit: int) -> int:
    return tx.run(_SQL.forget, before=before_ms, limit=limit)


def _found(tx: Reader, org_id: str, invocation_id: str) -> InvocationRow:
    row = tx.one(_SQL.find, org_id=org_id, id=invocation_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such invocation")
    return _invocation(row)


def _invocation(row: Row) -> InvocationRow:
    return InvocationRow(
        id=row["id"],
        org_id=row["org_id"],
        device_id=row["device_id"],
        command=row["command"],
        params=from_text(row["params"]),
        state=row["state"],
        result=from_text(row["result"]) if row["result"] is not None else None,
        error_kind=row["error_kind"],
        error_message=row["error_message"],
        created_at_ms=row["created_at"],
        deadline_ms=row["deadline_at"],
        ended_at_ms=row["ended_at"],
    )
