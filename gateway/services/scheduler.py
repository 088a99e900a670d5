"""The scheduler: which run goes next. One active run per thread, fair across threads, bounded in total.

Rows decide, memory only hints: `_line` holds the threads that may have something to do, each once and in the
order they asked, so a thread with a hundred queued runs gets its next turn after everybody else who waits.
Claiming is a transaction that finds out the truth. Hints that got lost are found again by a sweep.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.run_states import TRANSITIONS, RunEvent
from gateway.services.leases import RENEW_S, Leases
from protocol.events import RUN_ENDINGS, EventKind
from protocol.ids import IdPrefix
from storage.budget_values import HeldUp, PlaceFreed
from storage.errors import StoreUnavailable
from storage.run_ports import RunStore
from storage.run_values import AgentFull, RunReady
from storage.values import ClaimedRun, CommittedEvent, FilesSettled, ThreadDeleted

log = structlog.get_logger()

_DECIDED: Final = frozenset({EventKind.APPROVAL_DECIDED, EventKind.APPROVAL_EXPIRED})

SWEEP_LIMIT: Final = 1000
"""Threads one sweep puts in line: the next sweep finds the rest."""
MANY: Final = 1 << 30
"""A sweep knows that a thread has queued runs, not how many: claim until there is none."""
TAKE_OVER_REASON: Final = "the gateway was restarted"
UNDRIVEN_REASON: Final = "its turn broke off"
"""Why a run is continued, as its thread is told."""
STORE_RETRY_S: Final = 1.0
"""Pause before claiming again when the store did not take it."""


def _none() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many turns there may be: in all, and of agents that have a limit of their own, by id. `held` turns only
    wait for a person and count for their agent alone. `versions` are those that runs which begin now are answered by.
    """

    total: int
    limits: Callable[[], Mapping[str, int]] = _none
    versions: Callable[[], Mapping[str, str]] = _none
    held: Callable[[], int] = lambda: 0


