"""The hub: takes what the store committed, in order, and tells everybody who follows.

It also owns the catch-up tasks, which read the log for subscriptions that are not live. Whether somebody may
follow a thread is decided before (`edge/handlers/threads.py`); what a subscription does is in
`subscription.py`, streams are in `streams.py`, the inbox in `heads.py`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from gateway.hub.heads import InboxSubscription
from gateway.hub.notes import Note
from gateway.hub.receiver import Receiver
from gateway.hub.streams import Stream
from gateway.hub.subscription import Subscription
from protocol import limits
from protocol.errors import Fault
from protocol.requests import CursorPosition
from storage.errors import StoreUnavailable
from storage.ports import ThreadStore
from storage.values import CommittedEvent, LogPage, ThreadDeleted, ThreadHead

log = structlog.get_logger()

CATCH_UPS: Final = 8
"""Pages read at the same time: enough to keep both readers busy, few enough that none waits long."""
STORE_RETRY_S: Final = 1.0
"""Pause before reading again when the store could not be read."""
DELTA_TURN_S: Final = 0.001
"""Fan-out of deltas at a stretch. Deltas can wait and are rolled up; requests and commits cannot."""
_END: Final = 2**53 - 1
"""Behind every event: reading after it brings only the log's bounds."""

Position = Literal["tail", "start"] | CursorPosition


@dataclass(frozen=True, slots=True)
class Opening:
    """A subscription about to begin: answer the request with the bounds, then call `begin`."""

    first_seq: int
    head_seq: int
    reset_reason: str | None
    begin: Callable[[], None]


