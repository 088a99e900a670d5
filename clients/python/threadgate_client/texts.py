"""Messages while they are being written: deltas and snapshots in, text updates out (protocol §7).

Theory of operation. Each message has a text and the index of the delta that comes next. A delta with that
index is appended; a lower one was seen before; a higher one means that something is missing, and only a
snapshot can tell what, so the caller subscribes again. A snapshot replaces the text. When the durable message
arrives, its stream is over; what still comes for it is late.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

from threadgate_client import limits
from threadgate_client.fields import Fields
from threadgate_client.items import TextUpdate


class Order(Enum):
    """Where something numbered stands to what is known."""

    OLD = auto()
    NEXT = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """A delta or a snapshot: `text`, and the `index` it has or that comes after it."""

    thread_id: str
    run_id: str
    message_id: str
    index: int
    text: str

    @classmethod
    def from_json(cls, value: object, index_key: str) -> "Piece":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "piece of text")
        return cls(
            thread_id=wire.text("thread_id"),
            run_id=wire.text("run_id"),
            message_id=wire.text("message_id"),
            index=wire.number(index_key),
            text=wire.text("text"),
        )


@dataclass(slots=True)
class _Writing:
    run_id: str
    text: str
    next_index: int


class Texts:
    """The messages of one thread that are being written, as one reader saw them."""

    def __init__(self) -> None:
        self._writing: dict[str, _Writing] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()

    def order_of(self, delta: Piece) -> Order:
        """Whether `delta` can be appended."""
        if delta.message_id in self._finished:
            return Order.OLD
        writing = self._writing.get(delta.message_id)
        expected = writing.next_index if writing else 0
        if delta.index == expected:
            return Order.NEXT
        return Order.OLD if delta.index < expected else Order.MISSING

    def append(self, delta: Piece) -> TextUpdate:
        """Append a delta that is the next one."""
        writing = self._writing.setdefault(delta.message_id, _Writing(delta.run_id, "", 0))
        writing.text += delta.text
        writing.next_index = delta.index + 1
        return _update(delta, delta.text, writing.text)

    def replace(self, snapshot: Piece) -> TextUpdate | None:
        """Take over a snapshot; None when it says nothing new."""
        if snapshot.message_id in self._finished:
            return None
        before = self._writing.get(snapshot.message_id)
        self._writing[snapshot.message_id] = _Writing(snapshot.run_id, snapshot.text, snapshot.index)
        old = before.text if before else ""
        if not snapshot.text.startswith(old):
            return _update(snapshot, snapshot.text, snapshot.text, is_replaced=True)
        appended = snapshot.text[len(old) :]
        return _update(snapshot, appended, snapshot.text) if appended else None

    def finish_message(self, message_id: str) -> None:
        """The durable message is here."""
        self._writing.pop(message_id, None)
        self._finished[message_id] = None
        while len(self._finished) > limits.FINISHED_MESSAGES:
            self._finished.popitem(last=False)

    def finish_run(self, run_id: str) -> None:
        """An attempt of the run ended, and what it was writing with it. Another attempt may write anew."""
        for message_id in [found for found, writing in self._writing.items() if writing.run_id == run_id]:
            del self._writing[message_id]


def _update(piece: Piece, appended: str, whole: str, is_replaced: bool = False) -> TextUpdate:
    return TextUpdate(piece.thread_id, piece.run_id, piece.message_id, appended, whole, is_replaced)
