"""What services may ask of the store. The plain values that go in and come out are in `values.py`, and
what may be asked about runs in `run_ports.py`, about principals in `identity_ports.py`.

Every method of every port is one transaction: a coroutine that never blocks the loop, is durable when it
returns, and has no effect when it raises. Reads see one consistent snapshot. Raising: `Fault` for a refusal
the caller should pass on, `StoreUnavailable` when the disk did not take it, `StaleFence` when a run is no
longer the caller's. Methods that take an `Act` with a `Claim` are idempotent: the same key with the same
params returns the stored answer and changes nothing. Times are milliseconds since 1970, given by the caller.
Only the bytes of files are outside of transactions; `BlobStore` says what that means.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from protocol.devices import Pairing
from protocol.frames import RawJson
from protocol.records import (
    Delivery,
    PairingState,
    Thread,
)
from protocol.requests import SearchMatch
from storage.channel_values import Delivered, Gap, Outcome, PairingKey, PairingPlace
from storage.device_values import DeviceGrant
from storage.file_values import BlobRow, NewFile
from storage.values import (
    Act,
    ClaimedRun,
    DeliveryCounts,
    DeliveryFilter,
    DeliveryStep,
    LogPage,
    NewMessage,
    NewThread,
    Notice,
    OutboxChanged,
    OutboxRow,
    Said,
    ThreadHead,
)


class ThreadStore(Protocol):
    """Threads, their logs and what was said in them."""

    async def create(self, act: Act, thread: NewThread) -> RawJson:
        """Make a thread; returns the JSON of a ThreadResult."""
        ...

    async def get(self, org_id: str, thread_id: str) -> Thread:
        """One thread. Raises Fault not_found, also for a deleted one."""
        ...

    async def page(
        self, org_id: str, status: str, limit: int, cursor: str | None
    ) -> tuple[list[Thread], str | None]:
        """A page, newest change first, and the cursor of the next."""
        ...

    async def update(self, act: Act, thread_id: str, title: str | None, agent_id: str | None) -> RawJson:
        """Change what is not None; returns a ThreadResult. No event when nothing changes."""
        ...

    async def archive(self, act: Act, thread_id: str) -> RawJson:
        """Put away; archiving an archived thread changes nothing. Returns a ThreadResult."""
        ...

    async def restore(self, act: Act, thread_id: str) -> RawJson:
        """Bring back; restoring an active thread changes nothing. Returns a ThreadResult."""
        ...

    async def delete(self, act: Act, thread_id: str) -> RawJson:
        """Cancel its runs and erase its content, for good. Returns a ThreadResult."""
        ...

    async def history(
        self,
        org_id: str,
        thread_id: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int,
        kinds: frozenset[str] | None = None,
    ) -> LogPage:
        """Events after or before a place, in order; without a place the newest. Raises Fault not_found."""
        ...

    async def replay(self, org_id: str, thread_id: str, after: int, limit: int, limit_bytes: int) -> LogPage:
        """The next events after a place, bounded in number and size (one at least, if there is one)."""
        ...

    async def search(
        self, org_id: str, query: str, thread_id: str | None, limit: int, cursor: str | None
    ) -> tuple[list[SearchMatch], str | None]:
        """Messages that contain every word, newest first."""
        ...

    async def heads(self, org_id: str, after_offset: int, limit: int) -> list[ThreadHead]:
        """Threads that changed after a place in the store's log, in that order; deleted ones too."""
        ...

    async def said(self, thread_id: str, upto_seq: int, limit: int) -> list[Said]:
        """The last messages up to a place, oldest first."""
        ...

    async def accept(self, act: Act, message: NewMessage) -> RawJson:
        """Store a message and its run, in a thread that may be new; returns a MessageSendResult.

        It makes no run where the thread's waiting run has an open question, which it answers (signal RunReady when
        that was the last), nor where on_busy="steer" reaches the running one. Where a person holds the thread its run
        is ended at once by `held`. Raises Fault: not_found, invalid_state (archived), too_large (all the messages a
        thread may have), busy (on_busy="reject", or the queue is full).
        """
        ...


