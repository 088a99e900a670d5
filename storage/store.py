"""The store as a whole: one engine, its repositories, and what a new store begins with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.approvals import Approvals
from storage.audit_chain import Break, Link
from storage.audit_checkpoints import Checkpoints
from storage.audit_inspection import inspect_store
from storage.audit_log import AuditLog
from storage.audit_ports import Sealer
from storage.audit_trail import AuditTrail
from storage.blobs import Blobs
from storage.budgets import Budgets
from storage.chat_links import ChatLinks
from storage.deliveries import DeliveryRecords
from storage.devices import Devices
from storage.engine import Engine, Reader, Transaction
from storage.erasures import Erasures
from storage.handovers import Handovers
from storage.identities import Identities
from storage.inbox import Inbox
from storage.invocations import Invocations
from storage.journal import Journal
from storage.legal_holds import LegalHolds
from storage.outbox import Outbox
from storage.pairings import Pairings
from storage.queries import Queries
from storage.retention import Retention
from storage.runs import Runs
from storage.switches import Switches
from storage.threads import Threads
from storage.usage_days import UsageDays
from storage.users import Users, ensure_organizations
from storage.values import DEFAULT_ORG
from storage.vault import Vaults

_SQL = Queries("identities")


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """What tells this store from any other, and whether it was made just now."""

    epoch: str
    is_new: bool


class Store:
    """Repositories over one engine. Open with `await Store.open(...)`, close with `await close()`."""

    def __init__(self, engine: Engine, identity: StoreIdentity) -> None:
        self.engine = engine
        self.identity = identity
        self.threads = Threads(engine)
        self.runs = Runs(engine)
        self.journal = Journal(engine)
        self.handovers = Handovers(engine)
        self.inbox = Inbox(engine)
        self.outbox = Outbox(engine)
        self.approvals = Approvals(engine)
        self.pairings = Pairings(engine)
        self.devices = Devices(engine)
        self.invocations = Invocations(engine)
        self.blobs = Blobs(engine)
        self.deliveries = DeliveryRecords(engine)
        self.identities = Identities(engine)
        self.links = ChatLinks(engine)
        self.users = Users(engine)
        self.audit = AuditLog(engine)
        self.trail = AuditTrail(engine)
        self.checkpoints = Checkpoints(engine)
        self.vault = Vaults(engine)
        self.budgets = Budgets(engine)
        self.usage = UsageDays(engine)
        self.switches = Switches(engine)
        self.holds = LegalHolds(engine)
        self.retention = Retention(engine)
        self.erasures = Erasures(engine)

    @classmethod
    async def open(
        cls, directory: Path, *, new_epoch: str, new_log_id: str, now_ms: int, sealer: Sealer
    ) -> "Store":
        """Open the store of a data directory; a new one gets the given ids. Raises StoreError."""
        engine = await Engine.open(directory, sealer)
        try:
            identity = await engine.write(_identify, new_epoch, new_log_id, now_ms)
        except BaseException:
            await engine.close()
            raise
        return cls(engine, identity)

    async def ensure_organizations(self, named: Mapping[str, str], now_ms: int) -> None:
        """Make the organizations that are not there yet, by id; they are named as they are named now."""
        await self.engine.write(ensure_organizations, named, now_ms)

    async def close(self) -> None:
        """Finish what waits and close the files."""
        await self.engine.close()

    async def position(self) -> int:
        """The newest place in the log of the whole store."""
        return await self.engine.read(_position)


def _identify(tx: Transaction, new_epoch: str, new_log_id: str, now_ms: int) -> StoreIdentity:
    row = tx.one(_SQL.store)
    if row is not None:
        return StoreIdentity(row["epoch"], is_new=False)
    tx.run(_SQL.insert_store, epoch=new_epoch, audit_log_id=new_log_id, now=now_ms)
    tx.run(_SQL.insert_organization, id=DEFAULT_ORG, name="Default", now=now_ms)
    return StoreIdentity(new_epoch, is_new=True)


def _position(tx: Reader) -> int:
    position: int = tx.value(_SQL.position)
    return position


def verify_audit(directory: Path) -> tuple[Link, Break | None]:
    """Verify the audit log of a data directory, offline or beside a running gateway, against its own checkpoints.

    Returns the last good place and the first break, if any. Raises StoreDamaged when there is no store.
    """
    report = inspect_store(directory)
    return report.place, report.broken
