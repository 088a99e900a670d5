"""A turn: drives a claimed run from here to its end, or to where it waits for a person.

    refused? ── unknown steps? ──▶ attempt ──complete──▶ ended, sealed
                    │                │ ▲ └──asks──▶ parked, until it is settled
                    └──▶ parked      │ └── failed, may pass, retries left ── pause ┐
                                     └── failed ──▶ another agent, or ended       ◀┘

A turn never decides that a run vanished: it ends in an answer, a visible error, or a wait, or it stays `running`
for the next start to take over. How one attempt goes is in `answering.py`, what is written in `endings.py`.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import structlog

from gateway.agent_settings import AgentSettings
from gateway.agents.port import AgentAdapter, AgentAsk, AgentFailure, decision_about
from gateway.agents.registry import Agents
from gateway.clock import Clock
from gateway.hub.hub import Hub
from gateway.rules.retry import backoff_s
from gateway.rules.telling import Telling
from gateway.services.answering import Answering, Attempted, Complete, Speaking, Waiting
from gateway.services.breakers import AgentBreakers
from gateway.services.composing import TAKEN_BACK
from gateway.services.endings import Endings
from gateway.services.journal import Checkpoints, RunJournal
from gateway.services.live import LiveMessages
from gateway.services.outgoing import Outgoing, Said, wishes
from gateway.services.receipts import Receipts
from gateway.services.steering import Steering
from gateway.services.unknown_steps import ask_about, why_skipped
from gateway.services.waits import Waits
from protocol.errors import Fault
from storage.errors import StaleFence
from storage.run_ports import JournalStore
from storage.values import ClaimedRun

log = structlog.get_logger()

RETRY_LAST_S: Final = 30.0
"""The longest pause before an attempt is made again, whatever a provider asks for: longer waits are an error."""
RESTARTED: Final = "the gateway was restarted"


class Turns:
    """Drives claimed runs; `drive` is what the scheduler calls."""

    def __init__(
        self,
        journal: JournalStore,
        agents: Agents,
        answering: Answering,
        endings: Endings,
        waits: Waits,
        breakers: AgentBreakers,
        hub: Hub,
        live: LiveMessages,
        receipts: Receipts,
        steering: Steering,
        outgoing: Outgoing,
        state_of: Callable[[AgentSettings], str],
        clock: Clock,
        *,
        attempts_max: int,
        has_budgets: bool = False,
    ) -> None:
        self._journal = journal
        self._agents = agents
        self._answering = answering
        self._endings = endings
        self._waits = waits
        self._breakers = breakers
        self._hub = hub
        self._live = live
        self._receipts = receipts
        self._steering = steering
        self._outgoing = outgoing
        self._state_of = state_of
        self._clock = clock
        self._attempts_max = attempts_max
        self._has_budgets = has_budgets

    async def drive(self, run: ClaimedRun) -> None:
        """Drive a run. Cancelling it leaves the run to whoever cancelled or will take over."""
        self._receipts.begin(run)
        try:
            await self._drive(run)
        except StaleFence:
            log.info("the run is no longer ours", action="run_lost", run_id=run.id)

    async def _drive(self, run: ClaimedRun) -> None:
        if run.is_taken_back:
            return await self._endings.cancel(run, TAKEN_BACK)
        if run.refusal is not None:
            return await self._endings.fail(run, run.refusal.kind, run.refusal.reason, run.partial)
        if run.attempt > self._attempts_max:
            reason = f"it was started {self._attempts_max} times and never finished"
            return await self._endings.fail(run, "gave_up", reason, run.partial)
        with ExitStack() as stack:
            try:
                agent = stack.enter_context(self._agents.use(run.agent_id))
            except Fault as fault:
                return await self._endings.fail(run, "unknown_agent", fault.message)
            refusal = _refusal(run, agent, self._state_of(agent.settings)) or self._outgoing.refusal(run)
            if refusal is not None:
                await self._endings.fail(run, refusal.kind, str(refusal))
            elif run.recovered and agent.recovery == "interrupt":
                await self._endings.interrupt(run, agent, RESTARTED)
            else:
                await self._speak(run, agent)

    async def _speak(self, run: ClaimedRun, agent: AgentAdapter) -> None:
        is_withheld = self._outgoing.is_withheld(run)
        shown = "" if is_withheld else run.partial
        stream = self._hub.open_stream(run.thread_id, run.id, run.reply_id, shown)
        journal = RunJournal(
            self._journal,
            run,
            self._clock,
            self._steering,
            wishes(run.decisions),
            has_budgets=self._has_budgets,
        )
        live = self._live.open(run)
        speaking = Speaking(
            journal,
            stream,
            live,
            Checkpoints(journal),
            Telling(shown),
            list(run.answer_files),
            is_withheld=is_withheld,
        )
        is_first = run.attempt == 1 and not run.decisions and not run.answers
        try:
            outcome = await self._attempts(agent, speaking, is_first=is_first)
            stream.flush()
            live.stop()
            await speaking.settle()
            await self._conclude(agent, speaking, outcome)
        except asyncio.CancelledError:
            live.stop()
            speaking.drop()
            await _park(journal, stream.text)
            raise
        finally:
            live.stop()
            self._hub.close_stream(stream)
            self._steering.take(run.id)

    async def _attempts(self, agent: AgentAdapter, speaking: Speaking, *, is_first: bool) -> Attempted:
        """Attempt it, again after failures that may pass. Raises StaleFence."""
        try:
            return await self._attempt_all(agent, speaking, is_first)
        finally:
            self._breakers.given_up(agent.settings.id)  # a probe that ended before its agent was heard

    async def _attempt_all(self, agent: AgentAdapter, speaking: Speaking, is_first: bool) -> Attempted:
        agent_id, settings = agent.settings.id, agent.settings
        for number in range(settings.retries + 1):
            wait_s = self._breakers.admit(agent_id)
            if wait_s > 0:
                text = f"{settings.name or agent_id} failed too often just now; it is tried again in {wait_s:.0f} s"
                return AgentFailure("agent_unavailable", text, passes=True)
            asks = [] if is_first and number == 0 else await self._settle_unknown(speaking)
            if asks:
                return Waiting(asks, ())
            outcome = await self._answering.attempt(agent, speaking)
            if not isinstance(outcome, AgentFailure) or not outcome.passes:
                self._breakers.answered(agent_id)
                return outcome
            if outcome.is_agents_fault:
                self._breakers.failed(agent_id, speaking.run.id)
            pause_s = self._pause_s(outcome, number)
            if number == settings.retries or pause_s > RETRY_LAST_S:
                return outcome
            log.info(
                "an attempt is made again",
                action="attempt_retried",
                run_id=speaking.run.id,
                kind=outcome.kind,
                pause_s=pause_s,
            )
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returned")

    async def _settle_unknown(self, speaking: Speaking) -> list[AgentAsk]:
        """Apply what people decided about steps of unknown outcome; returns what still has to be asked."""
        asks = []
        for row in await speaking.journal.load():
            ask = ask_about(row)
            decided = decision_about(ask, speaking.run.decisions)
            if decided is None:
                asks.append(ask)
            elif decided.approved:
                await speaking.journal.allow_repeat(row.key)
            else:
                await speaking.journal.skip(row.key, why_skipped(decided))
        return asks

    def _pause_s(self, failure: AgentFailure, number: int) -> float:
        if failure.retry_after_s is not None:
            return failure.retry_after_s
        return backoff_s(number, self._clock.chance())

    async def _conclude(self, agent: AgentAdapter, speaking: Speaking, outcome: Attempted) -> None:
        run, said = speaking.run, speaking.shown
        if isinstance(outcome, Complete):
            outcome = self._judged(speaking)
        match outcome:
            case Complete():
                await self._endings.complete(speaking)
            case Waiting(asks, questions):
                life_s = agent.settings.wait_timeout_s
                await self._waits.park(run, asks, questions, speaking.stream.text, life_s)
            case AgentFailure() as failure:
                fallback = agent.settings.fallback
                if failure.passes and fallback is not None:
                    reason = f"{agent.settings.id} cannot answer ({failure}); {fallback} does"
                    await self._endings.hand_over(run, fallback, reason, speaking.usage)
                else:
                    await self._endings.fail(run, failure.kind, str(failure), said, speaking.usage)

    def _judged(self, speaking: Speaking) -> Attempted:
        """What the policies make of a complete answer."""
        said = Said(speaking.telling.text, speaking.files)
        found = self._outgoing.judge(speaking.run, said, speaking.journal.tool_names)
        if isinstance(found, AgentAsk):
            return Waiting([found], ())
        return found or Complete()


def _refusal(run: ClaimedRun, agent: AgentAdapter, state: str) -> AgentFailure | None:
    """Why an agent in this state may not answer this."""
    name = agent.settings.name or agent.settings.id
    if state == "suspended":
        return AgentFailure("agent_suspended", f"{name} is suspended")
    if state == "draft" and run.origin.channel is not None:
        return AgentFailure("agent_suspended", f"{name} is not released yet")
    return None


async def _park(journal: RunJournal, text: str) -> None:
    """The turn is being cancelled: journal the text once more if the run is still ours."""
    try:
        await journal.checkpoint(text)
    except StaleFence:
        return  # it was cancelled by somebody, not parked