class Scheduler:
    """Claims runs and drives them, each in a task of its own."""

    def __init__(
        self,
        runs: RunStore,
        drive: Callable[[ClaimedRun], Awaitable[None]],
        clock: Clock,
        leases: Leases,
        capacity: Capacity,
    ) -> None:
        self._runs = runs
        self._drive = drive
        self._clock = clock
        self._leases = leases
        self._capacity = capacity
        self._running: Counter[str] = Counter()
        """Turns by agent."""
        self._parked: dict[str, dict[str, None]] = {}
        """Threads whose next run waits until its agent, or a budget of runs at the same time, has room; by which."""
        self._full_budgets: set[str] = set()
        self._freed = 0
        """How often a budget had room again."""
        self._claiming = asyncio.Lock()
        """Held by claims while some agent has a limit: two at once would not see each other."""
        self._line: deque[str] = deque()
        self._in_line: set[str] = set()
        self._queued: dict[str, int] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._cancelled: dict[str, set[str]] = {}
        """Runs of busy threads that were cancelled while nobody drove them: one may just be being claimed."""
        self._decided: dict[str, str] = {}
        """Runs of busy threads whose wait is over."""
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def active(self) -> int:
        """Threads being worked on."""
        return len(self._busy)

    @property
    def has_room(self) -> bool:
        """Whether another turn may begin now."""
        return len(self._busy) - self._capacity.held() < self._capacity.total

    @property
    def held_up(self) -> frozenset[str]:
        """Threads whose next run waits for a place of a budget."""
        return frozenset(thread for place in self._full_budgets for thread in self._parked.get(place, ()))

    def running(self, agent_id: str) -> int:
        """Turns of an agent."""
        return self._running[agent_id]

    def is_driven(self, run_id: str) -> bool:
        """Whether a run has a turn here."""
        return run_id in self._driving

    async def start(self) -> None:
        """Take over what an earlier process left, put waiting threads in line, keep the leases."""
        now_ms = self._clock.now_ms()
        for run in await self._runs.abandoned(self._leases.owner, now_ms):
            log.info("taking over a run", action="run_taken_over", run_id=run.id, thread_id=run.thread_id)
            self._spawn(run.thread_id, self._take_over(run.id, run.thread_id))
        await self._find_decided()
        await self._sweep()
        self._keeper = asyncio.create_task(self._keep(), name="scheduler leases")

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: runs that were queued, ended or cancelled, or whose files are here."""
        for signal in signals:
            if isinstance(signal, CommittedEvent):
                self._note(signal)
            elif isinstance(signal, RunReady):
                self._continue(signal.thread_id, signal.run_id)
            elif isinstance(signal, PlaceFreed):
                self._freed += 1
                self._unpark(signal.place)
            elif isinstance(signal, FilesSettled):
                self._queued[signal.thread_id] = (
                    MANY  # those behind the run that waited could not begin either
                )
                self._ask(signal.thread_id)
            elif isinstance(signal, ThreadDeleted):
                self._queued.pop(signal.thread_id, None)
                task = self._busy.get(signal.thread_id)
                if task is not None:
                    task.cancel()

    async def stop(self, deadline_s: float) -> None:
        """Take no more; let turns finish until the deadline, then park the rest for the next start."""
        self._is_stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._busy:
            await asyncio.wait(tuple(self._busy.values()), timeout=deadline_s)
        for task in tuple(self._busy.values()):
            task.cancel()
        await asyncio.gather(*self._busy.values(), *filter(None, [self._keeper]), return_exceptions=True)

    # --- hints --------------------------------------------------------------------------------

    def _note(self, event: CommittedEvent) -> None:
        thread_id = event.thread_id
        if event.kind == EventKind.RUN_QUEUED:
            self._expect(thread_id, 1)
            self._ask(thread_id)
        elif event.kind == EventKind.RUN_CANCELLED and event.run_id is not None:
            self._stop_run(thread_id, event.run_id)
        elif event.kind in _DECIDED and event.run_id is not None:
            self._continue(thread_id, event.run_id)
        elif event.kind == EventKind.RUN_WAITING:
            self._pump()  # its turn may be held: then it leaves its place to another
        elif event.kind in RUN_ENDINGS and thread_id in self._queued:
            self._ask(thread_id)

    def _continue(self, thread_id: str, run_id: str) -> None:
        """What a run waits for was decided; the turn that asked may not have ended yet."""
        if self._is_stopping:
            return
        if thread_id in self._busy:
            self._decided[thread_id] = run_id
        else:
            self._spawn(thread_id, self._resume(run_id, thread_id))

    def _stop_run(self, thread_id: str, run_id: str) -> None:
        """A run was cancelled in the store: end its turn, also one that is just being claimed."""
        if run_id in self._driving:
            self._driving[run_id].cancel()
        elif thread_id in self._busy:
            self._cancelled.setdefault(thread_id, set()).add(run_id)
        else:
            self._expect(thread_id, 1)  # it may have waited for a person, and others behind it
            self._ask(thread_id)

    def _expect(self, thread_id: str, runs: int) -> None:
        if runs > 0:
            self._queued[thread_id] = self._queued.get(thread_id, 0) + runs

    def _ask(self, thread_id: str) -> None:
        if thread_id in self._in_line or thread_id in self._busy:
            return
        self._in_line.add(thread_id)
        self._line.append(thread_id)
        self._pump()

    def _pump(self) -> None:
        while self._line and self.has_room and not self._is_stopping:
            thread_id = self._line.popleft()
            self._in_line.discard(thread_id)
            self._spawn(thread_id, self._work(thread_id))

    def _spawn(self, thread_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"turn {thread_id}")
        self._busy[thread_id] = task
        task.add_done_callback(lambda done: self._done(thread_id, done))

    def _done(self, thread_id: str, task: "asyncio.Task[None]") -> None:
        del self._busy[thread_id]
        self._cancelled.pop(thread_id, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("a turn broke", action="turn_broke", thread_id=thread_id, exc_info=task.exception())
        if self._is_stopping:
            return
        if (run_id := self._decided.pop(thread_id, None)) is not None:
            self._spawn(thread_id, self._resume(run_id, thread_id))
        elif thread_id in self._queued:
            self._ask(thread_id)
        self._pump()

    # --- work ---------------------------------------------------------------------------------

    async def _work(self, thread_id: str) -> None:
        """One turn of a thread: claim its next run, if it has one, and drive it to its end."""
        expected = self._queued.pop(thread_id, 1)  # what is queued from here on is noted anew
        freed = self._freed
        try:
            run = await self._claim(thread_id)
        except StoreUnavailable:
            self._expect(thread_id, expected)
            await asyncio.sleep(STORE_RETRY_S)
            return
        if isinstance(run, AgentFull):
            self._parked.setdefault(run.agent_id, {})[thread_id] = None
        elif isinstance(run, HeldUp):
            if self._freed == freed:
                self._parked.setdefault(run.place, {})[thread_id] = None
                self._full_budgets.add(run.place)
            else:  # perhaps this place, in the same commit: ask again
                self._queued[thread_id] = MANY
        elif run is not None:
            reached("run.claimed")
            self._expect(thread_id, expected - 1)
            await self._drive_run(run)

    async def _claim(self, thread_id: str) -> ClaimedRun | AgentFull | HeldUp | None:
        limits = self._capacity.limits()
        if not limits:
            return await self._claim_unless(thread_id, frozenset())
        async with self._claiming:
            full = frozenset(agent for agent, limit in limits.items() if self._running[agent] >= limit)
            return await self._claim_unless(thread_id, full)

    async def _claim_unless(
        self, thread_id: str, full: frozenset[str]
    ) -> ClaimedRun | AgentFull | HeldUp | None:
        reply_id, versions = self._clock.new_id(IdPrefix.MESSAGE), self._capacity.versions()
        lease = self._leases.now_and_until()
        run = await self._runs.claim(thread_id, self._leases.owner, *lease, reply_id, full, versions)
        if isinstance(run, ClaimedRun):
            self._running[run.agent_id] += 1
        return run

    async def _take_over(self, run_id: str, thread_id: str, reason: str = TAKE_OVER_REASON) -> None:
        while True:
            try:
                lease = self._leases.now_and_until()
                run = await self._runs.take_over(run_id, self._leases.owner, *lease, reason)
                break
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY_S)  # it has nobody else: given up, it would block its thread
        if run is not None:
            reached("run.taken_over")
            self._running[run.agent_id] += 1
            await self._drive_run(run)

    async def _resume(self, run_id: str, thread_id: str) -> None:
        """Go on with a run that waited. Runs that queued behind it have their turn afterwards."""
        while True:
            try:
                move = TRANSITIONS[RunEvent.RESUME]
                lease = self._leases.now_and_until()
                run = await self._runs.resume(run_id, move, self._leases.owner, *lease)
                break
            except StoreUnavailable:
                await asyncio.sleep(STORE_RETRY_S)
        self._queued[thread_id] = MANY
        if run is not None:
            reached("run.resumed")
            self._running[run.agent_id] += 1
            await self._drive_run(run)

    async def _drive_run(self, run: ClaimedRun) -> None:
        """Drive a run that was counted for its agent."""
        task = asyncio.current_task()
        assert task is not None
        try:
            if run.id not in self._cancelled.get(run.thread_id, ()):
                self._driving[run.id] = task
                await self._drive(run)
        finally:
            self._driving.pop(run.id, None)
            self._leave(run.agent_id)

    def _leave(self, agent_id: str) -> None:
        """A turn of an agent is over: one of the threads that wait for the agent may begin."""
        self._running[agent_id] -= 1
        if not self._running[agent_id]:
            del self._running[agent_id]
        self._unpark(agent_id)

    def _unpark(self, place: str) -> None:
        """One of the threads that wait for a place may begin."""
        if (parked := self._parked.get(place)) is not None:
            thread_id = next(iter(parked))
            del parked[thread_id]
            if not parked:
                del self._parked[place]
                self._full_budgets.discard(place)
            self._queued[thread_id] = MANY
            self._ask(thread_id)

    async def _keep(self) -> None:
        """Renew the leases and repair the hints, for as long as the scheduler lives."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._runs.renew_leases(self._leases.owner, self._leases.now_and_until()[1])
                await self._sweep()
                await self._find_undriven()
                await self._find_decided()
            except StoreUnavailable as error:
                log.warning("leases could not be renewed", action="lease_renewal_failed", error=str(error))

    async def _find_undriven(self) -> None:
        """A turn that broke leaves its run running without anybody: take it over, up to its last attempt."""
        for run in await self._runs.running(self._leases.owner, SWEEP_LIMIT):
            if run.id not in self._driving and run.thread_id not in self._busy:
                log.warning("a run had nobody", action="run_undriven", run_id=run.id, thread_id=run.thread_id)
                self._spawn(run.thread_id, self._take_over(run.id, run.thread_id, UNDRIVEN_REASON))

    async def _find_decided(self) -> None:
        """Runs that wait for something that was decided while nobody listened."""
        for run in await self._runs.resumable(SWEEP_LIMIT):
            if run.thread_id not in self._busy:
                self._continue(run.thread_id, run.id)

    async def _sweep(self) -> None:
        for thread_id in await self._runs.waiting_threads(SWEEP_LIMIT):
            self._queued[thread_id] = MANY
            self._ask(thread_id)
