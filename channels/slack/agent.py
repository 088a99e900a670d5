"""Slack's experience for agents: the status of a working agent, titles, sessions and prompts. Best effort.

The current experience (`agent`) has sessions; where Slack refuses those, the calls of the older one (`assistant`)
say the same. What is refused for good is not asked again until the next start.
https://docs.slack.dev/ai
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from channels.errors import ChannelError, Permanent
from channels.slack.calls import Call, SlackCalls
from channels.slack.capabilities import TITLE_MAX
from channels.slack.outbound import STATUS
from channels.slack.places import Place
from channels.slack.received import Began
from channels.slack.settings import Experience, Prompt


class AgentView:
    """The calls, for one account."""

    def __init__(self, calls: SlackCalls, experience: Experience, prompts: Sequence[Prompt]) -> None:
        self._calls = calls
        self._experience = experience
        self._prompts = [prompt.model_dump() for prompt in prompts]
        self._refused: set[tuple[str, str, bool]] = set()

    async def working(self, place: Place) -> None:
        """Show that an answer is coming; the next message takes it away. Raises ChannelError, but no Permanent."""
        thread_ts = place.thread_ts
        if self._experience == "none" or thread_ts is None:
            return
        await self._set_status(place, thread_ts, STATUS)

    async def rested(self, place: Place) -> None:
        """Take the status away where the answer is no new message: a stream that ends is an old one by then.

        Best effort: Slack takes it away by itself after two minutes.
        """
        thread_ts = place.thread_ts
        if self._experience == "none" or thread_ts is None:
            return
        with suppress(ChannelError):
            await self._set_status(place, thread_ts, "")

    async def _set_status(self, place: Place, thread_ts: str, status: str) -> None:
        await self._try(
            place,
            "assistant.threads.setStatus",
            lambda client: client.assistant_threads_setStatus(
                channel_id=place.channel, thread_ts=thread_ts, status=status
            ),
        )

    async def began(self, began: Began) -> None:
        """Name the conversation after its first message. Raises ChannelError, but no Permanent."""
        place, title = began.place, title_of(began.text)
        thread_ts = place.thread_ts
        if thread_ts is None:
            return
        if self._experience == "agent" and await self._try(
            place,
            "agents.sessions.setStatus",
            lambda client: client.agents_sessions_setStatus(
                channel_id=place.channel,
                thread_ts=thread_ts,
                status="active",
                title=title,
                initiator_user_id=began.user,
            ),
        ):
            return
        await self._try(
            place,
            "assistant.threads.setTitle",
            lambda client: client.assistant_threads_setTitle(
                channel_id=place.channel, thread_ts=thread_ts, title=title
            ),
        )

    async def opened(self, place: Place) -> None:
        """Suggest what one could ask. Raises ChannelError, but no Permanent."""
        if not self._prompts or self._experience == "none":
            return
        await self._try(
            place,
            "assistant.threads.setSuggestedPrompts",
            lambda client: client.assistant_threads_setSuggestedPrompts(
                channel_id=place.channel, thread_ts=place.thread_ts, prompts=self._prompts
            ),
        )

    async def _try(self, place: Place, method: str, call: Call) -> Mapping[str, Any] | None:
        """The answer; None when Slack does not do this here."""
        key = (place.team, method, place.is_direct)
        if key in self._refused:
            return None
        try:
            return await self._calls.call(place.team, method, call)
        except Permanent as error:
            if (
                "missing_scope" in str(error)
                or "unknown_method" in str(error)
                or "not_supported" in str(error)
            ):
                self._refused.add(key)
            return None


def title_of(text: str) -> str:
    """A title from what somebody said first: one line, cut at a word where there is one."""
    line = " ".join(text.split())
    if len(line) <= TITLE_MAX:
        return line
    cut = line[: TITLE_MAX - 1]
    return f"{cut.rpartition(' ')[0] or cut}…"
