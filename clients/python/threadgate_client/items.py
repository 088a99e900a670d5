"""What a subscription yields besides events: positions, text as it is written, and news about the stream.

Plain values. How they come about is in `views.py`; events themselves are in `records.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a thread's log: everything up to `seq` is known. Keep it to resume after any absence."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class TextUpdate:
    """A message grew while it is being written. The durable `message.created` event wins over all of it.

    `is_replaced` is set when the text does not continue what came before (the gateway lost a tail of it);
    `text_appended` is then the whole text, to be shown in place of the old one.
    """

    thread_id: str
    run_id: str
    message_id: str
    text_appended: str
    text_so_far: str
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Live:
    """Everything up to `seq` was delivered; what follows happens now. Comes again after every catch-up."""

    thread_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Lagging:
    """This reader is too slow: the gateway stopped at `seq` and continues from the store. Nothing is lost."""

    thread_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The cursor cannot be honoured; events between it and `first_seq` are lost to this reader.

    `reason` is one of epoch_changed, trimmed, ahead, forbidden, gone, or a newer one. `thread_id` is empty
    for the inbox. `head_seq` and `first_seq` are None when the gateway did not say.
    """

    thread_id: str
    reason: str
    epoch: str | None = None
    first_seq: int | None = None
    head_seq: int | None = None
    lost_cursor: Cursor | None = None
