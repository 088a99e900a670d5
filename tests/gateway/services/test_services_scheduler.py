"""DESIGN.md §3.3: one active run per thread, fair across threads, bounded; cancelled within a second; repaired."""

import asyncio
import time
from collections import deque
from typing import Any, cast

import pytest
from gateway_stage import Frame, Stage, Wire, eventually, until, words

from gateway.clock import Clock
from gateway.services import scheduler as scheduling
from gateway.services.leases import Leases
from gateway.services.scheduler import Capacity, Scheduler
from gateway.settings import RunSettings
from protocol.events import EventKind
from protocol.frames import RawJson
from storage.errors import StoreUnavailable
from storage.run_ports import RunStore
from storage.values import DEFAULT_ORG, ClaimedRun, CommittedEvent, ThreadDeleted


async def a_thread(wire: Wire) -> str:
    thread_id: str = (await wire.call("thread.create"))["thread"]["id"]
    return thread_id


async def send(wire: Wire, thread_id: str, text: str, **more: Any) -> Frame:
    return await wire.call("message.send", thread_id=thread_id, content=words(text), **more)


async def state_of(wire: Wire, run_id: str) -> str:
    state: str = (await wire.call("run.get", run_id=run_id))["run"]["state"]
    return state


async def becomes(wire: Wire, run_id: str, state: str, patience_s: float = 10.0) -> None:
    async def is_so() -> bool:
        return await state_of(wire, run_id) == state

    await eventually(is_so, patience_s)


# --- one at a time, in order, fair -----------------------------------------------------------------


