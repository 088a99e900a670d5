"""Random sequences of port calls: the store does what the model does, and what it refuses changes nothing."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from store_stage import CHAT, Scene, cancelled, failed, interrupted, open_scene
from thread_model import QUEUE_MAX, STALE, Model, Outcome

from protocol.errors import Fault
from protocol.records import RunState
from storage.errors import StaleFence
from storage.store import DEFAULT_ORG, verify_audit
from storage.values import ClaimedRun, CommittedEvent

THREADS = 2
"""Few, so that much happens in each."""
Held = tuple[str, ClaimedRun, int]
"""A claimed run, with the model's name and fence of it. It may be stale by the time it is used."""


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and the model side by side."""

    threads = Bundle("threads")
    runs = Bundle("runs")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.runner = asyncio.Runner()
        self.model = Model()
        self.told: list[CommittedEvent] = []
        self.made = 0
        self.latest: Held | None = None
        self._open()

    def _open(self) -> None:
        self.opened: AbstractAsyncContextManager[Scene] = open_scene(self.directory)
        self.scene: Scene = self.run(self.opened.__aenter__())
        self.scene._made = self.made

    def _close(self) -> None:
        self.made = self.scene._made
        self.told += self.scene.told(CommittedEvent)
        self.run(self.opened.__aexit__(None, None, None))

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def waiting() -> Any:
            return await awaitable

        return self.runner.run(waiting())

    def expect(self, expected: Outcome, awaitable: Awaitable[Any]) -> Any:
        """What the store does is what the model did."""
        try:
            result = self.run(awaitable)
        except Fault as fault:
            assert fault.kind == expected
        except StaleFence:
            assert expected == STALE
        else:
            assert expected is None
            return result
        return None

    # --- threads ----------------------------------------------------------------------------

    @initialize(target=threads)
    def begin(self) -> str:
        return self.create_thread()

    @precondition(lambda self: len(self.model.threads) < THREADS)
    @rule(target=threads)
    def create(self) -> str:
        return self.create_thread()

    def create_thread(self) -> str:
        thread_id = self.run(self.scene.thread(origin=CHAT))
        self.model.create(thread_id)
        return thread_id

    @rule(
        target=runs,
        thread_id=threads,
        on_busy=st.sampled_from(["queue", "queue", "reject", "interrupt"]),
        restore=st.booleans(),
    )
    def say(self, thread_id: str, on_busy: Any, restore: bool) -> Any:
        return self.say_something(thread_id, on_busy, restore=restore)

    def say_something(self, thread_id: str, on_busy: Any, *, restore: bool) -> Any:
        run_id = self.scene.new_id("run")
        expected = self.model.accept(thread_id, run_id, on_busy, restore=restore)
        self.expect(
            expected,
            self.scene.say(
                f"for {run_id}",
                thread_id,
                run_id=run_id,
                on_busy=on_busy,
                restore_archived=restore,
                queue_max=QUEUE_MAX,
                interrupt=cancelled(notice=self.scene.notice()),
            ),
        )
        return run_id if expected is None else multiple()

    @rule(thread_id=threads, status=st.sampled_from(["archived", "active"]))
    def set_status(self, thread_id: str, status: str) -> None:
        expected = self.model.set_status(thread_id, status)
        store = self.scene.store.threads
        change = store.archive if status == "archived" else store.restore
        self.expect(expected, change(self.scene.act(), thread_id))

    @rule(thread_id=threads, chance=st.integers(0, 5))
    def delete(self, thread_id: str, chance: int) -> None:
        if chance:
            return  # else most sequences end before they become interesting
        expected = self.model.delete(thread_id)
        self.expect(expected, self.scene.store.threads.delete(self.scene.act(), thread_id))

    # --- runs -------------------------------------------------------------------------------

    @rule(target=held, thread_id=threads, is_live=st.booleans())
    def say_and_claim(self, thread_id: str, is_live: bool) -> Any:
        self.say_something(thread_id, "queue", restore=True)
        held = self.claim_next(thread_id)
        if is_live and self.latest is held:
            self.expect(None, self.open_live_of(held[1]))
        return held

    def open_live_of(self, run: ClaimedRun) -> Awaitable[Any]:
        return self.scene.store.outbox.open_live(run, self.scene.new_id("dlv"), self.scene.now_ms)

    @rule(target=held, thread_id=threads)
    def claim(self, thread_id: str) -> Any:
        return self.claim_next(thread_id)

    def claim_next(self, thread_id: str) -> Any:
        started = self.model.claim(thread_id)
        claiming = self.scene.store.runs.claim(
            thread_id, "boot-1", self.scene.now_ms, self.scene.now_ms, self.scene.new_id("msg")
        )
        return self._hold(self.run(claiming), started)

    @rule(target=held, run_id=runs)
    def take_over(self, run_id: str) -> Any:
        taken = run_id if self.model.take_over(run_id) else None
        taking = self.scene.store.runs.take_over(
            run_id, "boot-2", self.scene.now_ms, self.scene.now_ms, "restart"
        )
        return self._hold(self.run(taking), taken)

    def _hold(self, claimed: ClaimedRun | None, expected: str | None) -> Any:
        assert (claimed.id if claimed is not None else None) == expected
        if claimed is None:
            return multiple()
        run = self.model.runs[claimed.id]
        assert (claimed.attempt, claimed.fence, claimed.partial) == (run.attempt, run.fence, run.partial)
        self.latest = (claimed.id, claimed, run.fence)
        return self.latest

    @rule(of=held, fresh=st.booleans(), text=st.sampled_from(["half", "more than half"]))
    def checkpoint(self, of: Held, fresh: bool, text: str) -> None:
        name, claimed, fence = self.latest if fresh and self.latest is not None else of
        expected = self.model.checkpoint(name, fence, text)
        self.expect(expected, self.scene.store.journal.checkpoint(claimed.id, claimed.fence, text))

    @rule(of=held, fresh=st.booleans(), parts=st.integers(0, 2))
    def complete(self, of: Held, fresh: bool, parts: int) -> None:
        name, claimed, fence = self.latest if fresh and self.latest is not None else of
        expected = self.model.complete(name, fence)
        self.expect(expected, self.scene.answer(claimed, parts=self.scene.parts(*["part"] * parts)))

    @rule(
        target=runs,
        of=held,
        fresh=st.booleans(),
        how=st.sampled_from(["failed", "interrupted", "retried", "retried"]),
    )
    def end(self, of: Held, fresh: bool, how: str) -> Any:
        name, claimed, fence = self.latest if fresh and self.latest is not None else of
        retry_id = self.scene.new_id("run") if how == "retried" else None
        state = "failed" if how == "failed" else "interrupted"
        expected = self.model.end(name, fence, state, retry_id)
        ending = failed() if how == "failed" else interrupted(will_retry=retry_id is not None)
        self.expect(expected, self.scene.end(claimed, ending, retry_id))
        return retry_id if expected is None and retry_id is not None else multiple()

    @rule(of=held, fresh=st.booleans())
    def open_live(self, of: Held, fresh: bool) -> None:
        name, claimed, fence = self.latest if fresh and self.latest is not None else of
        expected = None if self.model.runs[name].fence == fence else STALE
        self.expect(expected, self.open_live_of(claimed))

    @rule(run_id=runs)
    def cancel(self, run_id: str) -> None:
        expected = self.model.cancel(run_id)
        ending = cancelled(notice=self.scene.notice())
        self.expect(expected, self.scene.store.runs.cancel(self.scene.act(), run_id, ending))

    @rule(target=runs, run_id=runs)
    def retry(self, run_id: str) -> Any:
        new_id = self.scene.new_id("run")
        expected = self.model.retry(run_id, new_id)
        self.expect(expected, self.scene.store.runs.retry(self.scene.act(), run_id, new_id, QUEUE_MAX))
        return new_id if expected is None else multiple()

    # --- the process ------------------------------------------------------------------------

    @rule(chance=st.integers(0, 3))
    def restart(self, chance: int) -> None:
        if chance:
            return
        self._close()
        self._open()

    # --- what must hold ---------------------------------------------------------------------

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        stored = dict(self.run(self.scene.rows("SELECT id, state FROM runs")))
        assert stored == {name: run.state for name, run in self.model.runs.items()}
        queued = {run.thread_id for run in self.model.runs.values() if run.state == "queued"}
        assert set(self.run(self.scene.store.runs.waiting_threads(100))) == queued
        line = "SELECT thread_id, id FROM runs WHERE ended_at IS NULL ORDER BY state = 'queued', queue_key"
        lines = self.run(self.scene.rows(line))
        for thread_id in self.model.threads:
            in_line = [name for owner, name in lines if owner == thread_id]
            assert in_line == self.model.unfinished(thread_id)
        rows = self.run(self.scene.rows("SELECT id, status FROM threads"))
        assert dict(rows) == {name: thread.status for name, thread in self.model.threads.items()}

    @invariant()
    def an_unwritten_answer_belongs_to_a_run_that_goes_on(self) -> None:
        unwritten = self.run(
            self.scene.rows(
                "SELECT r.state FROM outbox o JOIN runs r ON r.id = o.run_id "
                "WHERE o.content IS NULL AND o.phase NOT IN ('sent', 'failed')"
            )
        )
        assert {state for (state,) in unwritten} <= {"queued", "running"}

    def teardown(self) -> None:
        try:
            self._close()
            self._open()
            self._compare_everything()
        finally:
            self._close()
            self.runner.close()
            shutil.rmtree(self.directory)

    def _compare_everything(self) -> None:
        for thread_id, thread in self.model.threads.items():
            if thread.status != "deleted":
                events = self.run(self.scene.log(thread_id))
                assert [event.kind for event in events] == thread.log
                assert [event.seq for event in events] == list(range(1, len(thread.log) + 1))
                told = [(event.seq, event.kind) for event in self.told if event.thread_id == thread_id]
                assert told == [(event.seq, event.kind) for event in events]
        offsets = [event.offset for event in self.told]
        assert offsets == sorted(set(offsets))
        for name, run in self.model.runs.items():
            stored = self.run(self.scene.store.runs.get(DEFAULT_ORG, name))
            assert (stored.state, stored.attempt) == (RunState(run.state), run.attempt)
        assert verify_audit(self.directory)[1] is None


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStoreModel.pytestmark = [pytest.mark.timeout(120)]
