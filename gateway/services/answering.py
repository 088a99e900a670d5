"""Answering: one attempt of a run, from its agent's first output to its last.

The pieces go to followers as deltas, to the room as a live message and into the journal; deadlines watch the agent.
What follows from how the attempt ended (another one, an ending, a wait) is decided in `turn.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from gateway.agents.port import (
    AgentAdapter,
    AgentAsk,
    AgentBeat,
    AgentFacts,
    AgentFailure,
    AgentFile,
    AgentOutput,
    AgentQuestion,
    AgentRewind,
    AgentText,
    AgentUsage,
    Found,
    RunContext,
    decision_about,
)
from gateway.clock import Clock
from gateway.hub.streams import Stream
from gateway.rules.telling import Instead, More, Telling
from gateway.services.answer_files import AnswerFiles
from gateway.services.deadlines import DeadlineMissed, Deadlines
from gateway.services.guard import Guard
from gateway.services.journal import Checkpoints, RunJournal
from gateway.services.live import LiveMessage
from gateway.services.patience import until_stored
from gateway.services.reading import Reading
from gateway.services.waits import Waits
from protocol import limits
from protocol.ids import IdPrefix
from protocol.records import Usage
from protocol.scopes import Scope
from storage.errors import StaleFence
from storage.file_values import BlobRow
from storage.ports import ThreadStore
from storage.run_ports import RunStore
from storage.values import ClaimedRun, Decided, Said

log = structlog.get_logger()

ASKS_MAX = 32
"""Things one attempt may ask people: more is no question any more."""


@dataclass(slots=True)
class Speaking:
    """What one turn shows and knows, over all its attempts. `is_withheld`: nothing of the answer is shown or kept."""

    journal: RunJournal
    stream: Stream
    live: LiveMessage
    checkpoints: Checkpoints
    telling: Telling
    files: list[BlobRow]
    usage: Usage = field(default_factory=Usage)
    facts: dict[str, Any] = field(default_factory=dict)
    is_withheld: bool = False
    _notes: "list[asyncio.Task[None]]" = field(default_factory=list)

    @property
    def run(self) -> ClaimedRun:
        """The run as it is owned now."""
        return self.journal.run

    @property
    def shown(self) -> str:
        """What may be seen of what the present attempt has said."""
        return "" if self.is_withheld else self.telling.text

    def note(self, runs: RunStore, facts: dict[str, Any]) -> None:
        """Add to the run's record. Nobody waits for it before `settle`: the writer keeps the order."""
        run = self.run
        writing = until_stored(lambda: runs.note(run, facts), "facts", run.id)
        task = asyncio.create_task(writing, name=f"facts {run.id}")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a lost run asks nobody
        self._notes.append(task)

    def drop(self) -> None:
        """Give up what is being written on the side."""
        self.checkpoints.drop()
        for note in self._notes:
            note.cancel()

    async def settle(self) -> None:
        """Wait for everything that is being written on the side. Raises StaleFence."""
        await self.checkpoints.settle()
        notes, self._notes = self._notes, []
        if notes:
            await asyncio.gather(*notes)

    def show(self, change: More | Instead | None, now: float) -> None:
        """Show followers what is new, and journal it from time to time. Raises StaleFence."""
        if change is None or self.is_withheld:
            return
        if isinstance(change, More):
            self.stream.push(change.text)
        else:
            self.stream.replace(change.text)
        self.live.update(self.stream)
        if self.checkpoints.is_due(now):
            self.checkpoints.write(self.stream.text, now)


@dataclass(frozen=True, slots=True)
class Complete:
    """The agent has said all."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The agent wants these settled before it goes on."""

    asks: Sequence[AgentAsk]
    questions: Sequence[AgentQuestion]


Attempted = Complete | Waiting | AgentFailure


