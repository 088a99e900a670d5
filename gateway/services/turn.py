"""A turn: drives one attempt of one run from its claim to its end.

The agent's pieces go to followers as deltas, to the room as a live message, and about every half second into
the journal, so that a restart can go on behind them. The end is one transaction. A turn never decides that a
run vanished: it ends in an answer, a visible error, or stays `running` for the next start to take over.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.agents.port import (
    AgentAdapter,
    AgentAsk,
    AgentFailure,
    AgentFile,
    AgentText,
    AgentUsage,
    RunContext,
)
from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.hub.hub import Hub
from gateway.hub.streams import Stream
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services import answer_files
from gateway.services.answer_files import AnswerFiles
from gateway.services.approvals import Approvals
from gateway.services.channels import Channels, freeze
from gateway.services.composing import TAKEN_BACK, Composer
from gateway.services.live import LiveMessage, LiveMessages
from gateway.services.receipts import Receipts
from protocol import limits
from protocol.errors import Fault
from protocol.ids import IdPrefix
from protocol.records import Usage
from storage.errors import StaleFence, StoreUnavailable
from storage.ports import RunStore, ThreadStore
from storage.values import BlobRow, ClaimedRun, Ending, Outbound, Said

log = structlog.get_logger()

STORE_RETRY_S: Final = 1.0
"""Pause before writing an ending again when the store did not take it."""
RENDER_HERE_CHARS: Final = 8_000
"""Longer answers are rendered in a thread: a large list takes tens of milliseconds, which the loop has not."""
NO_ANSWER: Final = "*No answer.*"
"""What a room shows when the agent had nothing to say."""


class Turns:
    """Drives claimed runs; `drive` is what the scheduler calls."""

    def __init__(
        self,
        runs: RunStore,
        threads: ThreadStore,
        agents: Agents,
        hub: Hub,
        live: LiveMessages,
        receipts: Receipts,
        channels: Channels,
        composer: Composer,
        approvals: Approvals,
        files: AnswerFiles,
        clock: Clock,
        *,
        attempts_max: int,
        timeout_s: float,
    ) -> None:
        self._runs = runs
        self._threads = threads
        self._agents = agents
        self._hub = hub
        self._live = live
        self._receipts = receipts
        self._channels = channels
        self._composer = composer
        self._approvals = approvals
        self._files = files
        self._clock = clock
        self._attempts_max = attempts_max
        self._timeout_s = timeout_s

    async def drive(self, run: ClaimedRun) -> None:
        """Drive a run to its end. Cancelling it leaves the run to whoever cancelled or will take over."""
        self._receipts.begin(run)
        try:
            agent = self._agents.get(run.agent_id)
        except Fault as fault:
            await self._end(run, self._composer.failed("unknown_agent", fault.message, run.origin))
            return
        if run.is_taken_back:
            await self._end(run, self._composer.cancelled(TAKEN_BACK, run.origin, run.partial))
        elif run.attempt > self._attempts_max:
            reason = f"it was started {self._attempts_max} times and never finished"
            await self._end(run, self._composer.failed("gave_up", reason, run.origin, run.partial))
        elif run.recovered and not agent.can_continue:
            await self._interrupt(run, agent)
        else:
            await self._attempt(run, agent)

    async def _attempt(self, run: ClaimedRun, agent: AgentAdapter) -> None:
        stream = self._hub.open_stream(run.thread_id, run.id, run.reply_id, run.partial)
        live = self._live.open(run)
        journal = _Journal(self._runs, run)
        try:
            ending = await self._answer(run, agent, stream, live, journal)
            stream.flush()
            live.stop()
            await journal.settle()
            if ending is None:
                await self._complete(run, stream.text, journal)
            elif isinstance(ending, AgentAsk):
                await self._wait_for_decision(run, ending, stream.text)
            else:
                await self._end(run, ending)
        except asyncio.CancelledError:
            live.stop()
            await journal.park(stream.text)
            raise
        except StaleFence:
            log.info("the run is no longer ours", action="run_lost", run_id=run.id)
        finally:
            live.stop()
            self._hub.close_stream(stream)

    async def _answer(
        self, run: ClaimedRun, agent: AgentAdapter, stream: Stream, live: LiveMessage, journal: "_Journal"
    ) -> Ending | AgentAsk | None:
        """Let the agent speak; None when it said all, else how the run ends or what it waits for."""
        context = self._context(run)
        try:
            async with asyncio.timeout(self._timeout_s):
                async for output in agent.answer(context):
                    if isinstance(output, AgentText):
                        if stream.chars + len(output.text) > limits.TEXT_CHARS:
                            reason = f"the answer is longer than {limits.TEXT_CHARS} characters"
                            return self._composer.failed("too_large", reason, run.origin, stream.text)
                        output.text.encode()  # raises here, where it is answered for, what nobody could store
                        stream.push(output.text)
                        live.update(stream)
                        journal.note(stream, asyncio.get_running_loop().time())
                    elif isinstance(output, AgentFile):
                        journal.files.append(await self._files.keep(run, output, journal.files))
                    elif isinstance(output, AgentUsage):
                        journal.add(output.usage)
                    else:
                        return output
        except AgentFailure as failure:
            return self._composer.failed(failure.kind, str(failure), run.origin, stream.text)
        except TimeoutError:
            reason = f"no complete answer within {self._timeout_s:g} s"
            return self._composer.failed("timeout", reason, run.origin, stream.text)
        except StaleFence:
            raise
        except Exception:
            incident = self._clock.new_id(IdPrefix.INCIDENT)
            log.exception("an agent broke", action="agent_broke", run_id=run.id, incident=incident)
            reason = f"an internal error ({incident})"
            return self._composer.failed("internal", reason, run.origin, stream.text)
        return None

    def _context(self, run: ClaimedRun) -> RunContext:
        async def said(limit: int) -> list[Said]:
            return await self._threads.said(run.thread_id, run.message_seq, limit)

        return RunContext(
            run_id=run.id,
            thread_id=run.thread_id,
            thread_title=run.thread_title,
            attempt=run.attempt,
            text=run.message_text,
            partial=run.partial,
            origin=run.origin.channel or "a client",
            said=said,
            decisions=run.decisions,
            files=self._files.given(run),
        )

    # --- endings: each is written until the store takes it ------------------------------------

    async def _complete(self, run: ClaimedRun, text: str, journal: "_Journal") -> None:
        usage, parts = journal.usage, await self._parts(run, text, journal.files)
        move = TRANSITIONS[RunEvent.COMPLETE]
        while True:
            try:
                reached("run.before_complete")
                await self._runs.complete(run, move, self._clock.now_ms(), text, usage, parts)
                return reached("run.after_complete")
            except StoreUnavailable as error:
                await self._store_failed(run, error)

    async def _wait_for_decision(self, run: ClaimedRun, ask: AgentAsk, text: str) -> None:
        new = self._approvals.compose(run, ask)
        while True:
            try:
                reached("approval.before_ask")
                await self._approvals.ask(run, new, text)
                return reached("approval.after_ask")
            except StoreUnavailable as error:
                await self._store_failed(run, error)

    async def _end(self, run: ClaimedRun, ending: Ending, retry_id: str | None = None) -> None:
        while True:
            try:
                return await self._runs.end(run, ending, self._clock.now_ms(), retry_id)
            except StoreUnavailable as error:
                await self._store_failed(run, error)

    async def _interrupt(self, run: ClaimedRun, agent: AgentAdapter) -> None:
        retry = agent.retries_interrupted
        reason = "the gateway was restarted"
        ending = self._composer.interrupted(reason, run.origin, run.partial, will_retry=retry)
        await self._end(run, ending, self._clock.new_id(IdPrefix.RUN) if retry else None)

    async def _store_failed(self, run: ClaimedRun, error: StoreUnavailable) -> None:
        log.warning("an ending waits for the store", action="ending_waits", run_id=run.id, error=str(error))
        await asyncio.sleep(STORE_RETRY_S)

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


class _Journal:
    """The journal of one turn: checkpoints of the text, one at a time, its files and what the answer cost."""

    def __init__(self, runs: RunStore, run: ClaimedRun) -> None:
        self.usage = Usage()
        self.files: list[BlobRow] = list(run.answer_files)
        self._runs = runs
        self._run = run
        self._writing: asyncio.Task[None] | None = None
        self._written_at = asyncio.get_running_loop().time()

    def add(self, usage: Usage) -> None:
        """Add to what the answer cost."""
        self.usage = Usage(
            input_tokens=self.usage.input_tokens + usage.input_tokens,
            output_tokens=self.usage.output_tokens + usage.output_tokens,
            cost_microusd=self.usage.cost_microusd + usage.cost_microusd,
        )

    def note(self, stream: Stream, now: float) -> None:
        """Checkpoint the text when the last time is long enough ago. Raises StaleFence of the one before."""
        if self._writing is not None and self._writing.done():
            writing, self._writing = self._writing, None
            writing.result()
        if self._writing is None and now - self._written_at >= limits.CHECKPOINT_INTERVAL_S:
            self._written_at = now
            self._writing = asyncio.create_task(self._write(stream.text), name=f"checkpoint {self._run.id}")

    async def settle(self) -> None:
        """Wait for the checkpoint being written. Raises StaleFence."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def park(self, text: str) -> None:
        """The turn is being cancelled: journal the text once more if the run is still ours."""
        if self._writing is not None:
            self._writing.cancel()
        try:
            await self._write(text)
        except StaleFence:
            return  # it was cancelled by somebody, not parked

    async def _write(self, text: str) -> None:
        try:
            await self._runs.checkpoint(self._run.id, self._run.fence, text)
            reached("run.checkpointed")
        except StoreUnavailable as error:
            log.warning(
                "a checkpoint was not taken",
                action="checkpoint_failed",
                run_id=self._run.id,
                error=str(error),
            )
