"""Live messages: an answer that a room can watch being written.

A live message is only a view. What must not get lost is the outbox row behind it: the placeholder is sent
through the row's phases (so that a crash leaves no unknown message behind unnoticed), and the final text is
written into the row by the run's end and delivered by `delivery.py`. Everything here may fail and be given up.
"""

import asyncio
from typing import Final

import structlog

from channels.errors import ChannelError, RateLimited
from channels.messages import RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.hub.streams import Stream
from gateway.services.channels import Channels
from gateway.services.delivery import Deliveries
from protocol.errors import Fault
from protocol.ids import IdPrefix
from storage.errors import StaleFence, StoreUnavailable
from storage.ports import OutboxStore
from storage.values import ClaimedRun, OutboxChanged, OutboxRow

log = structlog.get_logger()

FIRST_PIECE_S: Final = 0.3
"""Answers that are complete by then are delivered without a live phase: half the calls for short ones."""

OWED_S: Final = 0.2
"""Pause before looking again whether earlier answers were delivered: each is one or two calls."""


class LiveMessage:
    """The view of one turn. Without a room it does nothing."""

    def __init__(self, task_owner: "LiveMessages | None" = None, run: ClaimedRun | None = None) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._has_text = asyncio.Event()
        self.is_stopped = False
        if task_owner is not None and run is not None:
            self._task = task_owner.spawn(self, run)

    def update(self, stream: Stream) -> None:
        """There is more text."""
        if self._task is not None and not self._has_text.is_set():
            self._stream = stream
            self._has_text.set()

    def stop(self) -> None:
        """Begin nothing more. A call in flight ends by itself; its room waits for it."""
        self.is_stopped = True
        self._has_text.set()

    async def first_text(self) -> None:
        """Return when there is text, or nothing more will come."""
        await self._has_text.wait()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text if self._stream is not None else ""


class LiveMessages:
    """Opens live messages and owns their tasks."""

    def __init__(self, outbox: OutboxStore, channels: Channels, deliveries: Deliveries, clock: Clock) -> None:
        self._outbox = outbox
        self._channels = channels
        self._deliveries = deliveries
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, run: ClaimedRun) -> LiveMessage:
        """The live message of a run; one that does nothing when its thread has no room."""
        return LiveMessage(self, run) if self._channels.of(run.origin) is not None else LiveMessage()

    def spawn(self, live: LiveMessage, run: ClaimedRun) -> "asyncio.Task[None]":
        """Start showing; for `LiveMessage` alone."""
        task = asyncio.create_task(self._show(live, run), name=f"live {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self, deadline_s: float) -> None:
        """Let calls in flight end until the deadline. A send cut off is reconciled at the next start."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=deadline_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a live message broke", action="live_broke", exc_info=task.exception())

    async def _show(self, live: LiveMessage, run: ClaimedRun) -> None:
        place = self._channels.of(run.origin)
        assert place is not None, "only runs with a room are shown"
        adapter, room = place
        try:
            await self._show_typing(live, adapter, room)
            if live.is_stopped:
                return
            row = await self._behind_what_is_owed(live, run, adapter, room)
            if row is not None and row.ref is not None:
                await self._edit(live, adapter, room, row, row.ref)
        except (ChannelError, StaleFence, StoreUnavailable, Fault) as error:
            log.info("a live message was given up", action="live_given_up", run_id=run.id, error=str(error))

    async def _show_typing(self, live: LiveMessage, adapter: Adapter, room: RoomRef) -> None:
        """Until there is text to show (and a moment longer), show that an answer is coming."""
        refresh_s = adapter.capabilities(room).typing_refresh_s
        while not live.is_stopped:
            if refresh_s is not None:
                await adapter.show_typing(room)
            try:
                await asyncio.wait_for(live.first_text(), refresh_s)
                break
            except TimeoutError:
                continue
        await asyncio.sleep(0 if live.is_stopped else FIRST_PIECE_S)

    async def _behind_what_is_owed(
        self, live: LiveMessage, run: ClaimedRun, adapter: Adapter, room: RoomRef
    ) -> OutboxRow | None:
        """A row with a message on the platform, once earlier answers stand above it; None when it is too late."""
        while not live.is_stopped:
            row = await self._reserve(run, adapter, room)
            if row is not None:
                return row
            await asyncio.sleep(OWED_S)
        return None

    async def _reserve(self, run: ClaimedRun, adapter: Adapter, room: RoomRef) -> OutboxRow | None:
        """The message of an earlier attempt, or a new placeholder; None while the room is owed something."""
        line = OutboxChanged(adapter.kind, adapter.account, room.room)
        async with self._deliveries.room_lock(adapter, room):
            if await self._outbox.next_in_room(line) is not None:
                return None
            delivery_id = self._clock.new_id(IdPrefix.DELIVERY)
            row = await self._outbox.open_live(run, delivery_id, self._clock.now_ms())
            if row.ref is not None:
                return row
            return await self._deliveries.reserve(adapter, room, row)

    async def _edit(
        self, live: LiveMessage, adapter: Adapter, room: RoomRef, row: OutboxRow, ref: str
    ) -> None:
        capabilities = adapter.capabilities(room)
        interval_s, most = capabilities.edit_interval_s, capabilities.text_max
        shown = ""
        while not live.is_stopped:
            pause_s = interval_s
            text = live.text
            if text != shown:
                async with self._deliveries.room_lock(adapter, room):
                    if live.is_stopped:
                        return
                    try:
                        # Only the first platform message is shown live: no need to render a whole book.
                        first = adapter.render(text[: 2 * most], room)[0]
                        await adapter.edit(self._deliveries.operation(row), room, ref, first)
                        shown = text
                    except RateLimited as limited:
                        pause_s = limited.after_s
            await asyncio.sleep(pause_s)