class Answering:
    """Makes attempts."""

    def __init__(
        self,
        runs: RunStore,
        threads: ThreadStore,
        files: AnswerFiles,
        waits: Waits,
        guard: Guard,
        clock: Clock,
        reading: Reading,
        *,
        timeout_s: float,
    ) -> None:
        self._runs = runs
        self._reading = reading
        self._threads = threads
        self._files = files
        self._waits = waits
        self._guard = guard
        self._clock = clock
        self._timeout_s = timeout_s
        self._watched: dict[str, Deadlines] = {}

    def silent_s(self, run_id: str) -> float | None:
        """Seconds since the agent of a run gave a sign of life; None when nobody drives it here."""
        watched = self._watched.get(run_id)
        return watched.silent_s if watched is not None else None

    async def attempt(self, agent: AgentAdapter, speaking: Speaking) -> Attempted:
        """Let the agent answer once. Raises StaleFence; every other failure is the result."""
        run, settings = speaking.run, agent.settings
        deadlines = Deadlines(settings.turn_timeout_s or self._timeout_s, settings.silence_s)
        self._watched[run.id] = deadlines
        speaking.telling.again()
        speaking.usage = Usage()
        try:
            return await deadlines.run(self._listen(agent, speaking, deadlines), f"answer {run.id}")
        except AgentFailure as failure:
            return failure
        except DeadlineMissed as missed:
            return AgentFailure("timeout", str(missed))
        except StaleFence:
            raise
        except Exception:
            incident = self._clock.new_id(IdPrefix.INCIDENT)
            log.exception("an agent broke", action="agent_broke", run_id=run.id, incident=incident)
            return AgentFailure("internal", f"an internal error ({incident})")
        finally:
            del self._watched[run.id]

    async def _listen(self, agent: AgentAdapter, speaking: Speaking, deadlines: Deadlines) -> Attempted:
        asks: list[AgentAsk] = []
        questions: list[AgentQuestion] = []
        context, found = await self._reading.redacted(
            speaking.run.org_id, self._context(agent, speaking, deadlines)
        )
        if found:
            await self._take(speaking, AgentFacts({"redacted": dict(found)}))
        async with closed(agent.answer(context)) as outputs:
            async for output in outputs:
                deadlines.beat()
                if isinstance(output, AgentText):
                    self._say(speaking, output.text)
                elif isinstance(output, AgentAsk):
                    asks.append(output)
                elif isinstance(output, AgentQuestion):
                    questions.append(output)
                else:
                    await self._take(speaking, output)
                if len(asks) + len(questions) > ASKS_MAX:
                    return AgentFailure("bad_output", f"it asks more than {ASKS_MAX} things at once")
        return Waiting(asks, questions) if asks or questions else Complete()

    def _say(self, speaking: Speaking, text: str) -> None:
        if speaking.telling.chars + len(text) > limits.TEXT_CHARS:
            raise AgentFailure("too_large", f"the answer is longer than {limits.TEXT_CHARS} characters")
        text.encode()  # raises here, where it is answered for, what nobody could store
        speaking.show(speaking.telling.say(text), asyncio.get_running_loop().time())

    async def _take(self, speaking: Speaking, output: AgentOutput) -> None:
        match output:
            case AgentRewind(chars):
                speaking.telling.rewind(chars)
            case AgentFile():
                speaking.files.append(await self._files.keep(speaking.run, output, speaking.files))
            case AgentUsage(usage):
                speaking.usage = speaking.usage.plus(usage)
            case AgentFacts(facts):
                new = {key: value for key, value in facts.items() if speaking.facts.get(key) != value}
                if new:
                    speaking.facts |= new
                    speaking.note(self._runs, new)
            case AgentBeat():
                return
            case _:
                raise AgentFailure(
                    "bad_output", f"it gave something that is no output: {type(output).__name__}"
                )

    # --- what the agent works with ------------------------------------------------------------

    def _context(self, agent: AgentAdapter, speaking: Speaking, deadlines: Deadlines) -> RunContext:
        run = speaking.run

        async def said(limit: int) -> list[Said]:
            return await self._threads.said(run.thread_id, run.message_seq, limit)

        return RunContext(
            run_id=run.id,
            thread_id=run.thread_id,
            thread_title=run.thread_title,
            attempt=run.attempt,
            text=run.message_text,
            origin=run.origin.channel or "a client",
            requested_by=run.requested_by,
            said=said,
            search=self._search(agent, run),
            journal=speaking.journal,
            ask=self._asking(agent, speaking, deadlines),
            now_ms=self._clock.now_ms,
            guard=self._guard.of_run(run, lambda: speaking.journal.tool_names),
            recovered=run.recovered,
            org_id=run.org_id,
            decisions=run.decisions,
            answers=run.answers,
            files=self._files.given(run),
        )

    def _search(self, agent: AgentAdapter, run: ClaimedRun) -> Callable[[str, int], Any]:
        where = None if Scope.THREAD_READ in agent.settings.scopes else run.thread_id

        async def search(words: str, limit: int) -> list[Found]:
            matches, _ = await self._threads.search(run.org_id, words, where, limit, None)
            return [Found(one.thread_id, one.title, one.message_id, one.snippet, one.at) for one in matches]

        return search

    def _asking(
        self, agent: AgentAdapter, speaking: Speaking, deadlines: Deadlines
    ) -> Callable[[AgentAsk], Any]:
        """How an agent asks while it goes on living; one question at a time."""
        one_at_a_time = asyncio.Lock()

        async def ask(asked: AgentAsk) -> Decided:
            async with one_at_a_time:
                known = decision_about(asked, speaking.run.decisions)
                if known is not None and await self._waits.may_act(speaking.run, known):
                    return known
                deadlines.pause()
                try:
                    await speaking.settle()
                    life_s = agent.settings.wait_timeout_s
                    decided = await self._waits.hold(speaking.journal, asked, speaking.shown, life_s)
                    is_good = await self._waits.may_act(speaking.run, decided)
                    return decided if is_good else replace(decided, approved=False)
                finally:
                    deadlines.go_on()

        return ask


@asynccontextmanager
async def closed(outputs: AsyncIterator[AgentOutput]) -> AsyncIterator[AsyncIterator[AgentOutput]]:
    """The outputs of an agent, which is told when nobody listens any more: now, not when it is collected."""
    try:
        yield outputs
    finally:
        if isinstance(outputs, AsyncGenerator):
            await outputs.aclose()
