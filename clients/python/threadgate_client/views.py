"""A view: one reader's place in one thread. Events, texts and news in, what the reader sees out.

Theory of operation. A view has a position: "tail" or "start" until the gateway told where that is, then a
cursor. An event is taken only if it is the next one; a duplicate is ignored; one that is further away means
that something is missing. Several views may share the wire's one subscription of a thread (`topics.py`), so a
view sees events it knows and events it did not ask for: the former it ignores, over the latter it only moves.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from threadgate_client.fields import Fields
from threadgate_client.items import Cursor, Lagging, Live, Reset
from threadgate_client.outputs import Delivered, Item, Output, ViewEnded
from threadgate_client.records import RUN_ENDINGS, Event, EventKind
from threadgate_client.texts import Order, Piece, Texts

Position = Literal["tail", "start"] | Cursor

CLOSED_REASONS: Final = frozenset({"forbidden", "gone"})
"""Resets after which starting again would be refused as well."""


@dataclass(frozen=True, slots=True)
class LogState:
    """A thread's log as the gateway described it."""

    epoch: str
    first_seq: int
    head_seq: int

    @classmethod
    def from_json(cls, value: object) -> "LogState":
        """Read the result of `thread.subscribe`. Raises ProtocolViolation."""
        wire = Fields(value, "log state")
        return cls(wire.text("epoch"), wire.number("first_seq"), wire.number("head_seq"))

    def objection_to(self, cursor: Cursor) -> str | None:
        """Why `cursor` cannot be honoured by this log, or None when it can."""
        if cursor.epoch != self.epoch:
            return "epoch_changed"
        if cursor.seq < self.first_seq - 1:
            return "trimmed"
        return "ahead" if cursor.seq > self.head_seq else None


@dataclass(slots=True, eq=False)
class View:
    """One reader of one thread. `restarts` says whether a reset starts it again from the log's start."""

    id: int
    thread_id: str
    position: Position
    wants_deltas: bool
    kinds: frozenset[str] | None
    restarts: bool
    is_paused: bool = False
    is_live: bool = False
    is_over: bool = False
    texts: Texts = field(default_factory=Texts)

    @property
    def cursor(self) -> Cursor | None:
        """The place up to which everything is known, or None while the gateway has not said."""
        return self.position if isinstance(self.position, Cursor) else None

    def align(self, log: LogState) -> list[Output]:
        """Find the place of "tail" and "start", and check a cursor against the log."""
        match self.position:
            case Cursor() as cursor:
                if reason := log.objection_to(cursor):
                    return self.reset(Reset(self.thread_id, reason, log.epoch, log.first_seq, log.head_seq))
                return []
            case "tail":
                self.position = Cursor(log.epoch, log.head_seq)
            case "start":
                self.position = Cursor(log.epoch, max(log.first_seq - 1, 0))
        return [self._moved(None)]

    def order_of(self, seq: int, is_complete: bool) -> Order:
        """Whether the event `seq` is the next one.

        `is_complete` says that the wire carries all kinds. If it does not, missing numbers are no gap.
        """
        cursor = self.cursor
        if cursor is None or seq <= cursor.seq:
            return Order.OLD
        return Order.MISSING if is_complete and seq != cursor.seq + 1 else Order.NEXT

    def take_event(self, event: Event) -> list[Output]:
        """Take the next event."""
        self._advance(event.seq)
        if event.kind == EventKind.MESSAGE_CREATED:
            # Only the id, and tolerantly: an odd message must not cost the reader the event.
            message = event.data.get("message")
            self.texts.finish_message(str(message.get("id")) if isinstance(message, dict) else "")
        elif event.kind in RUN_ENDINGS and event.run_id:
            self.texts.finish_run(event.run_id)
        return [self._moved(event if self.kinds is None or event.kind in self.kinds else None)]

    def skip_to(self, seq: int) -> list[Output]:
        """Move over events that the wire did not carry."""
        if self.cursor is None or seq <= self.cursor.seq:
            return []
        self._advance(seq)
        return [self._moved(None)]

    def take_delta(self, delta: Piece) -> list[Output]:
        """Append a delta that is the next one."""
        return [self._moved(self.texts.append(delta))]

    def take_snapshot(self, snapshot: Piece) -> list[Output]:
        """Take over a snapshot."""
        update = self.texts.replace(snapshot)
        return [self._moved(update)] if update else []

    def go_live(self, seq: int) -> list[Output]:
        """Everything up to `seq` was delivered. Told once per catch-up."""
        if self.is_live:
            return []
        self.is_live = True
        return [self._moved(Live(self.thread_id, seq))]

    def lag(self, seq: int) -> list[Output]:
        """The gateway found the reader too slow."""
        self.is_live = False
        return [self._moved(Lagging(self.thread_id, seq))]

    def reset(self, reset: Reset) -> list[Output]:
        """The place is lost: tell it, and start again or end."""
        told = Reset(
            self.thread_id,
            reset.reason,
            reset.epoch,
            reset.first_seq,
            reset.head_seq,
            lost_cursor=self.cursor,
        )
        outputs: list[Output] = [self._moved(told)]
        self.is_live = False
        self.texts = Texts()
        if self.restarts and reset.reason not in CLOSED_REASONS:
            self.position = "start"
            return outputs
        self.is_over = True
        return [*outputs, ViewEnded(self.id, None)]

    def _advance(self, seq: int) -> None:
        if isinstance(self.position, Cursor):
            self.position = Cursor(self.position.epoch, seq)

    def _moved(self, item: Item | None) -> Delivered:
        return Delivered(self.id, item, self.cursor)