class InboxStore(Protocol):
    """What chat networks delivered."""

    async def cursors(self, org_id: str, channel: str, account: str) -> dict[str, tuple[str, int]]:
        """The cursors of an account by scope, each with when it was last known to be true."""
        ...

    async def find_thread(
        self, org_id: str, channel: str, account: str, room: str, thread_key: str | None, reply_to: str | None
    ) -> str | None:
        """The thread of a conversation, by its key or else by the message it answers; None for an unknown one."""
        ...

    async def commit(
        self,
        org_id: str,
        channel: str,
        account: str,
        deliveries: Sequence[Delivered],
        cursors: Mapping[str, str],
        now_ms: int,
    ) -> list[Outcome]:
        """Store the batch, what follows from it and the cursors; returns what came of each. Idempotent."""
        ...

    async def report_gap(self, act: Act, channel: str, account: str, gap: Gap) -> None:
        """Record a gap with its audit entry; the same gap again changes nothing."""
        ...


class PairingStore(Protocol):
    """Strangers who asked to be let in, and what was decided."""

    async def page(
        self, org_id: str, state: PairingState | None, limit: int, cursor: str | None, now_ms: int
    ) -> tuple[list[Pairing], str | None]:
        """A page, newest first."""
        ...

    async def find(self, org_id: str, key: PairingKey, now_ms: int) -> Pairing:
        """The pairing that is meant. Raises Fault not_found."""
        ...

    async def place(self, org_id: str, key: PairingKey, now_ms: int) -> PairingPlace | None:
        """Where the person of a pairing asked; None when there is no such pairing."""
        ...

    async def approve(
        self, act: Act, key: PairingKey, told: Notice | None, grant: DeviceGrant | None = None
    ) -> RawJson:
        """Let the person in and tell them, or a device with what it is given; again changes nothing.

        Returns a PairingResult. Raises Fault: not_found, expired; of a device invalid_params, invalid_state and
        conflict, too.
        """
        ...

    async def reject(self, act: Act, key: PairingKey) -> RawJson:
        """Shut the person out, also one who was let in; rejecting again changes nothing. Returns a PairingResult.

        Raises Fault not_found.
        """
        ...


class OutboxStore(Protocol):
    """What we owe chat networks.

    A row's content is written by the run that answers, its phase by the one service that delivers: the two
    never touch the same column. The phases are those of `gateway/rules/delivery_states.py`.
    """

    async def open_live(self, run: ClaimedRun, delivery_id: str, now_ms: int) -> OutboxRow:
        """The live message of a run: the one it has from an earlier attempt, or a new one, being sent.

        Raises StaleFence.
        """
        ...

    async def doubt_interrupted_sends(self, now_ms: int) -> int:
        """At start: every send that was in flight has an unknown outcome. Returns how many."""
        ...

    async def pending_rooms(self) -> list[OutboxChanged]:
        """Rooms with something to deliver or to reconcile."""
        ...

    async def next_in_room(self, room: OutboxChanged) -> OutboxRow | None:
        """The delivery whose turn it is. An answer that is still being written does not block the room."""
        ...

    async def step(self, delivery_id: str, step: DeliveryStep, now_ms: int) -> OutboxRow:
        """Record a transition; emits delivery.sent, .failed or .uncertain in the thread.

        Returns the row after it. Raises Fault invalid_state when the row is in none of the sources.
        """
        ...

    async def counts(self) -> dict[tuple[str, str], DeliveryCounts]:
        """Per (channel, account)."""
        ...

    async def gaps(self, org_id: str) -> dict[tuple[str, str], Gap]:
        """The newest gap of each (channel, account) that has one."""
        ...