async def test_one_run_of_a_thread_at_a_time_in_the_order_sent(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    sent = [await send(wire, thread_id, f"stream {n} 300") for n in (9, 3, 6, 1)]
    assert [one["queue_position"] for one in sent] == [0, 1, 2, 3]
    await becomes(wire, sent[-1]["run_id"], "completed")
    marks = [
        (event["kind"], event["run_id"])
        for event in await stage.log(thread_id)
        if event["kind"] in ("run.started", "run.completed")
    ]
    assert marks == [(kind, one["run_id"]) for one in sent for kind in ("run.started", "run.completed")]


async def test_threads_run_beside_one_another(wire: Wire) -> None:
    began = time.monotonic()
    sent = [await send(wire, await a_thread(wire), "sleep 0.3") for _ in range(10)]
    for one in sent:
        await becomes(wire, one["run_id"], "completed")
    assert time.monotonic() - began < 2.0


async def test_no_more_runs_at_once_than_allowed(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(concurrent=3, shutdown_s=0))
    wire = await stage.connect()
    sent = [await send(wire, await a_thread(wire), "sleep 0.1") for _ in range(12)]
    most = 0
    while await state_of(wire, sent[-1]["run_id"]) != "completed":
        counts = await stage.store.runs.count_by_state()
        most = max(most, counts.get("running", 0))
    assert most == 3


async def test_a_thread_with_fifty_queued_does_not_starve_the_others(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(concurrent=1, shutdown_s=0))
    wire = await stage.connect()
    busy = await a_thread(wire)
    async with asyncio.timeout(10):
        queued = [await send(wire, busy, "sleep 0.02") for _ in range(50)]
        late = [await send(wire, await a_thread(wire), "say quick") for _ in range(5)]
        for one in late:
            await becomes(wire, one["run_id"], "completed")
        assert await state_of(wire, queued[-1]["run_id"]) == "queued"
        done = [await state_of(wire, one["run_id"]) for one in queued]
    assert done.count("queued") > 20


async def test_more_than_a_thread_may_queue_is_busy_and_nothing_is_stored(stage: Stage) -> None:
    await stage.restart(runs=RunSettings(queue_max=3, shutdown_s=0))
    wire = await stage.connect()
    thread_id = await a_thread(wire)
    for _ in range(3):
        await send(wire, thread_id, "sleep 60")
    before = await stage.log(thread_id)
    refused = await wire.refusal("message.send", thread_id=thread_id, content=words("one more"))
    assert (refused.kind, refused.data["retryable"]) == ("busy", True)
    await until(lambda: stage.gateway.runs.scheduler.active)
    after = [event for event in await stage.log(thread_id) if event["kind"] == "message.created"]
    assert len(after) == len([event for event in before if event["kind"] == "message.created"])


# --- cancel, reject, interrupt ---------------------------------------------------------------------


async def test_a_running_run_is_cancelled_within_a_second(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    run_id = (await send(wire, thread_id, "sleep 600"))["run_id"]
    await becomes(wire, run_id, "running")
    began = time.monotonic()
    answer = await wire.call("run.cancel", run_id=run_id, reason="enough")
    assert answer["run"]["state"] == "cancelled"
    await until(lambda: stage.gateway.runs.scheduler.active == 0, 1.0)
    assert time.monotonic() - began < 1.0
    last = (await stage.log(thread_id))[-1]
    assert (last["kind"], last["data"]["reason"], last["actor"]["kind"]) == (
        "run.cancelled",
        "enough",
        "user",
    )


async def test_a_queued_run_is_cancelled_and_never_starts(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    first = await send(wire, thread_id, "sleep 0.3")
    second = await send(wire, thread_id, "say never")
    third = await send(wire, thread_id, "say third")
    await wire.call("run.cancel", run_id=second["run_id"])
    await becomes(wire, third["run_id"], "completed")
    started = [event["run_id"] for event in await stage.log(thread_id) if event["kind"] == "run.started"]
    assert started == [first["run_id"], third["run_id"]]


async def test_after_a_cancelled_run_the_next_one_starts(wire: Wire) -> None:
    thread_id = await a_thread(wire)
    first = await send(wire, thread_id, "sleep 600")
    second = await send(wire, thread_id, "say next")
    await becomes(wire, first["run_id"], "running")
    await wire.call("run.cancel", run_id=first["run_id"])
    await becomes(wire, second["run_id"], "completed", 2.0)


async def test_what_has_ended_cannot_be_cancelled(wire: Wire) -> None:
    run_id = (await send(wire, await a_thread(wire), "say done"))["run_id"]
    await becomes(wire, run_id, "completed")
    refused = await wire.refusal("run.cancel", run_id=run_id)
    assert (refused.kind, refused.data["state"]) == ("invalid_state", "completed")


async def test_a_stream_that_is_cancelled_says_nothing_more(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    await wire.call("thread.subscribe", thread_id=thread_id)
    run_id = (await send(wire, thread_id, "stream 2000 100"))["run_id"]
    await wire.note(lambda frame: frame["method"] == "delta")
    await wire.call("run.cancel", run_id=run_id)
    await wire.event("run.cancelled")
    wire.notes.clear()
    assert await wire.quiet() == []
    assert "run.completed" not in await stage.kinds(thread_id)
    assert stage.gateway._hub._streams == {}


async def test_on_busy_reject_refuses_while_a_run_is_there(wire: Wire) -> None:
    thread_id = await a_thread(wire)
    first = await send(wire, thread_id, "sleep 600", on_busy="reject")
    refused = await wire.refusal("message.send", thread_id=thread_id, content=words("x"), on_busy="reject")
    assert refused.kind == "busy"
    await wire.call("run.cancel", run_id=first["run_id"])
    await send(wire, thread_id, "say again", on_busy="reject")


async def test_on_busy_interrupt_ends_what_is_ahead(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    ahead = [await send(wire, thread_id, "sleep 600") for _ in range(3)]
    await becomes(wire, ahead[0]["run_id"], "running")
    newest = await send(wire, thread_id, "say at once", on_busy="interrupt")
    assert newest["queue_position"] == 0
    await becomes(wire, newest["run_id"], "completed", 2.0)
    assert [await state_of(wire, one["run_id"]) for one in ahead] == ["cancelled"] * 3


async def test_a_thread_deleted_while_it_runs_stops_at_once(stage: Stage, wire: Wire) -> None:
    thread_id = await a_thread(wire)
    run_id = (await send(wire, thread_id, "sleep 600"))["run_id"]
    await send(wire, thread_id, "say never")
    await becomes(wire, run_id, "running")
    await wire.call("thread.delete", thread_id=thread_id)
    await until(lambda: stage.gateway.runs.scheduler.active == 0, 1.0)
    assert await stage.store.runs.count_by_state() == {"cancelled": 2}
    assert await stage.store.runs.waiting_threads(10) == []


# --- restarts and lost hints -----------------------------------------------------------------------


async def test_what_was_queued_runs_after_a_restart_without_waiting_for_a_sweep(
    stage: Stage, wire: Wire
) -> None:
    threads = [await a_thread(wire) for _ in range(3)]
    sent = [await send(wire, thread_id, "sleep 0.05") for _ in range(6) for thread_id in threads]
    await stage.restart()
    again = await stage.connect()
    async with asyncio.timeout(5):
        for one in sent:
            await becomes(again, one["run_id"], "completed")


async def test_a_lost_hint_is_repaired_by_the_sweep(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "RENEW_S", 0.05)
    await stage.restart()
    wire = await stage.connect()
    monkeypatch.setattr(stage.gateway.runs.scheduler, "_note", lambda event: None)
    sent = await send(wire, await a_thread(wire), "say found")
    await becomes(wire, sent["run_id"], "completed", 2.0)


async def test_a_store_that_takes_no_claim_is_asked_again(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "STORE_RETRY_S", 0.01)
    real, failures = stage.store.runs.claim, iter([True] * 3)

    async def flaky(*args: Any) -> ClaimedRun | None:
        if next(failures, False):
            raise StoreUnavailable("disk full")
        return await real(*args)

    monkeypatch.setattr(stage.store.runs, "claim", flaky)
    sent = await send(wire, await a_thread(wire), "say found")
    await becomes(wire, sent["run_id"], "completed", 2.0)


# --- a scheduler over scripted runs: what a fast machine hides -------------------------------------


class ScriptedRuns:
    """A run store that does what the test says when a claim comes in."""

    def __init__(self) -> None:
        self.queued: dict[str, deque[str]] = {}
        self.on_claim: list[Any] = []
        self.claims: list[str] = []

    async def claim(self, thread_id: str, *args: object) -> ClaimedRun | None:
        self.claims.append(thread_id)
        line = self.queued.get(thread_id)
        run_id = line.popleft() if line else None
        if self.on_claim:
            self.on_claim.pop(0)(run_id)
        await asyncio.sleep(0)
        return cast(ClaimedRun, Claimed(run_id, thread_id)) if run_id else None

    async def abandoned(self, *args: object) -> list[Any]:
        return []

    async def resumable(self, limit: int) -> list[Any]:
        return []

    async def waiting_threads(self, limit: int) -> list[str]:
        return [thread_id for thread_id, line in self.queued.items() if line]

    async def renew_leases(self, *args: object) -> None:
        return None


class Claimed:
    def __init__(self, run_id: str, thread_id: str) -> None:
        self.id = run_id
        self.thread_id = thread_id
        self.agent_id = "demo"


def event(kind: EventKind, thread_id: str, run_id: str) -> CommittedEvent:
    return CommittedEvent(DEFAULT_ORG, thread_id, 1, 1, kind.value, 0, run_id, "", RawJson(b"{}"))


class Driver:
    """Drives runs until it is told to stop."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.cancelled: list[str] = []

    async def drive(self, run: ClaimedRun) -> None:
        self.began.append(run.id)
        try:
            await asyncio.sleep(0.05 if run.id.startswith("short") else 600)
        except asyncio.CancelledError:
            self.cancelled.append(run.id)
            raise


def scripted(runs: ScriptedRuns, driver: Driver, concurrent: int = 4) -> Scheduler:
    return Scheduler(cast(RunStore, runs), driver.drive, Clock(), Leases("me", Clock()), Capacity(concurrent))


async def test_a_run_cancelled_in_the_moment_it_is_claimed_does_not_run_on() -> None:
    """The claim and the cancellation are committed together: the hook hears of both before the claim returns."""
    runs, driver = ScriptedRuns(), Driver()
    scheduler = scripted(runs, driver)
    await scheduler.start()
    runs.queued["thr"] = deque(["run_1", "short_2"])
    runs.on_claim = [
        lambda run_id: scheduler.on_commit([event(EventKind.RUN_CANCELLED, "thr", run_id)]),
    ]
    for run_id in ("run_1", "short_2"):
        scheduler.on_commit([event(EventKind.RUN_QUEUED, "thr", run_id)])
    await until(lambda: "short_2" in driver.began, 1.0)
    assert driver.began in (["short_2"], ["run_1", "short_2"])
    await scheduler.stop(0)


async def test_a_thread_deleted_in_the_moment_it_is_claimed_does_not_run_on() -> None:
    runs, driver = ScriptedRuns(), Driver()
    scheduler = scripted(runs, driver)
    await scheduler.start()
    runs.queued["thr"] = deque(["run_1"])
    runs.on_claim = [lambda run_id: scheduler.on_commit([ThreadDeleted(DEFAULT_ORG, "thr", 1, 1, 0)])]
    scheduler.on_commit([event(EventKind.RUN_QUEUED, "thr", "run_1")])
    await until(lambda: runs.claims and scheduler.active == 0, 1.0)
    assert driver.began == []
    await scheduler.stop(0)


async def test_a_turn_that_breaks_does_not_stop_its_thread_or_others() -> None:
    runs, driver = ScriptedRuns(), Driver()

    async def drive(run: ClaimedRun) -> None:
        if run.id == "broken":
            raise ZeroDivisionError
        await driver.drive(run)

    scheduler = Scheduler(cast(RunStore, runs), drive, Clock(), Leases("me", Clock()), Capacity(1))
    await scheduler.start()
    runs.queued = {"thr": deque(["broken", "short_1"]), "other": deque(["short_2"])}
    for thread_id, run_id in (("thr", "broken"), ("thr", "short_1"), ("other", "short_2")):
        scheduler.on_commit([event(EventKind.RUN_QUEUED, thread_id, run_id)])
    await until(lambda: set(driver.began) == {"short_1", "short_2"}, 2.0)
    await scheduler.stop(0)


async def test_threads_take_turns_in_the_order_they_asked() -> None:
    runs, driver = ScriptedRuns(), Driver()
    scheduler = scripted(runs, driver, concurrent=1)
    await scheduler.start()
    for thread_id in "abc":
        runs.queued[thread_id] = deque(f"short_{thread_id}{number}" for number in range(3))
        for number in range(3):
            scheduler.on_commit([event(EventKind.RUN_QUEUED, thread_id, f"short_{thread_id}{number}")])
    await until(lambda: len(driver.began) == 9, 3.0)
    assert [run_id[-2] for run_id in driver.began] == list("abc" * 3)
    await scheduler.stop(0)


async def test_a_scheduler_that_stops_takes_nothing_more_and_waits_for_what_runs() -> None:
    runs, driver = ScriptedRuns(), Driver()
    scheduler = scripted(runs, driver)
    await scheduler.start()
    runs.queued = {"a": deque(["short_1", "short_2"]), "b": deque(["long_3"])}
    for thread_id, run_id in (("a", "short_1"), ("a", "short_2"), ("b", "long_3")):
        scheduler.on_commit([event(EventKind.RUN_QUEUED, thread_id, run_id)])
    await until(lambda: len(driver.began) == 2)
    await scheduler.stop(0.2)
    assert (set(driver.began), driver.cancelled) == ({"short_1", "long_3"}, ["long_3"])
    assert scheduler.active == 0
