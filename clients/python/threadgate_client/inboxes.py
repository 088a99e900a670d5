"""Inbox views: the newest event of every visible thread, shared over the wire's one inbox subscription. Pure.

Heads are states, not a log: the gateway coalesces them per thread, and after a reconnect one may come twice.
What must not happen is that a change stays unseen, so the wire is always asked from the lowest offset anybody
needs. Offsets mean nothing in another store: when the epoch changes, every view is reset and ends.
"""

from dataclasses import dataclass, field
from typing import Any

from threadgate_client import limits
from threadgate_client.answers import Head
from threadgate_client.errors import RequestRefused, SubscriptionReset, ThreadgateError
from threadgate_client.items import Reset
from threadgate_client.outputs import HeadDelivered, Output, ViewEnded
from threadgate_client.topics import Phase


@dataclass(slots=True, eq=False)
class InboxView:
    """One reader. `floor` is where it began, `offset` what it has seen; None until the gateway says."""

    id: int
    floor: int | None
    offset: int | None
    is_paused: bool = False


@dataclass(slots=True, eq=False)
class Inboxes:
    """All inbox views. `due` is when to ask (again), None when nothing is wanted."""

    views: dict[int, InboxView] = field(default_factory=dict)
    phase: Phase = Phase.IDLE
    due: float | None = None
    request_id: int | None = None

    def active(self) -> list[InboxView]:
        """The views that read now."""
        return [view for view in self.views.values() if not view.is_paused]

    def subscribe_params(self) -> dict[str, Any]:
        """The params of `inbox.subscribe`: the lowest offset that any active view needs."""
        known = [view.offset for view in self.active() if view.offset is not None]
        return {"after_offset": min(known)} if known else {}

    def ask(self, request_id: int) -> None:
        """A request is on its way."""
        self.phase, self.request_id, self.due = Phase.ASKED, request_id, None

    def connection_lost(self) -> None:
        """Nothing is subscribed any more."""
        self.phase, self.request_id, self.due = Phase.IDLE, None, None

    def answered(self, offset: int) -> None:
        """The gateway took the subscription; the store stood at `offset`."""
        self.phase, self.request_id = Phase.OPEN, None
        for view in self.active():
            if view.offset is None:
                view.floor = view.offset = offset

    def refused(self, error: RequestRefused, now: float) -> list[Output]:
        """The gateway refused, for now or for good."""
        self.phase, self.request_id = Phase.IDLE, None
        if error.is_retryable:
            self.due = now + max(error.retry_after_s or limits.RETRY_REQUEST_S, limits.RESUBSCRIBE_EVERY_S)
            return []
        return self._end_all(error)

    def epoch_changed(self, epoch: str) -> list[Output]:
        """The store was replaced: every offset is void."""
        return self._end_all(SubscriptionReset(Reset("", "epoch_changed", epoch)))

    def head(self, head: Head) -> list[Output]:
        """A thread changed. Ignored between asking and the answer: the new subscription repeats it."""
        if self.phase is not Phase.OPEN:
            return []
        outputs: list[Output] = []
        for view in self.active():
            if view.floor is not None and head.offset > view.floor:
                view.offset = max(view.offset or 0, head.offset)
                outputs.append(HeadDelivered(view.id, head))
        return outputs

    def _end_all(self, error: ThreadgateError) -> list[Output]:
        gone, self.views = list(self.views), {}
        return [ViewEnded(view_id, error) for view_id in gone]
