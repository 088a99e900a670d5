"""The inbox feed: the newest change of every thread, coalesced per thread.

A follower that is new, or was too slow, catches up from the threads' own rows, which hold exactly the newest
change of each: nothing is lost but what was overtaken anyway.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.hub.notes import Note
from gateway.hub.receiver import Receiver
from protocol.events import Head
from protocol.instants import to_instant
from storage.values import ThreadHead

COALESCE_S: Final = 0.05
"""Changes of a thread within this time are told once: an answer makes several events in one commit."""


class InboxSubscription:
    """One follower of all heads of an organization. `sent_offset` is the place in the store's log it has seen."""

    def __init__(
        self,
        receiver: Receiver,
        org_id: str,
        sent_offset: int,
        loop: asyncio.AbstractEventLoop,
        *,
        on_lag: Callable[[], None],
    ) -> None:
        self.receiver = receiver
        self.org_id = org_id
        self.is_catching_up = True
        self.is_closed = False
        self.sent_offset = sent_offset
        self._on_lag = on_lag
        self._loop = loop
        self._waiting: dict[str, ThreadHead] = {}
        self._timer: asyncio.TimerHandle | None = None

    def deliver(self, head: ThreadHead) -> None:
        """Take a change; it goes out with the next flush unless a newer one of its thread overtakes it."""
        self._waiting.pop(head.thread_id, None)  # keep the order of the newest change
        self._waiting[head.thread_id] = head
        if self._timer is None and not self.is_catching_up:
            self._timer = self._loop.call_later(COALESCE_S, self._flush)

    def go_live(self) -> None:
        """The rows were read: what came meanwhile goes out, and everything after it as it comes."""
        self.is_catching_up = False
        self._flush()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for head in waiting.values():
            if not self.send(head):
                self.is_catching_up = True
                self._on_lag()
                return

    def send(self, head: ThreadHead) -> bool:
        """Send one head unless it was overtaken; False when the receiver is full."""
        if head.offset <= self.sent_offset:
            return True
        if not self.receiver.offer(head_note(head)):
            return False
        self.sent_offset = head.offset
        return True

    def close(self) -> None:
        """Stop."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def head_note(head: ThreadHead) -> Note:
    """A `head` notification."""
    return Note(
        "head",
        Head(
            thread_id=head.thread_id,
            seq=head.seq,
            kind=head.kind,
            at=to_instant(head.at_ms),
            preview=head.preview,
            offset=head.offset,
        ),
    )
