"""The audit log on its way out: its lines as they stand, and how far each sink and anchor has got.

Who sends them, and where, is the gateway's. The log itself is the spool: nothing is copied to be sent later.
"""

from storage.audit_values import TrailLine, TrailNote
from storage.engine import Engine, Reader, Transaction
from storage.queries import Queries

_SQL = Queries("audit_trail")


class AuditTrail:
    """`storage.audit_ports.TrailStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def lines(self, after: int, last: int, limit: int) -> list[TrailLine]:
        return await self._engine.read(lines, after, last, limit)

    async def notes(self, after: int, last: int, limit: int) -> list[TrailNote]:
        return await self._engine.read(notes, after, last, limit)

    async def positions(self) -> dict[str, int]:
        return await self._engine.read(_positions)

    async def advance(self, name: str, position: int, now_ms: int) -> None:
        await self._engine.write(_advance, name, position, now_ms)


def lines(tx: Reader, after: int, last: int, limit: int) -> list[TrailLine]:
    """Entries of all organizations behind `after` up to `last`, verbatim."""
    rows = tx.all(_SQL.lines, after=after, last=last, limit=limit)
    return [TrailLine(row["seq"], row["org_id"], row["at"], row["body"], row["hash"]) for row in rows]


def notes(tx: Reader, after: int, last: int, limit: int) -> list[TrailNote]:
    """Checkpoints over more than `after` and at most `last` entries, smallest first."""
    rows = tx.all(_SQL.notes, after=after, last=last, limit=limit)
    return [TrailNote(row["size"], row["note"]) for row in rows]


def _positions(tx: Reader) -> dict[str, int]:
    return {row["name"]: row["position"] for row in tx.all(_SQL.positions)}


def _advance(tx: Transaction, name: str, position: int, now_ms: int) -> None:
    tx.run(_SQL.advance, name=name, position=position, now=now_ms)
