"""A topic: the wire's one subscription of a thread, shared by all views of it. Pure (protocol §6).

Theory of operation. The gateway knows at most one subscription per thread and connection; subscribing again
replaces it. A topic asks for what its views need together: the lowest cursor, the union of kinds, deltas if
anybody wants them. Whenever that changes, or something is missing, the topic is `due` and asks (again).

    idle ──ask──▶ asked ──answer──▶ open        everything but a reset is ignored unless open: between asking
     ▲              │  ▲               │        and the answer, frames belong to the subscription before, and
     └──lost, reset─┴──┴──ask again────┘        the new one repeats whatever matters

A view whose cursor the log cannot honour is reset by itself; the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from threadgate_client import limits
from threadgate_client.errors import RequestRefused, ThreadgateError
from threadgate_client.fields import Fields
from threadgate_client.items import Cursor, Reset
from threadgate_client.outputs import Output, ViewEnded
from threadgate_client.records import Event
from threadgate_client.texts import Order, Piece
from threadgate_client.views import CLOSED_REASONS, LogState, Position, View


class Phase(Enum):
    """Where the wire's subscription stands."""

    IDLE = auto()
    ASKED = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask the gateway for."""

    thread_id: str
    position: Position
    deltas: bool
    kinds: tuple[str, ...] | None

    def subscribe_params(self) -> dict[str, Any]:
        """The params of `thread.subscribe`."""
        place: object = self.position
        if isinstance(self.position, Cursor):
            place = {"epoch": self.position.epoch, "after_seq": self.position.seq}
        params: dict[str, Any] = {"thread_id": self.thread_id, "from": place, "deltas": self.deltas}
        return params if self.kinds is None else {**params, "kinds": list(self.kinds)}

    def resume_point(self) -> dict[str, Any] | None:
        """An entry of `hello.resume`, or None when there is no cursor yet."""
        if not isinstance(self.position, Cursor):
            return None
        point: dict[str, Any] = {
            "thread_id": self.thread_id,
            "epoch": self.position.epoch,
            "after_seq": self.position.seq,
            "deltas": self.deltas,
        }
        return point if self.kinds is None else {**point, "kinds": list(self.kinds)}


@dataclass(slots=True, eq=False)
class Topic:
    """One thread's subscription. `due` is when to ask again, None when nothing is wanted."""

    thread_id: str
    views: dict[int, View] = field(default_factory=dict)
    phase: Phase = Phase.IDLE
    due: float | None = None
    asked_at: float = float("-inf")
    request_id: int | None = None
    wire_kinds: tuple[str, ...] | None = None

    def active(self) -> list[View]:
        """The views that read now."""
        return [view for view in self.views.values() if not view.is_paused]

    def wanted(self, epoch: str) -> Wanted:
        """What the active views need together; at least one must be active."""
        views = self.active()
        cursors = [view.cursor for view in views if view.cursor is not None]
        current = [cursor for cursor in cursors if cursor.epoch == epoch]
        position: Position = "tail"
        if any(view.position == "start" for view in views):
            position = "start"
        elif current:
            position = _lowest(current)
        elif len(cursors) == len(views):
            # Only cursors of a store that is gone, or the present one is not known yet: the gateway shall say
            # so itself, with what it has instead.
            position = _lowest([cursor for cursor in cursors if cursor.epoch == cursors[0].epoch])
        kinds: tuple[str, ...] | None = None
        if all(view.kinds is not None for view in views):
            kinds = tuple(sorted(set[str]().union(*(view.kinds or () for view in views))))
        return Wanted(self.thread_id, position, any(view.wants_deltas for view in views), kinds)

    def ask(self, wanted: Wanted, request_id: int, now: float) -> None:
        """A request for `wanted` is on its way."""
        self.phase, self.request_id, self.due = Phase.ASKED, request_id, None
        self.asked_at, self.wire_kinds = now, wanted.kinds

    def want(self, when: float) -> None:
        """Ask (again) at `when`, or earlier if that was decided already."""
        self.due = when if self.due is None else min(self.due, when)

    def connection_lost(self) -> None:
        """Nothing is subscribed any more."""
        self.phase, self.request_id, self.due = Phase.IDLE, None, None
        for view in self.views.values():
            view.is_live = False

    def answered(self, log: LogState, now: float) -> list[Output]:
        """The gateway took the subscription, or is about to reset it."""
        self.phase, self.request_id = Phase.OPEN, None
        return self._of_active(lambda view: view.align(log), now)

    def resumed(self, epoch: str, now: float) -> None:
        """`hello` restored the subscription: the cursor in it, the lowest, is honoured."""
        self.phase, self.asked_at = Phase.OPEN, now
        if any(view.cursor is None or view.cursor.epoch != epoch for view in self.active()):
            # That view was not in it: asking again finds its place, or the reason why it has none.
            self.want(now)

    def close(self, reset: Reset, now: float) -> list[Output]:
        """The thread is closed to us: every active view is reset."""
        self.phase, self.request_id = Phase.IDLE, None
        return self._of_active(lambda view: view.reset(reset), now)

    def refused(self, error: RequestRefused, now: float) -> list[Output]:
        """The gateway refused the subscription, for now or for good."""
        self.phase, self.request_id = Phase.IDLE, None
        if error.is_retryable:
            self.want(now + max(error.retry_after_s or limits.RETRY_REQUEST_S, limits.RESUBSCRIBE_EVERY_S))
            return []
        return self.end_active(error)

    def end_active(self, error: ThreadgateError) -> list[Output]:
        """End every active view with `error`; paused ones find out when they continue."""
        gone = self.active()
        for view in gone:
            del self.views[view.id]
        return [ViewEnded(view.id, error) for view in gone]

    def event(self, event: Event, now: float) -> list[Output]:
        """A durable event arrived."""

        def take(view: View) -> list[Output] | None:
            order = view.order_of(event.seq, self.wire_kinds is None)
            if order is Order.MISSING:
                return None
            return view.take_event(event) if order is Order.NEXT else []

        return self._of_open(take, now)

    def delta(self, delta: Piece, now: float) -> list[Output]:
        """The next piece of a text arrived."""

        def take(view: View) -> list[Output] | None:
            if not view.wants_deltas or view.cursor is None:
                return []
            order = view.texts.order_of(delta)
            if order is Order.MISSING:
                return None
            return view.take_delta(delta) if order is Order.NEXT else []

        return self._of_open(take, now)

    def snapshot(self, snapshot: Piece, now: float) -> list[Output]:
        """A text so far arrived."""
        return self._of_open(
            lambda view: view.take_snapshot(snapshot) if view.wants_deltas and view.cursor else [], now
        )

    def notice(self, params: Fields, now: float) -> list[Output]:
        """A `subscription` notification arrived. States of a newer gateway are ignored."""
        state = params.text("state")
        if state == "reset":
            return self._reset(params, now)
        if state not in ("live", "at", "lagging"):
            return []
        seq = params.number("seq")

        def take(view: View) -> list[Output] | None:
            if state == "lagging":
                return view.lag(seq)
            if view.order_of(seq + 1, self.wire_kinds is None) is Order.MISSING:
                return None
            return [*view.skip_to(seq), *(view.go_live(seq) if state == "live" else [])]

        return self._of_open(take, now)

    def _reset(self, params: Fields, now: float) -> list[Output]:
        """The gateway ended the subscription because a cursor cannot be honoured: find out whose."""
        if self.phase is Phase.IDLE:
            return []
        self.phase, self.request_id = Phase.IDLE, None
        reason = params.text("reason", "")
        epoch, first, head = (
            params.maybe_text("epoch"),
            params.maybe_number("first_seq"),
            params.maybe_number("head_seq"),
        )
        reset = Reset(self.thread_id, reason, epoch, first, head)
        views = self.active()
        if reason not in CLOSED_REASONS and epoch is not None and first is not None and head is not None:
            log = LogState(epoch, first, head)
            lost = [view for view in views if view.cursor and log.objection_to(view.cursor)]
            views = lost or views
        self.want(now)
        lost_ids = {view.id for view in views}
        return self._of_active(lambda view: view.reset(reset) if view.id in lost_ids else [], now)

    def _of_open(self, take: Callable[[View], list[Output] | None], now: float) -> list[Output]:
        return self._of_active(take, now) if self.phase is Phase.OPEN else []

    def _of_active(self, take: Callable[[View], list[Output] | None], now: float) -> list[Output]:
        """Apply `take` to every active view. None from it means that something is missing: ask again."""
        outputs: list[Output] = []
        for view in self.active():
            taken = take(view)
            if taken is None:
                # Bounded, because a gateway that never sends the missing piece must not be hammered.
                self.want(max(now, self.asked_at + limits.RESUBSCRIBE_EVERY_S))
                continue
            outputs += taken
            if view.is_over:
                del self.views[view.id]
            elif view.cursor is None:
                self.want(now)
        return outputs


def _lowest(cursors: list[Cursor]) -> Cursor:
    return min(cursors, key=lambda cursor: cursor.seq)
