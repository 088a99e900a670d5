"""What the user iterates over: a thread's subscription, its durable events only, the inbox.

Each is opened at once and read later; each ends by `close()`, by `async with`, or by being dropped. The state
behind them is the session's; what waits unread is in their feed.
"""

import asyncio
from types import TracebackType
from typing import Self

from threadgate_client.answers import Head
from threadgate_client.engine import Engine
from threadgate_client.errors import DeadlineExceeded, SubscriptionReset
from threadgate_client.items import Cursor, Reset
from threadgate_client.outputs import Item
from threadgate_client.records import Event
from threadgate_client.views import Position


class Subscription:
    """Everything of one thread: events, growing text, and news about the stream itself.

    Reading never skips and never repeats an event, whatever happens to the connection. After a `Reset` item
    the iteration ends, unless the subscription was opened with `on_reset="restart"`. It raises why the
    gateway refused (NotFound, Forbidden …), or why the client ended.
    """

    def __init__(
        self,
        engine: Engine,
        thread_id: str,
        position: Position,
        *,
        deltas: bool,
        kinds: frozenset[str] | None,
        restarts: bool,
    ) -> None:
        self.thread_id = thread_id
        self._engine = engine
        self._cursor = position if isinstance(position, Cursor) else None
        self._view_id, self._feed = engine.open_view(
            thread_id, position, deltas=deltas, kinds=kinds, restarts=restarts
        )

    @property
    def cursor(self) -> Cursor | None:
        """The place up to which everything was read here; store it to continue later, anywhere.

        None until the gateway has told where the thread's tail or start is.
        """
        return self._cursor

    async def opened(self, timeout_s: float | None = None) -> None:
        """Wait until the subscription has its place: whatever happens from now on will be read.

        Raises like the iteration, and DeadlineExceeded (default: the client's request timeout).
        """
        timeout_s = self._engine.request_timeout_s if timeout_s is None else timeout_s
        if self._cursor is not None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                first = await self._feed.filled()
        except TimeoutError:
            raise DeadlineExceeded(f"subscribing to {self.thread_id}", timeout_s) from None
        if first.item is None:
            self._cursor = first.cursor

    def close(self) -> None:
        """Stop following. What was not read yet is dropped. Idempotent."""
        self._feed.end(None)
        self._engine.close_view(self._view_id)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            delivered = await self._feed.get()
            self._cursor = delivered.cursor or self._cursor
            if delivered.item is not None:
                return delivered.item

    async def __aenter__(self) -> Self:
        await self.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Events:
    """Only the durable events of a subscription. A reset raises SubscriptionReset, unless it restarts."""

    def __init__(self, subscription: Subscription, *, restarts: bool) -> None:
        self._subscription = subscription
        self._restarts = restarts

    @property
    def cursor(self) -> Cursor | None:
        """See `Subscription.cursor`."""
        return self._subscription.cursor

    def close(self) -> None:
        """See `Subscription.close`."""
        self._subscription.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            item = await self._subscription.__anext__()
            if isinstance(item, Event):
                return item
            if isinstance(item, Reset) and not self._restarts:
                raise SubscriptionReset(item)

    async def __aenter__(self) -> Self:
        await self._subscription.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Inbox:
    """The newest event of each visible thread that changes. A state, not a log: a head may come twice.

    Raises SubscriptionReset when the store was replaced, for offsets mean nothing in another one.
    """

    def __init__(self, engine: Engine, after_offset: int | None) -> None:
        self._engine = engine
        self._view_id, self._feed = engine.open_inbox(after_offset)
        self._offset = after_offset

    @property
    def offset(self) -> int | None:
        """The highest offset that was read here; None before the first."""
        return self._offset

    def close(self) -> None:
        """Stop following. Idempotent."""
        self._feed.end(None)
        self._engine.close_view(self._view_id)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Head:
        head = await self._feed.get()
        self._offset = max(self._offset or 0, head.offset)
        return head

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
