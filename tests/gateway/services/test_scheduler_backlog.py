"""The scheduler and what an earlier process left behind: a backlog is worked off at once, a hint is not lost."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.clock import Clock
from gateway.services.leases import Leases
from gateway.services.scheduler import Capacity, Scheduler
from protocol.events import EventKind
from protocol.records import Origin, Run, RunState
from storage.errors import StoreUnavailable
from storage.values import ClaimedRun, CommittedEvent

THREAD = "thr_1"
PATIENCE_S = 2.0
"""Far below the ten seconds between two sweeps."""


class Backlog:
    """As much of a RunStore as the scheduler needs: one thread and its queue."""

    def __init__(self, *queued: str, running: str | None = None) -> None:
        self.queued = list(queued)
        self.left_running = running
        self.undriven: str | None = None
        self.failures = 0
        self.after_claim: Callable[[], None] = lambda: None

    async def waiting_threads(self, limit: int) -> list[str]:
        return [THREAD] if self.queued else []

    async def abandoned(self, owner: str, now_ms: int) -> list[Run]:
        return [running(self.left_running)] if self.left_running is not None else []

    async def resumable(self, limit: int) -> list[Run]:
        return []

    async def running(self, owner: str, limit: int) -> list[Run]:
        return [running(self.undriven)] if self.undriven is not None else []

    async def take_over(
        self, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
    ) -> ClaimedRun | None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("full")
        return claimed(run_id)

    async def claim(self, thread_id: str, *claim: object) -> ClaimedRun | None:
        run = claimed(self.queued.pop(0)) if self.queued else None
        self.after_claim()
        return run

    async def renew_leases(self, owner: str, lease_until_ms: int) -> None:
        return


def running(run_id: str) -> Run:
    return Run.model_construct(id=run_id, thread_id=THREAD, state=RunState.RUNNING)


def claimed(run_id: str) -> ClaimedRun:
    return ClaimedRun(
        id=run_id,
        org_id="org",
        thread_id=THREAD,
        agent_id="demo",
        attempt=1,
        fence=1,
        message_text="",
        message_seq=1,
        reply_id="msg",
        partial="",
        thread_title="",
        origin=Origin(kind="client"),
        recovered=False,
    )


class Driven:
    """A scheduler over a backlog, and the runs it drove."""

    def __init__(self, runs: Backlog) -> None:
        self.runs: list[str] = []
        self.scheduler = Scheduler(
            runs,  # type: ignore[arg-type]
            self._drive,
            Clock(),
            Leases("me", Clock()),
            Capacity(4),
        )

    async def _drive(self, run: ClaimedRun) -> None:
        self.runs.append(run.id)

    async def drove(self, *runs: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.runs) < len(runs):  # noqa: ASYNC110 - the scheduler tells nobody
                await asyncio.sleep(0.005)
        assert self.runs == list(runs)


@pytest.fixture
async def drive() -> AsyncIterator[Callable[[Backlog], Driven]]:
    made: list[Driven] = []

    def make(runs: Backlog) -> Driven:
        made.append(Driven(runs))
        return made[-1]

    yield make
    for driven in made:
        await driven.scheduler.stop(0)


async def test_a_backlog_found_at_the_start_is_worked_off_without_another_sweep(
    drive: Callable[[Backlog], Driven],
) -> None:
    driven = drive(Backlog("run_2", "run_3", "run_4", running="run_1"))
    await driven.scheduler.start()
    await driven.drove("run_1", "run_2", "run_3", "run_4")


async def test_a_run_queued_while_an_empty_claim_is_on_its_way_back_is_not_forgotten(
    drive: Callable[[Backlog], Driven],
) -> None:
    runs = Backlog()
    driven = drive(runs)
    await driven.scheduler.start()

    def queue(run_id: str) -> None:
        runs.after_claim = lambda: None
        runs.queued.append(run_id)
        driven.scheduler.on_commit([queued(run_id)])

    runs.after_claim = lambda: queue("run_1")
    driven.scheduler.on_commit([queued("run_0")])  # a hint about a run that somebody cancelled meanwhile
    await driven.drove("run_1")


async def test_taking_over_waits_for_a_store_that_is_full(
    drive: Callable[[Backlog], Driven], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.scheduler.STORE_RETRY_S", 0.01)
    runs = Backlog(running="run_1")
    runs.failures = 2
    driven = drive(runs)
    await driven.scheduler.start()
    await driven.drove("run_1")


async def test_a_run_that_nobody_drives_is_taken_over(
    drive: Callable[[Backlog], Driven], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.services.scheduler.RENEW_S", 0.02)
    runs = Backlog()
    driven = drive(runs)
    await driven.scheduler.start()
    runs.undriven = "run_1"
    async with asyncio.timeout(PATIENCE_S):
        while "run_1" not in driven.runs:  # noqa: ASYNC110 - the scheduler tells nobody
            await asyncio.sleep(0.005)
    assert set(driven.runs) == {"run_1"}


def queued(run_id: str) -> CommittedEvent:
    """The commit of a queued run, as far as the scheduler reads it."""
    event = object.__new__(CommittedEvent)
    for name, value in (("thread_id", THREAD), ("kind", EventKind.RUN_QUEUED), ("run_id", run_id)):
        object.__setattr__(event, name, value)
    return event
