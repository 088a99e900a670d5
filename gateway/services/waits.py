"""What runs wait for: decisions and answers of people. Parked as data, or held while their agent goes on living.

Composes the approvals and questions with what the thread's room shows of them. A parked run has no turn: the
scheduler goes on with it when everything is settled. A held one keeps its turn, and only its fence changes; should
the process end meanwhile, it is a parked one.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from gateway.agents.port import AgentAsk, AgentQuestion, decision_about
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services.approvals import Approvals
from gateway.services.channels import Channels, freeze
from gateway.services.journal import RunJournal
from gateway.services.leases import Leases
from gateway.services.patience import until_stored
from protocol import limits
from protocol.events import EventKind
from protocol.ids import IdPrefix
from storage.errors import StaleFence
from storage.run_ports import RunStore
from storage.run_values import NewQuestion, RunReady
from storage.values import ClaimedRun, CommittedEvent, Decided

log = structlog.get_logger()

_SETTLED: Final = frozenset(
    {EventKind.APPROVAL_DECIDED, EventKind.APPROVAL_EXPIRED, EventKind.APPROVAL_CANCELLED}
)


EXPIRE_AT_ONCE: Final = 100
"""Questions that expire in one transaction."""


class Waits:
    """Parks and holds runs."""

    def __init__(
        self, runs: RunStore, approvals: Approvals, channels: Channels, leases: Leases, clock: Clock
    ) -> None:
        self._runs = runs
        self._approvals = approvals
        self._channels = channels
        self._leases = leases
        self._clock = clock
        self._held: dict[str, asyncio.Event] = {}

    @property
    def held(self) -> int:
        """Turns that only wait for a person."""
        return len(self._held)

    def is_held(self, run_id: str) -> bool:
        """Whether the run's own turn waits for what it asked."""
        return run_id in self._held

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: what a held run waits for may be settled."""
        if not self._held:
            return
        for signal in signals:
            run_id = signal.run_id if isinstance(signal, CommittedEvent | RunReady) else None
            is_settled = isinstance(signal, RunReady) or (
                isinstance(signal, CommittedEvent) and signal.kind in _SETTLED
            )
            if run_id in self._held and is_settled:
                self._held[run_id].set()

    async def park(
        self,
        run: ClaimedRun,
        asks: Sequence[AgentAsk],
        questions: Sequence[AgentQuestion],
        text: str,
        life_s: float,
    ) -> None:
        """The run waits until all of these are settled. At least one. Raises StaleFence."""
        approvals = [self._approvals.compose(run, ask, life_s) for ask in asks]
        asked = [self._question(run, question, life_s) for question in questions]
        move = TRANSITIONS[RunEvent.WAIT]
        reached("approval.before_ask")
        await until_stored(
            lambda: self._runs.wait(run, move, approvals, asked, text, self._clock.now_ms()), "wait", run.id
        )
        reached("approval.after_ask")

    async def hold(self, journal: RunJournal, ask: AgentAsk, text: str, life_s: float) -> Decided:
        """Ask, and wait here for the decision. Raises StaleFence when the run ended or has another owner now."""
        run = journal.run
        self._held[run.id] = settled = asyncio.Event()
        try:
            await self.park(run, [ask], [], text, life_s)
            while True:
                await settled.wait()
                settled.clear()
                resumed = await until_stored(lambda: self._resume(run.id), "wait", run.id)
                if resumed is not None:
                    break
                if (await self._runs.get(run.org_id, run.id)).waiting_for is None:
                    raise StaleFence(f"run {run.id} does not wait any more")
        finally:
            del self._held[run.id]
        journal.run = resumed
        decided = decision_about(ask, resumed.decisions)
        assert decided is not None, "a run goes on when all it asked for is settled"
        return decided

    async def may_act(self, run: ClaimedRun, decided: Decided) -> bool:
        """Whether a decision is good for an act now: a denial stands, leave is used up by this. Raises StaleFence."""
        if not decided.approved:
            return True
        return await until_stored(lambda: self._approvals.use(run, decided), "leave", run.id)

    async def expire(self) -> None:
        """Settle questions that nobody answered in time."""
        while await self._runs.expire_questions(self._clock.now_ms(), EXPIRE_AT_ONCE) == EXPIRE_AT_ONCE:
            pass

    async def _resume(self, run_id: str) -> ClaimedRun | None:
        move = TRANSITIONS[RunEvent.RESUME]
        return await self._runs.resume(run_id, move, self._leases.owner, *self._leases.now_and_until())

    def _question(self, run: ClaimedRun, question: AgentQuestion, life_s: float) -> NewQuestion:
        new = NewQuestion(
            id=self._clock.new_id(IdPrefix.QUESTION),
            key=question.key,
            prompt=question.prompt[: limits.TEXT_CHARS],
            expires_at_ms=self._clock.now_ms() + round(life_s * 1000),
        )
        place = self._channels.of(run.origin)
        if place is None:
            return new
        adapter, room = place
        shown = freeze(adapter.render(new.prompt, room)[0])
        return NewQuestion(
            new.id, new.key, new.prompt, new.expires_at_ms, self._clock.new_id(IdPrefix.DELIVERY), shown
        )
