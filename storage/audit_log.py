"""The audit log: appended in the act's own transaction, read in pages.

An entry's canonical text is made once (`audit_chain.seal`) and stored verbatim. High-volume facts (frames,
deltas) are not audit entries; they are metrics.
"""

from typing import Any

from protocol.instants import to_instant
from protocol.records import Actor, AuditEntry
from storage.audit_chain import Link, seal
from storage.engine import Engine, Reader, Row, Transaction
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act

_SQL = Queries("audit")


def append(
    tx: Transaction,
    act: Act,
    action: str,
    subject: dict[str, str],
    *,
    outcome: str = "success",
    detail: dict[str, Any] | None = None,
) -> int:
    """Seal one entry behind the last one, in the transaction of what it is about; returns its number."""
    last = tx.one(_SQL.last)
    previous = Link(last["seq"], last["hash"]) if last is not None else Link.start(_log_id(tx))
    body, link = seal(
        previous,
        {
            "org_id": act.org_id,
            "at": to_instant(act.at_ms),
            "actor": {"id": act.actor.id, "kind": act.actor.kind.value, "name": act.actor.name},
            "via": act.via,
            "action": action,
            "outcome": outcome,
            "subject": subject,
            "detail": detail or {},
        },
    )
    tx.run(
        _SQL.append, seq=link.seq, org_id=act.org_id, at=act.at_ms, action=action, body=body, hash=link.hash
    )
    return link.seq


def _log_id(tx: Reader) -> str:
    log_id: str = tx.value("SELECT audit_log_id FROM store WHERE id = 1")
    return log_id


class AuditLog:
    """`storage.ports.AuditStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, org_id: str, after_seq: int, action: str | None, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        return await self._engine.read(_page, org_id, after_seq, action, limit)

    async def record(
        self, act: Act, action: str, subject: dict[str, str], outcome: str, detail: dict[str, Any]
    ) -> None:
        await self._engine.write(append, act, action, subject, outcome=outcome, detail=detail)


def _page(
    tx: Reader, org_id: str, after_seq: int, action: str | None, limit: int
) -> tuple[list[AuditEntry], str | None]:
    values: dict[str, Any] = {"org_id": org_id, "after": after_seq, "limit": limit + 1}
    if action is not None:
        values["action"] = action
    rows = tx.all(_SQL.page if action is None else _SQL.page_of_action, **values)
    entries = [_entry(row) for row in rows[:limit]]
    return entries, str(entries[-1].seq) if len(rows) > limit else None


def _entry(row: Row) -> AuditEntry:
    body = from_text(row["body"])
    return AuditEntry(
        seq=row["seq"],
        at=body["at"],
        actor=Actor.model_validate(body["actor"]),
        action=body["action"],
        outcome=body["outcome"],
        subject=body["subject"],
        detail=body["detail"],
        hash=row["hash"],
        body=row["body"],
    )
