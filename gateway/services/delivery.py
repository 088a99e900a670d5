"""The dispatcher: brings what the outbox owes to its rooms, in order per room, and records what came of it.

One worker per room with something to deliver. Adapters report and never retry; here it is decided when to try
again, and after a crash or a lost answer the platform is asked before anything is said again. What to do for
a row follows from the table in `rules/delivery_states.py`.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from weakref import WeakValueDictionary

import structlog

from channels.errors import AuthLost, ChannelError, Gone, Permanent, RateLimited, UnknownOutcome
from channels.messages import Finding, Operation, Rendered, RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules import delivery_states as states
from gateway.rules.delivery_states import Todo, decide
from gateway.rules.retry import DELIVERY_ATTEMPTS, backoff_s
from gateway.services.channels import Channels, thaw
from protocol.errors import Fault
from storage.errors import StoreUnavailable
from storage.ports import OutboxStore
from storage.values import DeliveryStep, OutboxChanged, OutboxRow

log = structlog.get_logger()

AUTH_RETRY_S: Final = 60.0
"""Pause while an account's credential does not work: an operator must act."""
STORE_RETRY_S: Final = 1.0
"""Pause before reading the outbox again when the store failed."""


class Deliveries:
    """Owns all sending to rooms."""

    def __init__(self, outbox: OutboxStore, channels: Channels, clock: Clock) -> None:
        self._outbox = outbox
        self._channels = channels
        self._clock = clock
        self._workers: dict[OutboxChanged, asyncio.Task[None]] = {}
        self._woken: set[OutboxChanged] = set()
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Doubt what a crash interrupted, and go on with everything owed."""
        doubted = await self._outbox.doubt_interrupted_sends(self._clock.now_ms())
        reached("delivery.doubted")
        if doubted:
            log.warning("sends were interrupted", action="sends_doubted", count=doubted)
        for room in await self._outbox.pending_rooms():
            self._wake(room)

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: a room has something to deliver."""
        for signal in signals:
            if isinstance(signal, OutboxChanged):
                self._wake(signal)

    async def stop(self, deadline_s: float) -> None:
        """Begin nothing more; let calls in flight end until the deadline."""
        self._stopping.set()
        workers = tuple(self._workers.values())
        if workers:
            await asyncio.wait(workers, timeout=deadline_s)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def room_lock(self, adapter: Adapter, room: RoomRef) -> asyncio.Lock:
        """Held during every call that changes a room: a late live edit must not overtake the final text."""
        key = (adapter.kind, adapter.account, room.room)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    def operation(self, row: OutboxRow) -> Operation:
        """The adapter's name for one attempt of a row."""
        return Operation(row.id, row.attempt, row.sending_since_ms, row.recipient)

    async def reserve(self, adapter: Adapter, room: RoomRef, row: OutboxRow) -> OutboxRow:
        """Put a placeholder for `row` on the platform; the caller holds the room's lock.

        Returns the row with its reference. Raises ChannelError after recording what is known.
        """
        if row.phase == states.UNKNOWN:
            row = await self._reconcile(adapter, room, row)
            if row.ref is not None:
                return row
        if row.phase == states.IDLE:
            row = await self._step(row, states.BEGIN_SEND)
        reached("delivery.before_placeholder")
        try:
            receipt = await adapter.send(self.operation(row), room, adapter.placeholder(room))
        except ChannelError as error:
            await self._record_failed_send(row, error, failures=1)
            raise
        reached("delivery.after_placeholder")
        row = await self._step(row, states.confirmed(receipt.ref))
        reached("delivery.placeholder_recorded")
        return row

    # --- workers ------------------------------------------------------------------------------

    def _wake(self, room: OutboxChanged) -> None:
        if self._stopping.is_set():
            return
        if room in self._workers:
            self._woken.add(room)
            return
        worker = asyncio.create_task(
            self._work(room), name=f"deliver {room.channel}:{room.account} {room.room}"
        )
        self._workers[room] = worker
        worker.add_done_callback(lambda done: self._done(room, done))

    def _done(self, room: OutboxChanged, worker: "asyncio.Task[None]") -> None:
        self._workers.pop(room, None)
        if not worker.cancelled() and worker.exception() is not None:
            log.error("a delivery worker broke", action="delivery_broke", exc_info=worker.exception())
        if room in self._woken:
            self._woken.discard(room)
            self._wake(room)

    async def _work(self, room: OutboxChanged) -> None:
        adapter = self._channels.find(room.channel, room.account)
        if adapter is None:
            log.warning(
                "deliveries wait for a channel that is not configured",
                action="delivery_waits",
                room=room.room,
            )
            return
        failures = 0
        while not self._stopping.is_set():
            self._woken.discard(room)
            try:
                row = await self._outbox.next_in_room(room)
                if row is None:
                    return
                wait_ms = row.next_attempt_at_ms - self._clock.now_ms()
                if wait_ms > 0:
                    await self._pause(wait_ms / 1000)
                    continue
                failures = 0 if await self._advance(adapter, row, failures + 1) else failures + 1
            except StoreUnavailable as error:
                log.warning("the outbox waits for the store", action="outbox_waits", error=str(error))
                await self._pause(STORE_RETRY_S)

    async def _pause(self, for_s: float) -> None:
        """Wait, but not when the gateway stops meanwhile."""
        try:
            async with asyncio.timeout(for_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _advance(self, adapter: Adapter, row: OutboxRow, failures: int) -> bool:
        """Do the one thing that is next for `row`; False when it failed for now."""
        room = RoomRef(row.room, row.topic)
        assert row.content is not None, "only rows with a content have their turn"
        content = thaw(row.content)
        async with self.room_lock(adapter, room):
            # A live message that was being sent is skipped by the store; whether it is next is known only now.
            turn = await self._outbox.next_in_room(OutboxChanged(row.channel, row.account, row.room))
            if turn != row:
                return True
            try:
                return await self._attempt(adapter, room, row, content, failures)
            except Fault as fault:  # its thread was deleted during the call: nothing is owed any more
                log.info("a delivery is over", action="delivery_over", delivery_id=row.id, error=str(fault))
                return True

    async def _attempt(
        self, adapter: Adapter, room: RoomRef, row: OutboxRow, content: Rendered, failures: int
    ) -> bool:
        try:
            match decide(row, adapter.capabilities(room)):
                case Todo.RECONCILE:
                    await self._reconcile(adapter, room, row)
                case Todo.RESERVE:
                    await self.reserve(adapter, room, row)
                case Todo.SEND:
                    row = await self._step(row, states.BEGIN_SEND)
                    receipt = await adapter.send(self.operation(row), room, content)
                    await self._step(row, states.delivered(receipt.ref))
                case Todo.EDIT:
                    assert row.ref is not None
                    reached("delivery.before_edit")
                    receipt = await adapter.edit(self.operation(row), room, row.ref, content)
                    reached("delivery.after_edit")
                    await self._step(row, states.delivered(receipt.ref))
                    reached("delivery.recorded")
        except ChannelError as error:
            await self._record_failure(row, error, failures)
            return False
        return True

    async def _reconcile(self, adapter: Adapter, room: RoomRef, row: OutboxRow) -> OutboxRow:
        content = thaw(row.content) if row.content is not None else adapter.placeholder(room)
        result = await adapter.reconcile(self.operation(row), room, content)
        if result.finding is Finding.FOUND and result.receipt is not None:
            return await self._step(row, states.found(result.receipt.ref))
        if result.finding is Finding.ABSENT:
            return await self._step(row, states.ABSENT)
        log.warning("a send may have happened twice", action="delivery_uncertain", delivery_id=row.id)
        return await self._step(row, states.UNKNOWABLE)

    # --- failures -----------------------------------------------------------------------------

    async def _record_failure(self, row: OutboxRow, error: ChannelError, failures: int) -> None:
        if row.phase == states.IDLE and row.ref is not None:
            await self._record_failed_edit(row, error, failures)
        elif row.phase == states.SENDING:
            await self._record_failed_send(row, error, failures)
        elif row.phase == states.UNKNOWN:
            await self._pause(self._wait_s(error, failures))  # a failed question changes nothing: ask later
        # A placeholder that failed has recorded itself in `reserve`.

    async def _record_failed_edit(self, row: OutboxRow, error: ChannelError, failures: int) -> None:
        if isinstance(error, Gone):
            await self._step(row, states.RETRACTED)
        elif isinstance(error, Permanent) or failures >= DELIVERY_ATTEMPTS:
            await self._step(row, states.refused(str(error)))
        else:
            await self._step(row, states.held(self._next_attempt(error, failures), str(error)))

    async def _record_failed_send(self, row: OutboxRow, error: ChannelError, failures: int) -> None:
        if isinstance(error, UnknownOutcome):
            await self._step(row, states.DOUBTED)
        elif isinstance(error, Permanent) or row.attempt >= DELIVERY_ATTEMPTS:
            await self._step(row, states.refused(str(error)))
        else:
            await self._step(
                row, states.held(self._next_attempt(error, max(failures, row.attempt)), str(error))
            )

    def _next_attempt(self, error: ChannelError, failures: int) -> int:
        return self._clock.now_ms() + round(self._wait_s(error, failures) * 1000)

    def _wait_s(self, error: ChannelError, failures: int) -> float:
        if isinstance(error, RateLimited):
            return error.after_s
        if isinstance(error, AuthLost):
            return AUTH_RETRY_S
        return backoff_s(failures, self._clock.chance())

    async def _step(self, row: OutboxRow, step: DeliveryStep) -> OutboxRow:
        """Record a step, until the store takes it: what happened on the platform must not be forgotten."""
        while True:
            try:
                return await self._outbox.step(row.id, step, self._clock.now_ms())
            except StoreUnavailable as error:
                if self._stopping.is_set():
                    raise
                log.warning("a delivery waits for the store", action="delivery_waits", error=str(error))
                await self._pause(STORE_RETRY_S)
