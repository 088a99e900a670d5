"""One follower of one thread: exactly seq+1, seq+2, …, whatever happens meanwhile.

Theory of operation. A subscription is live, or it is catching up. Live, every committed event is offered to
the receiver as it comes. Catching up, committed events only raise `_pending`, and the catch-up task (in
`hub.py`) reads pages of the log behind `cursor` and feeds them through `replay`. All of this happens on the
loop, and commits reach the hub in order, so going live is one comparison: when the page just fed reached
`_pending` and the head of its snapshot, nothing is missing. A receiver whose queue is full ends the live
phase; the log has the rest. That is all there is to resume, to slow readers and to late joiners alike.
"""

from collections.abc import Callable

from gateway.hub.notes import Note
from gateway.hub.receiver import Receiver
from protocol.events import SubscriptionNotice
from storage.values import StoredEvent


class Subscription:
    """Where one receiver stands in one thread's log."""

    __slots__ = (
        "_notice_skipped",
        "_pending",
        "cursor",
        "is_catching_up",
        "is_closed",
        "is_position_due",
        "kinds",
        "missed_deltas",
        "org_id",
        "receiver",
        "thread_id",
        "told",
        "wants_deltas",
    )

    def __init__(
        self,
        receiver: Receiver,
        org_id: str,
        thread_id: str,
        *,
        wants_deltas: bool,
        kinds: frozenset[str] | None,
        notice_skipped: Callable[["Subscription"], None],
    ) -> None:
        self.receiver = receiver
        self.org_id = org_id
        self.thread_id = thread_id
        self.wants_deltas = wants_deltas
        self.kinds = kinds
        self.cursor = 0
        self.told = 0
        self.is_catching_up = True
        self.is_closed = False
        self.is_position_due = False
        self.missed_deltas = False
        self._pending = 0
        self._notice_skipped = notice_skipped

    def deliver(self, seq: int, kind: str, note: Note) -> bool:
        """Take a committed event. False when the subscription has just fallen behind and must catch up."""
        if self.is_catching_up:
            self._pending = seq
            return True
        if seq <= self.cursor:
            return True  # a page of replay was read after this commit and has brought it already
        if self._pass_on(seq, kind, note):
            return True
        self.is_catching_up = True
        self._pending = seq
        self._tell("lagging", seq=self.cursor)
        return False

    def replay(self, event: StoredEvent) -> bool:
        """Feed one event of a page. False when the receiver has no room for it now."""
        note = Note("event", event.params, event.seq)
        return event.seq <= self.cursor or self._pass_on(event.seq, event.kind, note)

    def try_go_live(self, head_seq: int) -> bool:
        """After a page: go live when it reached everything known; True when live."""
        if self.cursor < max(head_seq, self._pending):
            return False
        self.is_catching_up = False
        self.told = self.cursor
        self._tell("live", seq=self.cursor)
        return True

    def tell_position(self) -> None:
        """Tell a client that filters by kind how far the log was read."""
        self.is_position_due = False
        if not self.is_closed and self.told < self.cursor:
            self.told = self.cursor
            self._tell("at", seq=self.cursor)

    def tell_reset(self, reason: str, epoch: str, first_seq: int, head_seq: int) -> None:
        """Tell the client that its cursor cannot be honoured; the subscription is over."""
        notice = {
            "thread_id": self.thread_id,
            "state": "reset",
            "reason": reason,
            "epoch": epoch,
            "first_seq": first_seq,
            "head_seq": head_seq,
        }
        self.receiver.insist(Note("subscription", notice))

    def _pass_on(self, seq: int, kind: str, note: Note) -> bool:
        if self.kinds is not None and kind not in self.kinds:
            self.cursor = seq
            self._notice_skipped(self)
            return True
        if not self.receiver.offer(note):
            return False
        self.cursor = self.told = seq
        return True

    def _tell(self, state: str, *, seq: int) -> None:
        notice = SubscriptionNotice.model_validate({"thread_id": self.thread_id, "state": state, "seq": seq})
        self.receiver.insist(Note("subscription", notice))
