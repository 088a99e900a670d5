"""The audit log: appended in the act's own transaction, read in pages.

An entry's canonical text is made once (`audit_entry.fields`, `audit_chain.seal`) and stored verbatim. High-volume facts
(frames, deltas) are not audit entries; they are metrics. What an entry commits to is `audit_content.py`, who the people
in it are `audit_people.py`, how they are found `audit_index.py`, its tree and checkpoints `audit_checkpoints.py`.
"""

from typing import Any, Final

from protocol.instants import to_instant
from protocol.records import Actor, AuditEntry
from storage import audit_content, audit_index, audit_people
from storage.audit_chain import Link, seal
from storage.audit_entry import fields
from storage.audit_values import AuditAppended, AuditFilter, Revealed
from storage.engine import Engine, Reader, Row, Transaction
from storage.queries import Queries
from storage.texts import from_text
from storage.values import GATEWAY, Act

_SQL = Queries("audit")

CLOCK_TOLERANCE_MS: Final = 5_000
"""Acts are stored in another order than they began, by what a busy writer takes; more is a clock that was set back."""
CLOCK_JUMP: Final = "clock.jump"


def append(
    tx: Transaction,
    act: Act,
    action: str,
    subject: dict[str, str],
    *,
    outcome: str = "success",
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
    policy: dict[str, str] | None = None,
    content: Any = None,
    about: str | None = None,
) -> int:
    """Seal one entry behind the last one, in the transaction of what it is about; returns its number.

    `subject` names things by kind and id, `detail` holds ids and small facts, `reason` is a word that programs compare.
    Whatever people said or are called is `content` (any JSON): the entry commits to it, and it stands encrypted beside
    the log under the key of whom it is `about` (an id: a person's opaque one, a principal, a thread; the actor unless
    told), erased by `audit_content.shred`. People of chat networks in subject or detail are named by
    `audit_people.of_person`.
    """
    last = _last(tx)
    if last["at"] is not None and act.at_ms < last["at"] - CLOCK_TOLERANCE_MS:
        span = {"from": to_instant(last["at"]), "to": to_instant(act.at_ms)}
        jump = Act(act.org_id, GATEWAY, "clock", act.at_ms)
        _seal(tx, last, jump, CLOCK_JUMP, {}, "success", None, span, None, None, None)
        last = _last(tx)
    return _seal(tx, last, act, action, subject, outcome, reason, detail or {}, policy, content, about)


def _last(tx: Transaction) -> Row:
    """The last entry, and which log it is; without an entry, its columns are None."""
    last = tx.one(_SQL.last)
    assert last is not None, "a store has its row from the beginning"
    return last


def _seal(
    tx: Transaction,
    last: Row,
    act: Act,
    action: str,
    subject: dict[str, str],
    outcome: str,
    reason: str | None,
    detail: dict[str, Any],
    policy: dict[str, str] | None,
    content: Any,
    about: str | None,
) -> int:
    log_id, before, org_id, at_ms = last["audit_log_id"], last["seq"], act.org_id, act.at_ms
    previous = Link(before, last["hash"]) if before is not None else Link.start(log_id)
    actor = {"id": audit_people.opaque(tx, org_id, act.actor, at_ms), "kind": act.actor.kind.value}
    if act.token_id is not None:
        actor["token_id"] = act.token_id
    committed = address = None
    if content is not None:
        committed = audit_content.keep(tx, org_id, previous.seq + 1, about or actor["id"], content, at_ms)
    if act.address is not None:
        address = audit_content.keep_address(tx, org_id, actor["id"], act.address, at_ms)
    entry = fields(
        log_id=log_id,
        epoch=last["audit_epoch"],
        org_id=org_id,
        at=to_instant(at_ms),
        actor=actor,
        via=act.via,
        action=action,
        outcome=outcome,
        subject=subject,
        detail=detail,
        reason=reason,
        policy=policy,
        content=committed,
        address=address,
    )
    body, link = seal(previous, entry)
    tx.run(_SQL.append, seq=link.seq, org_id=org_id, at=at_ms, action=action, body=body, hash=link.hash)
    tx.emit(AuditAppended(link.seq, at_ms))
    return link.seq


class AuditLog:
    """`storage.audit_ports.AuditStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, org_id: str, after_seq: int, action: str | None, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        if action is not None:
            return await self.find(org_id, AuditFilter(action=action), after_seq, limit)
        return await self._engine.read(_page, org_id, after_seq, limit)

    async def find(
        self, org_id: str, wanted: AuditFilter, after_seq: int, limit: int
    ) -> tuple[list[AuditEntry], str | None]:
        if await self._engine.read(audit_index.is_behind):
            while await self._engine.write(audit_index.grow):
                pass
        return await self._engine.read(_find, org_id, wanted, after_seq, limit)

    async def record(
        self,
        act: Act,
        action: str,
        subject: dict[str, str],
        outcome: str,
        detail: dict[str, Any],
        *,
        reason: str | None = None,
        content: Any = None,
        about: str | None = None,
    ) -> None:
        await self._engine.write(
            append,
            act,
            action,
            subject,
            outcome=outcome,
            reason=reason,
            detail=detail,
            content=content,
            about=about,
        )

    async def reveal(self, act: Act, seqs: list[int]) -> dict[int, Revealed]:
        return await self._engine.write(_reveal, act, seqs)


def _page(tx: Reader, org_id: str, after_seq: int, limit: int) -> tuple[list[AuditEntry], str | None]:
    return _paged(tx, org_id, tx.all(_SQL.page, org_id=org_id, after=after_seq, limit=limit + 1), limit)


def _find(
    tx: Reader, org_id: str, wanted: AuditFilter, after_seq: int, limit: int
) -> tuple[list[AuditEntry], str | None]:
    return _paged(tx, org_id, audit_index.find(tx, org_id, wanted, after_seq, limit + 1), limit)


def _paged(tx: Reader, org_id: str, rows: list[Row], limit: int) -> tuple[list[AuditEntry], str | None]:
    entries = records(tx, org_id, rows[:limit])
    return entries, str(entries[-1].seq) if len(rows) > limit else None


def records(tx: Reader, org_id: str, rows: list[Row]) -> list[AuditEntry]:
    """Rows of one organization's entries as the protocol says them, actors with their names where they are known."""
    bodies = [from_text(row["body"]) for row in rows]
    names = audit_people.names(tx, org_id, {body["actor"]["id"] for body in bodies})
    return [_entry(row, body, names) for row, body in zip(rows, bodies, strict=True)]


def _entry(row: Row, body: dict[str, Any], names: dict[str, str]) -> AuditEntry:
    actor = body["actor"]
    name = actor.get("name") or names.get(actor["id"]) or actor["id"]  # entries of version 1 hold the name
    return AuditEntry(
        seq=row["seq"],
        at=body["at"],
        actor=Actor(id=actor["id"], kind=actor["kind"], name=name),
        action=body["action"],
        outcome=body["outcome"],
        reason=body.get("reason"),
        subject=body["subject"],
        detail=body["detail"],
        hash=row["hash"],
        body=row["body"],
    )


def _reveal(tx: Transaction, act: Act, seqs: list[int]) -> dict[int, Revealed]:
    """Reading what stands behind entries is an act of its own: whoever does it leaves an entry."""
    found = audit_content.reveal(tx, act.org_id, seqs)
    if found:
        append(tx, act, "audit.reveal", {}, detail={"entries": sorted(found)})
    return found
