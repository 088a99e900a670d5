"""A conversation: one thread at a time, what is said into it from here and what comes from elsewhere.

Theory of operation. Lines are taken one after the other: each is a message, whose answer is streamed to its
end, or a slash command. Beside that, a follower reads the thread's events and shows what others say. Both
write to the same screen: `_turn` is held by whoever writes something whole, so that what comes from elsewhere
during an answer appears after it. Nothing is lost meanwhile: it waits in the subscription.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from threadgate_client import (
    Client,
    Cursor,
    Event,
    Events,
    InputRequired,
    RequestRefused,
    Run,
    RunCancelled,
    RunEnded,
    SendResult,
    SubscriptionReset,
    Thread,
    ThreadgateError,
)

from gateway.cli.blobs import files_of, words_of
from gateway.cli.chat.keyboard import Keyboard
from gateway.cli.chat.screen import WARNING, Screen
from gateway.cli.chat.slash import obey
from gateway.cli.happenings import handover_of, tool_of, wait_of
from gateway.cli.refusals import describe

T = TypeVar("T")

SHOWN: Final = 10
"""Messages shown when a thread is opened: about a window full."""
REPLY_TIMEOUT_S: Final = 24 * 3600.0
"""A person watches: Ctrl-C is the limit, a day only a backstop."""
_BESIDE: Final = frozenset({"tool.started", "tool.finished"})
"""Kinds of events that are shown while an answer is being written: they belong to it."""
_GONE: Final = frozenset({"gone", "forbidden"})


class Left(Exception):
    """The user leaves."""


class Conversation:
    """What happens between a user and a gateway."""

    def __init__(self, client: Client, keyboard: Keyboard, screen: Screen, agent_id: str | None) -> None:
        self.client = client
        self.screen = screen
        self.thread_id: str | None = None
        self.listed: Sequence[Thread] = ()
        self.has_failed = False
        self._keyboard = keyboard
        self._agent_id = agent_id
        self._agent_name = agent_id or "agent"
        self._room = ""
        self._ours: set[str] = set()
        self._turn = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None
        self._cancelling: asyncio.Task[None] | None = None
        self._running: str | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # --- the user's side ----------------------------------------------------------------------

    async def run(self, thread_id: str | None) -> None:
        """Talk until the user leaves. Raises why the client ended."""
        try:
            await self._unless_over(self.open(thread_id))
            while (line := await self._unless_over(self._keyboard.line())) is not None:
                if line.strip():
                    await self._unless_over(self._take(line.strip()))
        except Left:
            return
        finally:
            await self._stop(self._follower)
            await self._stop(self._cancelling)

    def leave(self) -> None:
        """The user leaves, now."""
        if not self._end.done():
            self._end.set_exception(Left())

    def interrupt(self) -> None:
        """Ctrl-C: stop the answer, or leave when there is none or it was already asked to stop."""
        if self._running is None or self._cancelling is not None:
            self.leave()
            return
        self.screen.note("stopping the answer… (Ctrl-C again leaves at once)")
        self._cancelling = asyncio.create_task(self._cancel(self._running), name="cancel")

    async def open(self, thread_id: str | None) -> None:
        """Go to a thread and show its last messages; None begins a new one."""
        if thread_id is None:
            await self._leave_thread()
            agents = await self.client.agents.list()
            wanted = self._agent_id or (await self.client.server_info()).default_agent_id
            self._agent_name = next(
                (agent.name or agent.id for agent in agents if agent.id == wanted), wanted
            )
            self.screen.note(f"a new thread with {self._agent_name} · /help lists the commands")
            return
        thread = await self.client.threads.get(thread_id)
        page = await self.client.threads.history(thread.id, limit=SHOWN, kinds=["message.created"])
        await self._leave_thread()
        self.thread_id, self._agent_name = thread.id, thread.agent_id
        self._room = thread.origin.channel or ""
        self.screen.note(f"{thread.title or '(no title)'} · {thread.id}")
        if self.screen.is_terminal:
            for event in page.events:
                self._show_message(event)
        self._keyboard.remember(
            message.text
            for event in page.events
            if (message := event.message) and message.role == "user" and "\n" not in message.text
        )
        self._follow(Cursor(self._epoch, page.head_seq))
        run = await self.newest_run()
        if thread.assignee is not None:
            self.screen.note(f"{thread.assignee.name or thread.assignee.id} has taken over", WARNING)
        if run is not None and run.waiting_for == "input":
            self.screen.note("the agent waits for an answer: your next message", WARNING)
        elif run is not None and run.ended_at is None:
            self.screen.note("an answer is being written")
            await self._attend(self._place(run, page.head_seq))

    async def newest_run(self) -> Run | None:
        """The run that was queued last in this thread."""
        if self.thread_id is None:
            return None
        page = await self.client.runs.list(thread_id=self.thread_id, limit=1)
        return page.items[0] if page.items else None

    async def retry(self, run: Run) -> None:
        """Run the same input again and show its answer."""
        history = await self.client.threads.history(run.thread_id, limit=1)
        async with self._turn:
            again = await self.client.runs.retry(run.id)
            await self._stream(self._place(again, history.head_seq))

    async def _take(self, line: str) -> None:
        try:
            if line.startswith("/") and not line.startswith("//"):
                await obey(self, line)
            else:
                await self._say(line.removeprefix("/") if line.startswith("//") else line)
        except RequestRefused as refused:
            self.has_failed = True
            what, hint = describe(refused)
            self.screen.note(f"{what} {hint}".strip(), WARNING)

    async def _say(self, text: str) -> None:
        async with self._turn:
            sent = await self.client.send(text, self.thread_id, agent_id=self._agent_id)
            self._ours.add(sent.message_id)
            if self.thread_id is None:
                self.thread_id = sent.thread_id
                self._follow(Cursor(sent.epoch, sent.seq))
            if sent.queue_position:
                self.screen.note(f"waiting behind {sent.queue_position} other")
            if sent.run_state == "completed":  # this thread was taken over: what was said is the answer
                self._ours.add(sent.run_id)
                return
            await self._stream(sent)

    # --- answers ------------------------------------------------------------------------------

    async def _attend(self, place: SendResult) -> None:
        async with self._turn:
            await self._stream(place)

    async def _stream(self, sent: SendResult) -> None:
        """Show one answer to its end. `_turn` is held."""
        self._ours.add(sent.run_id)
        self._running = sent.run_id
        reply = self.client.stream_reply(sent, timeout_s=REPLY_TIMEOUT_S)
        ending = question = ""
        try:
            with self.screen.answer(self._agent_name) as shown:
                try:
                    async for chunk in reply:
                        shown.grow(chunk)
                except InputRequired as asked:
                    question = asked.prompt
                except RunEnded as ended:
                    self.has_failed = True
                    ending = _ending(ended)
            if question:
                self.screen.said(self._agent_name, question, by_agent=True)
                self.screen.note("your next message is the answer")
            if ending:
                self.screen.note(ending, WARNING)
            if reply.is_replaced:
                self.screen.note("the answer ended up different from what was streamed:")
                self.screen.said(self._agent_name, reply.text, by_agent=True)
            for line in files_of(reply.message):
                self.screen.note(line)
        finally:
            reply.close()
            if reply.run_id is not None:
                self._ours.add(reply.run_id)
            self._running = None
            await self._stop(self._cancelling)
            self._cancelling = None

    async def _cancel(self, run_id: str) -> None:
        try:
            await self.client.runs.cancel(run_id, reason="Ctrl-C in a chat")
        except RequestRefused as refused:
            self.screen.note(f"it could not be stopped: {describe(refused)[0]}", WARNING)
        except ThreadgateError:
            return  # the client is over, and whoever streams the answer says why

    def _place(self, run: Run, seq: int) -> SendResult:
        """A run that was not sent from here, as if it had been: its answer comes after `seq`."""
        return SendResult(run.thread_id, "", seq, run.id, run.state, 0, self._epoch)

    @property
    def _epoch(self) -> str:
        return self.client.hello.epoch if self.client.hello else ""

    # --- what comes from elsewhere ------------------------------------------------------------

    def _follow(self, cursor: Cursor) -> None:
        assert self.thread_id is not None, "a thread is open"
        events = self.client.events(self.thread_id, cursor)
        self._follower = asyncio.create_task(self._show_all(events), name="follower")
        self._follower.add_done_callback(self._follower_ended)

    async def _show_all(self, events: Events) -> None:
        async for event in events:
            if event.kind in _BESIDE:
                self._show(event)
                continue
            async with self._turn:
                self._show(event)

    def _follower_ended(self, follower: asyncio.Task[None]) -> None:
        if follower.cancelled() or self._end.done() or (error := follower.exception()) is None:
            return
        if isinstance(error, SubscriptionReset) and error.reset.reason in _GONE:
            self.screen.note("this thread is gone; /new begins another", WARNING)
            self.thread_id = None
            return
        self._end.set_exception(error)

    def _show(self, event: Event) -> None:
        match event.kind:
            case "message.created":
                self._show_message(event)
            case "message.updated":
                self._show_message(event, " (edited)")
            case "message.deleted":
                self.screen.note("a message was deleted")
            case "run.failed" if event.run_id not in self._ours:
                error = event.data.get("error")
                reason = error.get("message", "") if isinstance(error, dict) else ""
                self.screen.note(f"a run failed: {reason}", WARNING)
            case "run.cancelled" if event.run_id not in self._ours:
                self.screen.note(f"{event.actor.name} stopped a run", WARNING)
            case "run.waiting" if event.run_id not in self._ours:
                self.screen.note(f"the agent {wait_of(event)}", WARNING)
            case "tool.started" | "tool.finished":
                self.screen.note(f"{tool_of(event)}")
            case "thread.updated":
                self._show_change(event)
            case "thread.archived" | "thread.restored" | "thread.deleted":
                self.screen.note(
                    f"{event.actor.name} {event.kind.removeprefix('thread.')} this thread", WARNING
                )

    def _show_change(self, event: Event) -> None:
        if event.data.get("title"):
            self.screen.note(f"this thread is now named {event.data['title']}")
        if (handover := handover_of(event)) is not None:
            self.screen.note(handover, WARNING)

    def _show_message(self, event: Event, remark: str = "") -> None:
        message = event.message
        if message is None or message.id in self._ours or event.run_id in self._ours:
            return
        name = message.author.name or message.author.id
        if message.author.kind == "person" and self._room:
            name = f"{name} ({self._room})"
        self.screen.said(name + remark, words_of(message), by_agent=message.role == "assistant")

    async def _leave_thread(self) -> None:
        await self._stop(self._follower)
        self._follower, self.thread_id, self._room = None, None, ""

    # --- ends ---------------------------------------------------------------------------------

    async def _unless_over(self, work: Awaitable[T]) -> T:
        """The result of `work`. Raises Left, or why the client ended, as soon as either is the case."""
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self._end}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                await self._stop(task)
        if self._end.done():
            self._end.result()
        return task.result()

    @staticmethod
    async def _stop(task: "asyncio.Future[Any] | None") -> None:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _ending(ended: RunEnded) -> str:
    if isinstance(ended, RunCancelled):
        return f"stopped: {ended.message}" if ended.message else "stopped"
    return f"the run did not finish: {ended.message or ended.kind}"
