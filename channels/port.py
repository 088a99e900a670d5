"""The adapter port: what the core asks of a chat network, and what an adapter asks of the core.

An adapter converts and calls, once. It never retries, never sleeps on a rate limit, keeps nothing that must
survive a restart, and starts no task that it does not end in `stop()`.
"""

from collections.abc import Sequence
from typing import Protocol

from channels.capabilities import Capabilities
from channels.messages import Health, Ignored, Inbound, Operation, Receipt, Reconciled, Rendered, RoomRef


class InboxSink(Protocol):
    """Where an adapter hands in what a platform delivered."""

    async def cursor(self) -> str | None:
        """The cursor of the last commit of this account; None before the first."""
        ...

    async def commit(self, batch: Sequence[Inbound | Ignored], cursor: str | None) -> None:
        """Store the batch and the cursor in one transaction; durable when it returns.

        Only then may the adapter acknowledge to the platform. Deliveries seen before change nothing.
        Raises any error when nothing was stored: the adapter must not acknowledge, so that the platform
        delivers again.
        """
        ...


class Adapter(Protocol):
    """One bot or workspace token of one chat network. Its methods run on the event loop and never block."""

    @property
    def kind(self) -> str:
        """The network's name, the same as in the configuration (`telegram`)."""
        ...

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    async def start(self, sink: InboxSink) -> None:
        """Begin to receive. Returns at once; connecting, and connecting again, happens in an owned task."""
        ...

    async def stop(self) -> None:
        """Stop receiving and close connections. A batch being committed is committed. Idempotent."""
        ...

    def health(self) -> Health:
        """Whether messages flow right now."""
        ...

    def capabilities(self, room: RoomRef) -> Capabilities:
        """The limits of this room."""
        ...

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        """Turn CommonMark into the platform messages it takes, in order; at least one. Pure."""
        ...

    def placeholder(self, room: RoomRef) -> Rendered:
        """What stands for an answer that is still being written. Pure."""
        ...

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message. Raises ChannelError; only UnknownOutcome leaves open whether it exists."""
        ...

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`. Idempotent: that it shows it is success. Raises ChannelError."""
        ...

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Find out whether a send of unknown outcome happened. Raises ChannelError when it cannot ask."""
        ...

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming, for `typing_refresh_s`. Best effort; raises ChannelError."""
        ...
