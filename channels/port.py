"""The adapter port: what the core asks of a chat network, and what an adapter asks of the core.

An adapter converts and calls, once. It never retries, never sleeps on a rate limit, keeps nothing that must
survive a restart, and starts no task that it does not end in `stop()`. The SDKs' own retries are turned off.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from channels.capabilities import Capabilities
from channels.messages import (
    Attachment,
    Card,
    Cursor,
    Delivery,
    Health,
    HttpRequest,
    HttpResponse,
    Mark,
    Operation,
    OutboundFile,
    Receipt,
    Reconciled,
    Rendered,
    RoomRef,
    Verdict,
)


class InboxSink(Protocol):
    """Where an adapter hands in what a platform delivered."""

    async def cursors(self) -> Mapping[str, Cursor]:
        """The cursors of this account by scope, as last committed; empty before the first commit.

        A scope is the adapter's word: a room, or "" for the account as a whole.
        """
        ...

    async def commit(self, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> Sequence[Verdict]:
        """Store the batch and these cursors in one transaction; durable when it returns.

        Only then may the adapter acknowledge to the platform. Deliveries seen before change nothing; one
        verdict for each delivery, in order, the first one again for a redelivery as far as it is known.
        Raises any error when nothing was stored: the adapter must not acknowledge, so that the platform
        delivers again.
        """
        ...

    async def gap(self, since_ms: int, until_ms: int, reason: str) -> None:
        """Report that deliveries between two instants (milliseconds since 1970) may be lost for ever."""
        ...


class Vault(Protocol):
    """Where one account keeps small secrets it was given at run time (the tokens of installed workspaces).

    Each call is one transaction; values are encrypted at rest. `get` raises AuthLost when the key with which a
    value was sealed is no longer there; `get` and `put` raise SecretUnavailable when there is no key at all.
    """

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        ...

    async def put(self, key: str, value: str) -> None:
        """Store a value, in place of an earlier one."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a value; forgetting an unknown one is nothing."""
        ...

    async def keys(self) -> Sequence[str]:
        """All keys of the account, sorted."""
        ...


class Adapter(Protocol):
    """One bot or workspace token of one chat network. Its methods run on the event loop and never block."""

    # --- life ---------------------------------------------------------------------------------

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

    async def probe(self) -> None:
        """Ask the platform whether the account works; what it learns shows in `health`. Raises ChannelError."""
        ...

    async def receive(self, request: HttpRequest) -> HttpResponse:
        """Answer what a platform sent to our port under `/hooks/{kind}/{account}/`; 404 for what is not served.

        The adapter verifies the signature, has the sink store the delivery, and only then answers 2xx. Any
        error that escapes becomes a 500, so that the platform delivers again.
        """
        ...

    # --- what a room takes: pure --------------------------------------------------------------

    def capabilities(self, room: RoomRef) -> Capabilities:
        """The limits of this room."""
        ...

    def render(self, markdown: str, room: RoomRef) -> list[Rendered]:
        """Turn CommonMark into the platform messages it takes, in order; at least one. Pure."""
        ...

    def placeholder(self, room: RoomRef) -> Rendered:
        """What stands for an answer that is still being written. Pure."""
        ...

    def card(self, card: Card, room: RoomRef) -> Rendered:
        """One message that shows a card, with its buttons. Pure."""
        ...

    # --- calls: each once, raising ChannelError; only UnknownOutcome leaves the effect open -----

    async def send(self, operation: Operation, room: RoomRef, content: Rendered) -> Receipt:
        """Post a new message, marked with the operation where the platform can."""
        ...

    async def edit(self, operation: Operation, room: RoomRef, ref: str, content: Rendered) -> Receipt:
        """Make message `ref` show `content`. Idempotent: that it shows it is success."""
        ...

    async def upload(
        self, operation: Operation, room: RoomRef, content: Rendered, file: OutboundFile
    ) -> Receipt:
        """Post a file with `content` as its caption."""
        ...

    async def reconcile(self, operation: Operation, room: RoomRef, content: Rendered) -> Reconciled:
        """Find out whether a send or upload of unknown outcome happened."""
        ...

    async def react(self, room: RoomRef, ref: str, mark: Mark | None) -> None:
        """Show `mark` as the bot's only reaction to message `ref`; None takes it away. Idempotent."""
        ...

    async def show_typing(self, room: RoomRef) -> None:
        """Show that an answer is coming, for `typing_refresh_s`."""
        ...

    async def open_stream(self, operation: Operation, room: RoomRef) -> Receipt:
        """Post a message that grows (StreamMode.NATIVE)."""
        ...

    async def append(self, room: RoomRef, ref: str, markdown: str) -> None:
        """Let a stream's message grow by `markdown`. Raises StreamEnded when it cannot any more."""
        ...

    async def close_stream(self, room: RoomRef, ref: str) -> None:
        """End a stream; its message stays. Ending one that has ended is success."""
        ...

    async def draft(self, operation: Operation, room: RoomRef, content: Rendered) -> None:
        """Show `content` as a preview that vanishes by itself (StreamMode.DRAFT). Idempotent."""
        ...

    def download(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file somebody sent. Raises ChannelError; TooLarge beyond `limit_bytes`."""
        ...
