"""Checkpoints of the audit log: when one is made, what is checked before it is signed, and where it goes.

One is made after so many entries, so long after the first that is under none, at shutdown, and when somebody asks.
Before the key signs, the last published note is looked up: a log must not sign what contradicts it. A store that came
back from a backup does; `reconcile` sees that at start and begins a new epoch, which says so.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway import checkpoint_file
from gateway.audit_key import AuditKey
from gateway.clock import Clock
from protocol.errors import ErrorKind, Fault
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from storage.audit_notes import Checkpoint, Note, base_of, origin_of
from storage.audit_ports import CheckpointStore
from storage.audit_proof import proof_text
from storage.audit_values import AuditAppended, AuditHead, NewEpoch
from storage.errors import StoreError
from storage.values import DEFAULT_ORG, GATEWAY, Act

log = structlog.get_logger()

RETRY_S: Final = 5.0
"""Time between attempts while the store or the disk does not take a checkpoint."""
STOP_S: Final = 10.0
"""Time the last checkpoint gets at shutdown; without it, the next start makes it."""


@dataclass(frozen=True, slots=True)
class CheckpointPace:
    """When a checkpoint is due: so many entries, or so many seconds after the first of them."""

    entries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint as it is told."""

    note: str
    size: int
    root: str
    at: str


class Contradiction(Exception):
    """The store is not the one that the published checkpoints are of: nothing is signed before a restart."""


class Checkpointing:
    """Makes and publishes checkpoints, and proofs under them."""

    def __init__(
        self, store: CheckpointStore, key: AuditKey, base: str, path: Path, pace: CheckpointPace, clock: Clock
    ) -> None:
        self._store = store
        self._key = key
        self._base = base
        self._path = path
        self._pace = pace
        self._clock = clock
        self._lock = asyncio.Lock()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._sealed = 0
        self._newest = 0
        self._last: Made | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def unsealed(self) -> int:
        """Entries that no checkpoint is over yet."""
        return max(0, self._newest - self._sealed)

    async def start(self) -> None:
        """Seal what an earlier process left, and go on from there."""
        self._newest = (await self._store.head()).size
        self._task = asyncio.create_task(self._work(), name="audit checkpoints")
        if self._newest:
            self._due.set()

    async def stop(self) -> None:
        """Make the last checkpoint and end. What does not succeed now, the next start makes."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._timer is not None:
            self._timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                if self.unsealed:
                    await self._attempt()

    def on_commit(self, signals: Sequence[object]) -> None:
        """Count new entries."""
        newest = max((signal.seq for signal in signals if isinstance(signal, AuditAppended)), default=0)
        if newest <= self._newest:
            return
        self._newest = newest
        if self.unsealed >= self._pace.entries:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pace.seconds, self._due.set)

    async def make(self) -> Made:
        """A checkpoint over everything committed before; the newest one when that is all. Raises Fault, StoreError."""
        try:
            async with self._lock:
                return await self._make()
        except Contradiction as error:
            raise Fault(
                ErrorKind.INVALID_STATE,
                str(error),
                hint="Restart the gateway: it begins a new epoch of the audit log, which says so",
            ) from error
        except OSError as error:
            raise Fault(
                ErrorKind.UNAVAILABLE, f"The checkpoint cannot be published: {error.strerror or error}"
            ) from error

    async def prove(self, org_id: str, seq: int) -> str:
        """The proof of one entry of the organization, as a text. Raises Fault not_found."""
        made = await self.make()
        path = await self._store.path(org_id, seq, made.size)
        return proof_text(path.body, seq - 1, path.hashes, made.note)

    async def _work(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not await self._attempt():
                self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._due.set)

    async def _attempt(self) -> bool:
        try:
            async with self._lock:
                await self._make()
        except (StoreError, OSError) as error:
            log.warning("no checkpoint now", action="audit_checkpoint_failed", error=str(error))
        except Contradiction as error:
            log.critical(
                "the audit log contradicts its checkpoints", action="audit_contradiction", error=str(error)
            )
        else:
            return True
        return False

    async def _make(self) -> Made:
        head = await self._store.head()
        if self._last is not None and self._last.size == head.size:
            return self._last
        root = await root_over(self._store, head.size)
        published = await asyncio.to_thread(checkpoint_file.last, self._path, self._key.verifiers)
        await self._refuse_contradiction(published, head)
        checkpoint = Checkpoint(origin_of(self._base, head.epoch), head.size, root)
        made = Made(
            self._key.signer.note(checkpoint), head.size, root.hex(), to_instant(self._clock.now_ms())
        )
        newest = await self._store.latest()
        if newest is None or Note.parse(newest).checkpoint != checkpoint:
            await self._store.add(made.note, made.size, root, self._clock.now_ms())
        if published is None or published.checkpoint != checkpoint:
            await asyncio.to_thread(checkpoint_file.append, self._path, made.note)
        self._last, self._sealed = made, made.size
        return made

    async def _refuse_contradiction(self, published: Note | None, head: AuditHead) -> None:
        if published is None or published.checkpoint.epoch != head.epoch:
            return
        before = published.checkpoint
        if before.size > head.size or await self._store.root(before.size) != before.root:
            raise Contradiction(f"{self._path} says that entry {before.size} was another one, or is missing")


async def root_over(store: CheckpointStore, size: int) -> bytes:
    """The root over the first entries, after the tree was made over them. Raises StoreError."""
    while (await store.grow(size)) < size:
        pass
    return await store.root(size)


async def reconcile(store: CheckpointStore, key: AuditKey, path: Path, clock: Clock) -> str | None:
    """Compare the store with the last published checkpoint; begin a new epoch when it is not the one that was sealed.

    Returns the new epoch of the store, or None when nothing is to be done. Raises StoreError and OSError.
    """
    published = await asyncio.to_thread(checkpoint_file.last, path, key.verifiers)
    if published is None:
        return None
    head, known = await store.head(), published.checkpoint
    if known.epoch < head.epoch:
        return None  # the epoch was begun, and its first checkpoint not yet made
    reason = "behind" if known.epoch > head.epoch or known.size > head.size else None
    if reason is None and await root_over(store, known.size) != known.root:
        reason = "different"
    if reason is None:
        return None
    new = NewEpoch(
        max(known.epoch, head.epoch) + 1,
        clock.new_id(IdPrefix.EPOCH),
        reason,
        known.origin,
        known.size,
        known.root.hex(),
    )
    await store.begin_epoch(Act(DEFAULT_ORG, GATEWAY, "start", clock.now_ms()), new)
    log.error(
        "the store is not the one that the last checkpoint was made of: a new epoch of the audit log begins",
        action="audit_epoch",
        reason=reason,
        origin=base_of(known.origin),
        epoch=new.epoch,
        entries=head.size,
        sealed=known.size,
    )
    return new.store_epoch
