"""Executing a completed run again: its agent answers over the recorded journal, and nothing outside is touched.

The same agent over the same records must come to the same steps and say the same words; then the hash is the one
that the run was sealed with. A step that is not recorded is not done: there the execution ends as different.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Final

from gateway.agents.port import (
    AgentAdapter,
    AgentAsk,
    AgentFailure,
    AgentFile,
    AgentOutput,
    AgentQuestion,
    AgentRewind,
    AgentText,
    Found,
    Json,
    Recorded,
    RunContext,
    Step,
)
from gateway.agents.registry import Agents
from gateway.rules import journal as rules
from gateway.rules.journal import Visit, seal, visit_of
from gateway.rules.telling import Telling
from gateway.services.answer_files import AnswerFiles
from gateway.services.answering import closed
from gateway.services.journal import recorded
from gateway.services.reading import Reading
from protocol.canonical import digest
from protocol.records import Replay, Usage
from storage.ports import ThreadStore
from storage.run_ports import JournalStore, RunStore
from storage.run_values import Steered, StepOutcome, StepRow
from storage.values import ClaimedRun, Decided, Said

REPLAY_S: Final = 60.0
"""Nothing is waited for in a replay but the agent's own pace; a script that sleeps longer is not worth the time."""


class Diverged(AgentFailure):
    """The execution left what is recorded."""

    def __init__(self, how: str) -> None:
        super().__init__("diverged", how)


class RecordedJournal:
    """`gateway.agents.port.Journal` that only knows what is recorded."""

    def __init__(self, rows: Iterable[StepRow]) -> None:
        self._ended = {row.key: recorded(row) for row in rows if row.outcome is not None}
        self.recorded = {
            row.key: visit_of(row, self._ended[row.key].result) for row in rows if row.key in self._ended
        }
        self.visits = {key: visit for key, visit in self.recorded.items() if key.startswith(rules.INSIDE)}

    async def begin(self, step: Step) -> Recorded:
        ended = self._ended.get(step.key)
        if ended is None:
            raise Diverged(f"{step.key}: it came to this step, which is not recorded")
        self.visits[step.key] = Visit(
            step.key, step.kind, step.name, digest(step.request), ended.outcome, digest(ended.result)
        )
        return ended

    async def finish(
        self, key: str, result: Json, *, outcome: StepOutcome = "ok", usage: Usage | None = None
    ) -> Recorded:
        raise Diverged(f"{key}: it ended a step that is recorded as ended")

    def is_closed(self, key: str) -> bool:
        return key in self._ended

    async def steered(self, key: str) -> tuple[Steered, ...]:
        ended = self._ended.get(key)
        if ended is None:
            return ()
        self.visits[key] = self.recorded[key]
        return tuple(Steered(**one) for one in ended.result)


class Replays:
    """Use case of auditors and of tests."""

    def __init__(
        self,
        runs: RunStore,
        journal: JournalStore,
        threads: ThreadStore,
        agents: Agents,
        files: AnswerFiles,
        reading: Reading,
    ) -> None:
        self._runs = runs
        self._journal = journal
        self._threads = threads
        self._agents = agents
        self._files = files
        self._reading = reading

    async def replay(self, org_id: str, run_id: str) -> Replay:
        """Execute a run again. Raises Fault: not_found (the run, its agent), invalid_state (not completed)."""
        run = await self._runs.recorded(org_id, run_id)
        sealed = (await self._runs.get(org_id, run_id)).journal_hash or ""
        journal = RecordedJournal(await self._journal.steps(run_id))
        context, _ = await self._reading.redacted(run.org_id, self._context(run, journal))
        telling, hashes, found = Telling(), set[str](), list[str]()
        with self._agents.use(run.agent_id) as agent:
            try:
                async with asyncio.timeout(REPLAY_S):
                    await self._listen(agent, context, telling, hashes, found)
            except AgentFailure as failure:
                found.append(str(failure))
            except TimeoutError:
                found.append(f"it was not done within {REPLAY_S:g} s")
        visits = journal.visits.values()
        again = seal(run.message_text, visits, run.decisions, run.answers, telling.text, sorted(hashes))
        if again != sealed:
            found += rules.differences(journal.recorded, journal.visits)
            if telling.text != run.partial:
                found.append("it said something else")
        return Replay(
            run_id=run_id,
            verified=again == sealed,
            hash=again,
            recorded_hash=sealed,
            steps=len(journal.visits),
            differences=list(dict.fromkeys(found)),
        )

    async def _listen(
        self, agent: AgentAdapter, context: RunContext, telling: Telling, hashes: set[str], found: list[str]
    ) -> None:
        async with closed(agent.answer(context)) as outputs:
            async for output in outputs:
                _take(output, telling, hashes, found)

    def _context(self, run: ClaimedRun, journal: RecordedJournal) -> RunContext:
        async def said(limit: int) -> list[Said]:
            return await self._threads.said(run.thread_id, run.message_seq, limit)

        async def search(words: str, limit: int) -> list[Found]:
            raise Diverged("it searched outside of a step")

        async def ask(asked: AgentAsk) -> Decided:
            known = context.decided(asked)
            if known is None:
                raise Diverged(f"{asked.key}: it asked for something that nobody decided")
            return known

        context = RunContext(
            run_id=run.id,
            thread_id=run.thread_id,
            thread_title=run.thread_title,
            attempt=run.attempt,
            text=run.message_text,
            origin=run.origin.channel or "a client",
            requested_by=run.requested_by,
            said=said,
            search=search,
            journal=journal,
            ask=ask,
            now_ms=lambda: 0,
            org_id=run.org_id,
            decisions=run.decisions,
            answers=run.answers,
            files=self._files.given(run),
        )
        return context


def _take(output: AgentOutput, telling: Telling, hashes: set[str], found: list[str]) -> None:
    match output:
        case AgentText(text):
            telling.say(text)
        case AgentRewind(chars):
            telling.rewind(chars)
        case AgentFile():
            hashes.add(hashlib.sha256(output.data).hexdigest())
        case AgentAsk() | AgentQuestion():
            found.append(f"{output.key}: it asked for something that nobody decided")
        case _:
            return  # what it costs and how it fares says nothing about what it did
