"""Replies: the text of one run's answer as it is written, always ending as the durable message has it.

`Reply` is the pure part: items of a subscription in, text to show out. `ReplyStream` reads them.

Theory of operation. What was yielded cannot be taken back. So text is yielded only while it continues what
was yielded before; if it does not (another attempt of the run says something else, a second message begins),
the stream waits. At the end the durable message decides: if it continues what was yielded, the rest is
yielded; if not, `is_replaced` is set and `text` has what counts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from threadgate_client.answers import SendResult
from threadgate_client.engine import Engine
from threadgate_client.errors import (
    ClientClosed,
    DeadlineExceeded,
    InputRequired,
    RunCancelled,
    RunFailed,
    RunInterrupted,
    SubscriptionReset,
    ThreadgateError,
)
from threadgate_client.fields import Fields
from threadgate_client.items import Cursor, Reset, TextUpdate
from threadgate_client.outputs import Item
from threadgate_client.records import Event, EventKind, Message, RunError
from threadgate_client.streams import Subscription


class Reply:
    """The answer of one run, as far as it is known."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.text = ""
        """What counts: the text written so far, at the end the durable message's."""
        self.message: Message | None = None
        self.is_over = False
        self.is_replaced = False
        self._shown = ""
        self._messages: dict[str, Message] = {}

    def take(self, item: Item) -> str:
        """Take one item of the thread's subscription; returns what to show next, often nothing.

        Raises RunFailed, RunCancelled or RunInterrupted when the run ended without an answer, InputRequired when it
        asks something first, and SubscriptionReset when its events are lost.
        """
        match item:
            case Event(kind=EventKind.RUN_QUEUED) if item.data.get("retry_of") == self.run_id:
                # An interrupted run that is tried again goes on as a run of its own.
                self.run_id = item.run_id or self.run_id
                return ""
            case TextUpdate(run_id=self.run_id):
                return self._grow(item.text_so_far)
            case Event() if self._is_ours(item):
                return self._take_event(item)
            case Reset():
                raise SubscriptionReset(item)
            case _:
                return ""

    def _is_ours(self, event: Event) -> bool:
        if event.run_id is None and event.kind == EventKind.MESSAGE_CREATED:
            # The message itself names its run as well; the event need not.
            return event.message is not None and event.message.run_id == self.run_id
        return event.run_id == self.run_id

    def _take_event(self, event: Event) -> str:
        match event.kind:
            case EventKind.MESSAGE_CREATED:
                message = event.message
                if message is None or message.role != "assistant":
                    return ""
                self._messages[message.id] = self.message = message
                return self._grow(message.text)
            case EventKind.RUN_WAITING if event.data.get("reason") == "input":
                raise InputRequired(self.run_id, str(event.data.get("prompt", "")))
            case EventKind.RUN_COMPLETED:
                return self._complete(Fields(event.data, "run.completed").maybe_text("message_id"))
            case EventKind.RUN_FAILED:
                error = RunError.from_json(event.data.get("error", {}))
                raise RunFailed(self.run_id, error.message, error.kind)
            case EventKind.RUN_CANCELLED:
                raise RunCancelled(self.run_id, str(event.data.get("reason", "")))
            case EventKind.RUN_INTERRUPTED if not event.data.get("will_retry"):
                raise RunInterrupted(self.run_id, str(event.data.get("reason", "")))
            case _:
                return ""

    def _complete(self, message_id: str | None) -> str:
        self.is_over = True
        self.message = self._messages.get(message_id or "", self.message)
        rest = self._grow(self.message.text if self.message else "")
        self.is_replaced = self._shown != self.text
        return rest

    def _grow(self, text: str) -> str:
        self.text = text
        if not text.startswith(self._shown):
            return ""
        rest = text[len(self._shown) :]
        self._shown = text
        return rest


class ReplyStream:
    """Text chunks of one run's answer, as they are written.

    Read it with `async for chunk in reply`, or whole with `await reply.read()`. It ends when the run
    completed; it raises RunFailed, RunCancelled or RunInterrupted when it did not, InputRequired when the agent asks
    something first (send the answer, and stream the reply of that), and DeadlineExceeded when
    that takes longer than `timeout_s` from the first chunk asked for (the run goes on, and can be followed
    again). `text` is what counts at any time; see `is_replaced`.
    """

    def __init__(self, engine: Engine, send: Callable[[], Awaitable[SendResult]], timeout_s: float) -> None:
        self._engine = engine
        self._send = send
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._subscription: Subscription | None = None
        self._reply: Reply | None = None

    @property
    def text(self) -> str:
        """The answer so far; once the stream has ended, exactly the durable message's text."""
        return self._reply.text if self._reply else ""

    @property
    def message(self) -> Message | None:
        """The durable answer; None while there is none, or if the agent had nothing to say."""
        return self._reply.message if self._reply else None

    @property
    def run_id(self) -> str | None:
        """The run; None before the message was accepted."""
        return self._reply.run_id if self._reply else None

    @property
    def is_replaced(self) -> bool:
        """Whether the durable text does not continue the chunks: show `text` in their place."""
        return bool(self._reply and self._reply.is_replaced)

    async def read(self) -> str:
        """Read to the end; returns the answer. Raises like the iteration."""
        async for _ in self:
            pass
        return self.text

    def close(self) -> None:
        """Stop following; the run goes on. Idempotent."""
        if self._subscription is not None:
            self._subscription.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                chunk = await self._next_chunk()
        except TimeoutError as error:
            if isinstance(error, DeadlineExceeded):
                raise  # the request that sends the message has its own, shorter deadline
            self.close()
            raise DeadlineExceeded("waiting for the reply", self._timeout_s) from None
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _next_chunk(self) -> str:
        """The next chunk; empty at the end."""
        if self._reply is None or self._subscription is None:
            sent = await self._send()
            self._reply = Reply(sent.run_id)
            self._subscription = follow(self._engine, sent)
        chunk = ""
        try:
            while not chunk and not self._reply.is_over:
                chunk = self._reply.take(await self._subscription.__anext__())
        except StopAsyncIteration:
            raise ClientClosed("the reply was closed before the run ended") from None
        except ThreadgateError:
            self._subscription.close()
            raise
        if self._reply.is_over:
            self._subscription.close()
        return chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def follow(engine: Engine, sent: SendResult) -> Subscription:
    """Everything of the thread after the message that was sent."""
    place = Cursor(sent.epoch, sent.seq)
    return Subscription(engine, sent.thread_id, place, deltas=True, kinds=None, restarts=False)
