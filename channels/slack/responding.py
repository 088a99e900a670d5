"""What the adapter itself does once a delivery is stored: answer buttons and commands, open forms, keep books.

The answer to Slack (`answer`) is quick and made of what is known; everything that calls Slack runs afterwards, in
tasks that are owned here and may fail: the delivery is safe.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Protocol

from channels.errors import ChannelError
from channels.messages import Rendered, Verdict
from channels.slack.agent import AgentView
from channels.slack.calls import SlackCalls
from channels.slack.cards import form_error, form_view
from channels.slack.outbound import command_answer, ephemeral_arguments
from channels.slack.places import Place
from channels.slack.received import Answerable, Began, Echoed, FormWanted, Left, Opened, Received
from channels.slack.reconciling import Reconciler
from channels.slack.render import render_markdown

log = logging.getLogger(__name__)

FORM_FAILED = "The form could not be opened in time. Please press the button again."


class Departure(Protocol):
    """Told when a workspace took its token back."""

    def __call__(self, left: Left) -> Awaitable[None]: ...


class Responder:
    """For one account."""

    def __init__(
        self, calls: SlackCalls, agent: AgentView, reconciler: Reconciler, departure: Departure
    ) -> None:
        self._calls = calls
        self._agent = agent
        self._reconciler = reconciler
        self._departure = departure
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, received: Received, verdict: Verdict) -> dict[str, Any] | None:
        """What Slack is answered with, None for a bare acknowledgement; begins what comes after it."""
        match received.after:
            case Echoed() as echoed:
                self._reconciler.echoes.put(echoed.op, echoed.ref)
            case Began() as began:
                self._begin(self._agent.began(began))
            case Opened() as opened:
                self._begin(self._agent.opened(opened.place))
            case FormWanted() as form:
                self._begin(self._open_form(form))
            case Left() as left:
                # Before the acknowledgement: a token that was taken back must not be used after a crash.
                await self._departure(left)
            case Answerable() as answerable:
                return self._say(answerable, verdict)
        return None

    async def stop(self) -> None:
        """End what is under way. Idempotent."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _say(self, answerable: Answerable, verdict: Verdict) -> dict[str, Any] | None:
        if verdict.says is None:
            return None
        content = render_markdown(verdict.says)[0]
        match answerable.how:
            case "command":
                return command_answer(content)
            case "form" if not verdict.is_taken:
                return form_error(verdict.says)
        self._begin(self._tell(answerable.place, answerable.user, content))
        return None

    async def _open_form(self, form: FormWanted) -> None:
        place = form.place
        try:
            await self._calls.call(
                place.team,
                "views.open",
                lambda client: client.views_open(trigger_id=form.trigger_id, view=form_view(form)),
            )
        except ChannelError as error:
            log.info("slack form not opened: %s", error, extra={"action": "slack.form_not_opened"})
            await self._tell(place, form.user, render_markdown(FORM_FAILED)[0])

    async def _tell(self, place: Place, user: str, content: Rendered) -> None:
        """Show something to one person."""
        arguments = ephemeral_arguments(place, user, content)
        await self._calls.call(
            place.team, "chat.postEphemeral", lambda client: client.chat_postEphemeral(**arguments)
        )

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="slack response")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, ChannelError):
            log.info("slack response failed: %s", error, extra={"action": "slack.response_failed"})
        else:
            log.error("slack response broke", exc_info=error, extra={"action": "slack.response_broke"})