class Hub:
    """Who follows what. One per gateway; all calls are made on the loop."""

    def __init__(self, threads: ThreadStore, epoch: str) -> None:
        self.epoch = epoch
        self.deliveries = 0
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._followers: dict[str, dict[Subscription, None]] = {}
        self._subscriptions: dict[Receiver, dict[str, Subscription]] = {}
        self._inboxes: dict[Receiver, InboxSubscription] = {}
        self._streams: dict[str, Stream] = {}
        self._due: deque[Stream] = deque()
        self._reading = asyncio.Semaphore(CATCH_UPS)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what was committed -------------------------------------------------------------------

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook."""
        for signal in signals:
            if isinstance(signal, CommittedEvent):
                self._publish_event(signal)
            elif isinstance(signal, ThreadDeleted):
                self._publish_deletion(signal)

    def _publish_event(self, event: CommittedEvent) -> None:
        followers = self._followers.get(event.thread_id)
        if followers:
            note = Note("event", event.params, event.seq)
            self.deliveries += len(followers)
            for subscription in tuple(followers):
                if not subscription.deliver(event.seq, event.kind, note):
                    self._spawn("catch-up", self._catch_up(subscription))
        if self._inboxes:
            head = ThreadHead(
                event.thread_id, event.seq, event.offset, event.kind, event.at_ms, event.preview
            )
            self._publish_head(event.org_id, head)

    def _publish_deletion(self, deleted: ThreadDeleted) -> None:
        for subscription in tuple(self._followers.get(deleted.thread_id, ())):
            if subscription.org_id == deleted.org_id:  # one of another organization is about to be refused
                subscription.tell_reset("gone", self.epoch, 0, 0)
                self._forget(subscription)
        head = ThreadHead(deleted.thread_id, deleted.seq, deleted.offset, "thread.deleted", deleted.at_ms, "")
        self._publish_head(deleted.org_id, head)

    def _publish_head(self, org_id: str, head: ThreadHead) -> None:
        for inbox in self._inboxes.values():
            if inbox.org_id == org_id:
                inbox.deliver(head)

    # --- following a thread -------------------------------------------------------------------

    async def subscribe(
        self,
        receiver: Receiver,
        org_id: str,
        thread_id: str,
        position: Position,
        *,
        deltas: bool,
        kinds: frozenset[str] | None,
    ) -> Opening:
        """Open a subscription, replacing one of the same receiver on the same thread.

        The caller answers first and then calls `begin`, so that nothing overtakes the answer. Raises Fault
        not_found and StoreUnavailable; nothing is registered then.
        """
        self.unsubscribe(receiver, thread_id)
        subscription = Subscription(
            receiver, org_id, thread_id, wants_deltas=deltas, kinds=kinds, notice_skipped=self._notice_skipped
        )
        # Registered before the log is read: what commits from here on is known to be pending.
        self._followers.setdefault(thread_id, {})[subscription] = None
        self._subscriptions.setdefault(receiver, {})[thread_id] = subscription
        try:
            bounds = await self._threads.replay(org_id, thread_id, _END, 1, 1)
        except BaseException:
            self._forget(subscription)
            raise
        return self._opening(subscription, position, bounds)

    def _opening(self, subscription: Subscription, position: Position, bounds: LogPage) -> Opening:
        first, head = bounds.first_seq, bounds.head_seq
        reason = None
        if isinstance(position, CursorPosition):
            reason = self._refusal(position, first, head)
            subscription.cursor = position.after_seq
        else:
            subscription.cursor = head if position == "tail" else first - 1
        if reason is not None:
            self._forget(subscription)
            return Opening(
                first, head, reason, lambda: subscription.tell_reset(reason, self.epoch, first, head)
            )

        def begin() -> None:
            if subscription.is_closed:
                return
            subscription.told = subscription.cursor
            if subscription.try_go_live(head):
                self._send_snapshot(subscription)
            else:
                self._spawn("catch-up", self._catch_up(subscription))

        return Opening(first, head, None, begin)

    def _refusal(self, position: CursorPosition, first_seq: int, head_seq: int) -> str | None:
        if position.epoch != self.epoch:
            return "epoch_changed"
        if position.after_seq > head_seq:
            return "ahead"
        return "trimmed" if position.after_seq < first_seq - 1 else None

    def unsubscribe(self, receiver: Receiver, thread_id: str) -> None:
        """Stop following; nothing happens when there is no subscription."""
        subscription = self._subscriptions.get(receiver, {}).get(thread_id)
        if subscription is not None:
            self._forget(subscription)

    def count_besides(self, receiver: Receiver, thread_id: str) -> int:
        """Other subscriptions of a receiver than to this thread, for its limit."""
        mine = self._subscriptions.get(receiver, {})
        return len(mine) - (thread_id in mine)

    def drop(self, receiver: Receiver) -> None:
        """The connection is gone: forget all it followed."""
        for subscription in tuple(self._subscriptions.get(receiver, {}).values()):
            self._forget(subscription)
        self.unsubscribe_inbox(receiver)

    def _forget(self, subscription: Subscription) -> None:
        subscription.is_closed = True
        followers = self._followers.get(subscription.thread_id)
        if followers is not None:
            followers.pop(subscription, None)
            if not followers:
                del self._followers[subscription.thread_id]
        mine = self._subscriptions.get(subscription.receiver)
        if mine is not None and mine.get(subscription.thread_id) is subscription:
            del mine[subscription.thread_id]
            if not mine:
                del self._subscriptions[subscription.receiver]

    async def _catch_up(self, subscription: Subscription) -> None:
        """Read the log behind the cursor until the subscription is live."""
        while not subscription.is_closed:
            await subscription.receiver.has_room()
            if subscription.is_closed or subscription.receiver.is_closed:
                return
            try:
                page = await self._page(subscription)
            except Fault:  # deleted while it was being read; usually the commit has told so already
                if not subscription.is_closed:
                    subscription.tell_reset("gone", self.epoch, 0, 0)
                    self._forget(subscription)
                return
            except StoreUnavailable:
                log.warning("the log could not be read, trying again", action="catch_up_retry")
                await asyncio.sleep(STORE_RETRY_S)
                continue
            for event in page.events:
                if subscription.is_closed or not subscription.replay(event):
                    break
            if not subscription.is_closed and subscription.try_go_live(page.head_seq):
                self._send_snapshot(subscription)
                return

    async def _page(self, subscription: Subscription) -> LogPage:
        async with self._reading:
            return await self._threads.replay(
                subscription.org_id,
                subscription.thread_id,
                subscription.cursor,
                limits.REPLAY_EVENTS,
                limits.REPLAY_BYTES,
            )

    def _notice_skipped(self, subscription: Subscription) -> None:
        if not subscription.is_position_due:
            subscription.is_position_due = True
            self._loop.call_later(limits.CURSOR_INTERVAL_S, subscription.tell_position)

    # --- answers being written ----------------------------------------------------------------

    def open_stream(self, thread_id: str, run_id: str, message_id: str, text: str) -> Stream:
        """Begin (or continue, after a restart) an answer of which `text` was said already."""
        stream = Stream(thread_id, run_id, message_id, text, self._publish_delta, self._give_turn, self._loop)
        self._streams[thread_id] = stream
        snapshot = stream.snapshot()
        for subscription in self._followers.get(thread_id, ()):
            if snapshot is not None and subscription.wants_deltas and not subscription.is_catching_up:
                subscription.receiver.offer(snapshot)
        return stream

    def text_so_far(self, thread_id: str, run_id: str) -> str:
        """What a run has said up to now; empty when it is not speaking."""
        stream = self._streams.get(thread_id)
        return stream.text if stream is not None and stream.run_id == run_id else ""

    def being_said(self, thread_id: str) -> str:
        """What the answer that is being written in a thread says up to now; empty when there is none."""
        stream = self._streams.get(thread_id)
        return stream.text if stream is not None else ""

    def close_stream(self, stream: Stream) -> None:
        """The answer is complete, or will not be: what waits was flushed or is dropped."""
        stream.discard()
        if self._streams.get(stream.thread_id) is stream:
            del self._streams[stream.thread_id]

    def _give_turn(self, stream: Stream) -> None:
        self._due.append(stream)
        if len(self._due) == 1:
            self._loop.call_soon(self._flush_due)

    def _flush_due(self) -> None:
        """Send the deltas that are due, but return to the loop in time for everybody else's requests."""
        until = time.perf_counter() + DELTA_TURN_S
        while self._due:
            self._due[0].flush()
            self._due.popleft()
            if self._due and time.perf_counter() >= until:
                self._loop.call_soon(self._flush_due)
                return

    def _publish_delta(self, stream: Stream, note: Note) -> None:
        for subscription in self._followers.get(stream.thread_id, ()):
            if not subscription.wants_deltas or subscription.is_catching_up or subscription.missed_deltas:
                continue
            self.deliveries += 1
            receiver = subscription.receiver
            if receiver.is_congested or not receiver.offer(note):
                subscription.missed_deltas = True
                self._spawn("snapshot", self._mend(subscription))

    async def _mend(self, subscription: Subscription) -> None:
        """A slow reader missed deltas: when it has read what waits, one snapshot replaces them."""
        await subscription.receiver.has_room()
        subscription.missed_deltas = False
        if not subscription.is_closed and not subscription.is_catching_up:
            self._send_snapshot(subscription)

    def _send_snapshot(self, subscription: Subscription) -> None:
        stream = self._streams.get(subscription.thread_id)
        if stream is None or not subscription.wants_deltas:
            return
        note = stream.snapshot()
        if note is not None and not subscription.receiver.offer(note):
            subscription.missed_deltas = True
            self._spawn("snapshot", self._mend(subscription))

    # --- the inbox ----------------------------------------------------------------------------

    def subscribe_inbox(
        self, receiver: Receiver, org_id: str, after_offset: int, upto_offset: int
    ) -> Callable[[], None]:
        """Follow all heads; returns what begins it, after the request was answered."""
        self.unsubscribe_inbox(receiver)

        def catch_up() -> None:
            self._spawn("inbox catch-up", self._catch_up_inbox(inbox, org_id))

        inbox = InboxSubscription(
            receiver, org_id, min(after_offset, upto_offset), self._loop, on_lag=catch_up
        )
        self._inboxes[receiver] = inbox
        return catch_up

    def unsubscribe_inbox(self, receiver: Receiver) -> None:
        """Stop following heads; nothing happens when the receiver does not."""
        inbox = self._inboxes.pop(receiver, None)
        if inbox is not None:
            inbox.close()

    async def _catch_up_inbox(self, inbox: InboxSubscription, org_id: str) -> None:
        """Read the threads' rows behind the follower's place; again whenever it turns out too slow."""
        while not inbox.is_closed and not inbox.receiver.is_closed:
            await inbox.receiver.has_room()
            try:
                async with self._reading:
                    heads = await self._threads.heads(org_id, inbox.sent_offset, limits.REPLAY_EVENTS)
            except StoreUnavailable:
                log.warning("the heads could not be read, trying again", action="inbox_retry")
                await asyncio.sleep(STORE_RETRY_S)
                continue
            for head in heads:
                if inbox.is_closed or not inbox.send(head):
                    break
            else:
                if len(heads) < limits.REPLAY_EVENTS:
                    inbox.go_live()
                    return

    # --- tasks --------------------------------------------------------------------------------

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name=f"hub {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "a hub task failed", action="hub_task_failed", task=task.get_name(), exc_info=task.exception()
            )

    async def close(self) -> None:
        """Cancel the catch-up tasks and wait for them."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
