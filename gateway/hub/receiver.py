"""What the hub needs of a connection: a bounded place to put notes, and a word when it has room again."""

from typing import Protocol

from gateway.hub.notes import Note


class Receiver(Protocol):
    """The writing end of one connection. Calls never block; all are made on the loop."""

    @property
    def is_congested(self) -> bool:
        """Whether the peer reads more slowly than we write: transient notes are not worth queueing."""
        ...

    def offer(self, note: Note) -> bool:
        """Write or queue a note. False, and nothing is queued, when the queue is full or closed."""
        ...

    def insist(self, note: Note) -> None:
        """Queue a small note about the subscription itself, beyond the limit if need be."""
        ...

    async def has_room(self) -> None:
        """Return when a page of replay may be written. Returns at once, and forever, after the close."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be written any more."""
        ...
