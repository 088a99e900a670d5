"""The dispatcher: brings what the outbox owes to its rooms, in order per room.

One worker per room with something to deliver. When a call may be made is asked of `traffic.py`, what is done for a
row and recorded is in `attempts.py`; here is whose turn it is.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import structlog

from channels.errors import ChannelError
from channels.messages import Operation, RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.services.attempts import Attempts, BlobReader, Opening, Recorded, no_files
from gateway.services.channels import Channels
from gateway.services.traffic import Traffic
from protocol.errors import Fault
from storage.errors import StoreUnavailable
from storage.ports import OutboxStore
from storage.values import OutboxChanged, OutboxRow

log = structlog.get_logger()

STORE_RETRY_S: Final = 1.0
"""Pause before reading the outbox again when the store failed."""


@dataclass(slots=True)
class _Worker:
    """Who delivers to one room, and what wakes them: there may be something else to do first."""

    task: "asyncio.Task[None]"
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Deliveries:
    """Owns all sending to rooms."""

    def __init__(
        self,
        outbox: OutboxStore,
        channels: Channels,
        clock: Clock,
        traffic: Traffic | None = None,
        read_blob: BlobReader = no_files,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._clock = clock
        self.traffic = traffic or Traffic(clock)
        self._workers: dict[OutboxChanged, _Worker] = {}
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._stopping = asyncio.Event()
        self._attempts = Attempts(outbox, channels, self.traffic, clock, self._stopping, read_blob)

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
        self.traffic.stop()
        workers = [worker.task for worker in self._workers.values()]
        for worker in self._workers.values():
            worker.woken.set()
        if workers:
            await asyncio.wait(workers, timeout=deadline_s)
        for task in workers:
            task.cancel()
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
        return self._attempts.operation(row)

    async def reserve(
        self, adapter: Adapter, room: RoomRef, row: OutboxRow, opening: Opening | None = None
    ) -> OutboxRow:
        """Put a message for `row` on the platform, a placeholder unless told; the caller holds the room's lock.

        Returns the row with its reference. Raises ChannelError after recording what is known.
        """
        opening = opening or self._attempts.placeholder(adapter, room)
        try:
            row = await self._attempts.reserve(adapter, room, row, opening)
        except Recorded as failure:
            self.traffic.failed(adapter, room, failure.error)
            raise failure.error from failure
        except ChannelError as error:
            self.traffic.failed(adapter, room, error)
            raise
        self.traffic.answered(adapter)
        return row

    # --- workers ------------------------------------------------------------------------------

    def _wake(self, room: OutboxChanged) -> None:
        if self._stopping.is_set():
            return
        worker = self._workers.get(room)
        if worker is not None:
            worker.woken.set()
            return
        woken = asyncio.Event()
        name = f"deliver {room.channel}:{room.account} {room.room}"
        task = asyncio.create_task(self._work(room, woken), name=name)
        self._workers[room] = _Worker(task, woken)
        task.add_done_callback(lambda done: self._done(room, done))

    def _done(self, room: OutboxChanged, task: "asyncio.Task[None]") -> None:
        worker = self._workers.pop(room)
        if not task.cancelled() and task.exception() is not None:
            log.error("a delivery worker broke", action="delivery_broke", exc_info=task.exception())
        if worker.woken.is_set():
            self._wake(room)

    async def _work(self, room: OutboxChanged, woken: asyncio.Event) -> None:
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
            woken.clear()
            try:
                row = await self._outbox.next_in_room(room)
                if row is None:
                    return
                wait_ms = row.next_attempt_at_ms - self._clock.now_ms()
                if wait_ms > 0:
                    await _sleep(woken, wait_ms / 1000)
                elif await self.traffic.clear(adapter, RoomRef(row.room, row.topic)):
                    failures = 0 if await self._advance(adapter, row, failures + 1) else failures + 1
            except StoreUnavailable as error:
                log.warning("the outbox waits for the store", action="outbox_waits", error=str(error))
                await _sleep(self._stopping, STORE_RETRY_S)

    async def _advance(self, adapter: Adapter, row: OutboxRow, failures: int) -> bool:
        """Do the one thing that is next for `row`; False when it failed for now."""
        room = RoomRef(row.room, row.topic)
        async with self.room_lock(adapter, room):
            # A live message that was being sent is skipped by the store; whether it is next is known only now.
            turn = await self._outbox.next_in_room(OutboxChanged(row.channel, row.account, row.room))
            if turn != row:
                return True
            try:
                return await self._attempts.make(adapter, room, row, failures)
            except Fault as fault:  # its thread was deleted, or an operator decided, during the call
                log.info("a delivery is over", action="delivery_over", delivery_id=row.id, error=str(fault))
                return True


async def _sleep(event: asyncio.Event, for_s: float) -> None:
    """Wait, but not longer than until the event."""
    try:
        async with asyncio.timeout(for_s):
            await event.wait()
    except TimeoutError:
        return