class DeliveryStore(Protocol):
    """Deliveries as operators see them."""

    async def page(
        self, org_id: str, wanted: DeliveryFilter, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        """A page, newest first. What failed is listed as long as it has a content that could be sent."""
        ...

    async def decide(self, act: Act, delivery_id: str, step: DeliveryStep, action: str) -> RawJson:
        """An operator's step, with an audit entry named `action`; returns a DeliveryResult.

        Raises Fault: not_found, invalid_state (none of the step's sources, or nothing to say).
        """
        ...


class FileDraft(Protocol):
    """Bytes on their way into the store. One that is not handed back is abandoned."""

    @property
    def head(self) -> bytes:
        """The first bytes, once `complete` was called: enough to tell the type."""
        ...

    async def add(self, chunk: bytes) -> None:
        """The next bytes. Raises BlobTooLarge and StoreUnavailable."""
        ...

    async def complete(self) -> None:
        """That was all. Raises BlobTooLarge and StoreUnavailable."""
        ...

    async def abandon(self) -> None:
        """Forget them. Idempotent, and nothing once they were handed back."""
        ...


class BlobStore(Protocol):
    """Files of messages: rows, and bytes that are durable before a row says so."""

    async def begin(self, limit_bytes: int) -> FileDraft:
        """Begin to take the bytes of a file. Raises StoreUnavailable."""
        ...

    async def get(self, org_id: str, blob_id: str) -> BlobRow:
        """One file. Raises Fault not_found."""
        ...

    async def read(self, sha256: str) -> bytes:
        """All bytes. Raises StoreDamaged when they are gone or are others."""
        ...

    async def locate(self, sha256: str) -> Path:
        """The file to serve. Raises StoreDamaged when it is gone."""
        ...

    async def upload(self, act: Act, new: NewFile, draft: FileDraft) -> RawJson:
        """Store a file that a client may send in a message later; returns a BlobResult.

        Idempotent with a claim: the same key with other bytes is an idempotency_conflict.
        """
        ...

    async def keep(self, run: ClaimedRun, new: NewFile, draft: FileDraft, now_ms: int) -> BlobRow:
        """Store a file of the answer of a run; the same name and bytes again are the file that is there.

        Raises StaleFence.
        """
        ...

    async def due(self, now_ms: int, limit: int) -> list[BlobRow]:
        """Files to fetch now, the longest due first."""
        ...

    async def next_due(self) -> int | None:
        """When the next file is due; None when none is under way."""
        ...

    async def settle(self, blob_id: str, media_type: str, draft: FileDraft, now_ms: int) -> bool:
        """The file is here; False when nobody waits for it any more."""
        ...

    async def fail(self, blob_id: str, error: str, notice: Notice | None, now_ms: int) -> bool:
        """The file will not come; `notice` tells its thread's room so. False when nobody waits for it."""
        ...

    async def postpone(self, blob_id: str, next_attempt_at_ms: int, error: str) -> None:
        """An attempt failed; there will be another one."""
        ...

    async def collect(self, before_ms: int, limit: int) -> int:
        """Delete files older than that which belong to no message, a bounded number; returns how many."""
        ...

    async def discard(self, hashes: Sequence[str]) -> int:
        """Delete the bytes under these hashes that no row refers to; returns how many."""
        ...

    async def sweep(self, before_ms: int) -> int:
        """Delete what crashes left: unfinished files (call it before any is begun), and files older than that
        which no row refers to. Returns how many."""
        ...


class VaultStore(Protocol):
    """Secrets that accounts were given at run time; `sealed` is opaque here."""

    async def get(self, org_id: str, channel: str, account: str, key: str) -> str | None:
        """The sealed value, or None."""
        ...

    async def put(self, org_id: str, channel: str, account: str, key: str, sealed: str, now_ms: int) -> None:
        """Store a sealed value, in place of an earlier one."""
        ...

    async def delete(self, org_id: str, channel: str, account: str, key: str) -> None:
        """Forget a value; forgetting an unknown one is nothing."""
        ...

    async def keys(self, org_id: str, channel: str, account: str) -> list[str]:
        """All keys of an account, sorted."""
        ...
