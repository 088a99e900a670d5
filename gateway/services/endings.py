"""How a turn writes the end of its run: in one transaction, and again and again until the store takes it."""

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.agents.port import AgentAdapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.journal import seal
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services import answer_files
from gateway.services.answering import Speaking
from gateway.services.channels import Channels, freeze
from gateway.services.composing import Composer
from gateway.services.patience import until_stored
from protocol.ids import IdPrefix
from protocol.records import Usage
from storage.file_values import BlobRow
from storage.run_ports import RunStore
from storage.run_values import Repetition
from storage.values import ClaimedRun, Ending, Outbound

RENDER_HERE_CHARS: Final = 8_000
"""Longer answers are rendered in a thread: a large list takes tens of milliseconds, which the loop has not."""
NO_ANSWER: Final = "*No answer.*"
"""What a room shows when the agent had nothing to say."""


class Endings:
    """Ends runs. Every method raises StaleFence when the run has another owner now."""

    def __init__(self, runs: RunStore, channels: Channels, composer: Composer, clock: Clock) -> None:
        self._runs = runs
        self._channels = channels
        self._composer = composer
        self._clock = clock

    async def complete(self, speaking: Speaking) -> None:
        """With what was said, sealed."""
        run, text = speaking.run, speaking.telling.text
        parts = await self._parts(run, text, speaking.files)
        hashes = [file.sha256 for file in speaking.files if file.sha256 is not None]
        sealed = seal(
            run.message_text, speaking.journal.visits, run.decisions, run.answers, text, sorted(set(hashes))
        )
        move = TRANSITIONS[RunEvent.COMPLETE]
        reached("run.before_complete")
        await until_stored(
            lambda: self._runs.complete(run, move, self._clock.now_ms(), text, speaking.usage, parts, sealed),
            "answer",
            run.id,
        )
        reached("run.after_complete")

    async def fail(
        self, run: ClaimedRun, kind: str, reason: str, said: str = "", usage: Usage | None = None
    ) -> None:
        """With an error that its thread and its room are told."""
        await self._end(run, self._composer.failed(kind, reason, run.origin, said), None, usage)

    async def cancel(self, run: ClaimedRun, reason: str) -> None:
        """Because there is nothing to answer any more."""
        await self._end(run, self._composer.cancelled(reason, run.origin, run.partial), None, None)

    async def interrupt(self, run: ClaimedRun, agent: AgentAdapter, reason: str) -> None:
        """Because its agent cannot go on where it was cut off; it is queued again if the agent wants that."""
        retry = agent.settings.retry_interrupted
        ending = self._composer.interrupted(reason, run.origin, run.partial, will_retry=retry)
        await self._end(run, ending, Repetition(self._clock.new_id(IdPrefix.RUN)) if retry else None, None)

    async def hand_over(self, run: ClaimedRun, agent_id: str, reason: str, usage: Usage | None) -> None:
        """Another agent answers instead."""
        ending = self._composer.interrupted(reason, run.origin, "", will_retry=True)
        await self._end(run, ending, Repetition(self._clock.new_id(IdPrefix.RUN), agent_id), usage)

    async def _end(
        self, run: ClaimedRun, ending: Ending, repetition: Repetition | None, usage: Usage | None
    ) -> None:
        reached("run.before_end")
        await until_stored(
            lambda: self._runs.end(run, ending, self._clock.now_ms(), repetition, usage), "ending", run.id
        )
        reached("run.after_end")

    async def _parts(self, run: ClaimedRun, text: str, files: Sequence[BlobRow]) -> list[Outbound]:
        place = self._channels.of(run.origin)
        if place is None:
            return []
        adapter, room = place
        shown, told = answer_files.shown_in(adapter.capabilities(room), files)
        text = "\n\n".join(filter(None, [text, *told])) or ("" if shown else NO_ANSWER)
        if len(text) <= RENDER_HERE_CHARS:
            rendered = adapter.render(text, room) if text else []
        else:
            rendered = await asyncio.to_thread(adapter.render, text, room)
        rendered += shown
        return [
            Outbound(self._clock.new_id(IdPrefix.DELIVERY), number, freeze(content))
            for number, content in enumerate(rendered, start=1)
        ]
