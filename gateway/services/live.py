"""Live messages: an answer that a room can watch being written.

A live message is only a view. What must not get lost is the outbox row behind it: what stands for the answer is
sent through the row's phases (so that a crash leaves no unknown message behind unnoticed), and the final text is
written into the row by the run's end and delivered by `delivery.py`. Everything here may fail and be given up.
How a room shows it is in `views.py`.
"""

import asyncio
from typing import Final

import structlog

from channels.capabilities import StreamMode
from channels.errors import ChannelError, Permanent, RateLimited
from channels.messages import RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.hub.streams import Stream
from gateway.services import views
from gateway.services.channels import Channels
from gateway.services.delivery import Deliveries
from protocol.errors import Fault
from storage.errors import StaleFence, StoreUnavailable
from storage.ports import OutboxStore
from storage.values import ClaimedRun

log = structlog.get_logger()

FIRST_PIECE_S: Final = 0.3
"""Answers that are complete by then are delivered without a live phase: half the calls for short ones."""


class LiveMessage:
    """The view of one turn. Without a room it does nothing."""

    def __init__(self, task_owner: "LiveMessages | None" = None, run: ClaimedRun | None = None) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._has_text = asyncio.Event()
        self._stopped = asyncio.Event()
        if task_owner is not None and run is not None:
            self._task = task_owner.spawn(self, run)

    def update(self, stream: Stream) -> None:
        """There is more text."""
        if self._task is not None and not self._has_text.is_set():
            self._stream = stream
            self._has_text.set()

    def stop(self) -> None:
        """Begin nothing more. A call in flight ends by itself; its room waits for it."""
        self._stopped.set()
        self._has_text.set()

    @property
    def is_stopped(self) -> bool:
        """Whether the answer is complete, or given up."""
        return self._stopped.is_set()

    async def first_text(self) -> None:
        """Return when there is text, or nothing more will come."""
        await self._has_text.wait()

    async def pause(self, for_s: float) -> None:
        """Wait, but not longer than until it is stopped."""
        try:
            async with asyncio.timeout(for_s):
                await self._stopped.wait()
        except TimeoutError:
            return

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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._show_text(live, run, adapter, room))
            group.create_task(self._show_typing(live, adapter, room))

    async def _show_text(self, live: LiveMessage, run: ClaimedRun, adapter: Adapter, room: RoomRef) -> None:
        await live.first_text()
        await live.pause(FIRST_PIECE_S)
        if live.is_stopped:
            return
        stage = views.Stage(adapter, room, run, live, self._outbox, self._deliveries, self._clock)
        try:
            match adapter.capabilities(room).stream:
                case StreamMode.NATIVE:
                    await views.show_natively(stage)
                case StreamMode.DRAFT:
                    await views.show_drafts(stage)
                case StreamMode.EDIT:
                    await views.show_by_edits(stage)
                case StreamMode.NONE:
                    return
        except (ChannelError, StaleFence, StoreUnavailable, Fault) as error:
            log.info("a live message was given up", action="live_given_up", run_id=run.id, error=str(error))

    async def _show_typing(self, live: LiveMessage, adapter: Adapter, room: RoomRef) -> None:
        """As long as the run works and nothing new is to be read, show that something is coming."""
        capabilities, traffic = adapter.capabilities(room), self._deliveries.traffic
        refresh_s = capabilities.typing_refresh_s
        shown: str | None = None
        if refresh_s is None:
            return
        while not live.is_stopped:
            pause_s, text = refresh_s, live.text
            if shown is None or text == shown or capabilities.stream is StreamMode.NONE:
                pause_s = max(pause_s, traffic.side_wait_s(adapter, room))
                if pause_s == refresh_s:
                    try:
                        await adapter.show_typing(room)
                    except RateLimited as limited:
                        traffic.failed(adapter, room, limited)
                        pause_s = max(pause_s, limited.after_s)
                    except Permanent:
                        return  # not here, or not any more
                    except ChannelError as error:
                        log.debug("typing was not shown", action="typing_failed", error=str(error))
            shown = text
            await live.pause(pause_s)
