"""What services may ask of the store about runs: their life, their journal, what they wait for.

Every method is one transaction. Raises StoreUnavailable when the disk does not take it, and StaleFence where a
run is written that has another owner now. The other ports are in `ports.py`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from protocol.frames import RawJson
from protocol.records import Actor, Run, RunState, RunStep, Usage
from storage.budget_values import HeldUp, OverBudget
from storage.run_values import (
    AgentFull,
    Facts,
    NewQuestion,
    NewStep,
    Repetition,
    RunProgress,
    Steered,
    StepEnd,
    StepRow,
)
from storage.values import Act, ClaimedRun, Ending, Move, NewApproval, Notice, Outbound


class RunStore(Protocol):
    """Runs: claiming, ending, and what operators see of them."""

    async def get(self, org_id: str, run_id: str) -> Run:
        """One run. Raises Fault not_found."""
        ...

    async def page(
        self, org_id: str, thread_id: str | None, state: RunState | None, limit: int, cursor: str | None
    ) -> tuple[list[Run], str | None]:
        """A page, newest first."""
        ...

    async def waiting_threads(self, limit: int) -> list[str]:
        """Threads that have queued runs (a hint for the scheduler, in no particular order)."""
        ...

    async def claim(
        self,
        thread_id: str,
        owner: str,
        now_ms: int,
        lease_until_ms: int,
        reply_id: str,
        full: frozenset[str] = frozenset(),
        versions: Mapping[str, str] = MappingProxyType({}),
    ) -> ClaimedRun | AgentFull | HeldUp | None:
        """Start the thread's next queued run; None when it has none or one is active already.

        Agents that are `full` start nothing, nor do runs for which a budget has no place at the same time: then
        nothing changes, and the answer says what it waits for. A run that may not be answered, because a budget is
        used up or its agent switched off, is started with its `refusal`. The run's
        record says which of the `versions` of its agent, by id, began to answer it.
        """
        ...

    async def abandoned(self, owner: str, now_ms: int) -> list[Run]:
        """Running runs that no living owner holds."""
        ...

    async def running(self, owner: str, limit: int) -> list[Run]:
        """Running runs that `owner` holds, in no particular order."""
        ...

    async def take_over(
        self, run_id: str, owner: str, now_ms: int, lease_until_ms: int, reason: str
    ) -> ClaimedRun | None:
        """Continue an abandoned run (event run.resumed); None when it is not running any more."""
        ...

    async def resumable(self, limit: int) -> list[Run]:
        """Waiting runs for which everything they asked for is there."""
        ...

    async def resume(
        self, run_id: str, move: Move, owner: str, now_ms: int, lease_until_ms: int
    ) -> ClaimedRun | None:
        """Continue a waiting run (event run.resumed); None when it does not wait any more, or still must."""
        ...

    async def renew_leases(self, owner: str, lease_until_ms: int) -> None:
        """Keep what `owner` holds."""
        ...

    async def note(self, run: ClaimedRun, facts: Facts) -> None:
        """Add to the run's facts. Raises StaleFence."""
        ...

    async def wait(
        self,
        run: ClaimedRun,
        move: Move,
        approvals: Sequence[NewApproval],
        questions: Sequence[NewQuestion],
        text: str,
        now_ms: int,
    ) -> None:
        """Park the run with what it has said so far, until all of these are settled. At least one.

        Raises StaleFence.
        """
        ...

    async def complete(
        self,
        run: ClaimedRun,
        move: Move,
        now_ms: int,
        text: str,
        usage: Usage,
        parts: Sequence[Outbound],
        journal_hash: str,
    ) -> None:
        """The answer, its deliveries, usage, seal and audit entry in one. Raises StaleFence.

        `usage` is what belongs to no step. What was said to the run and not taken is queued as runs of their own,
        here and wherever else a run ends.
        """
        ...

    async def end(
        self,
        run: ClaimedRun,
        ending: Ending,
        now_ms: int,
        repetition: Repetition | None = None,
        usage: Usage | None = None,
    ) -> None:
        """A run that fails or is interrupted; `repetition` queues the run that takes its place. Raises StaleFence."""
        ...

    async def cancel(self, act: Act, run_id: str, ending: Ending) -> RawJson:
        """Cancel whatever the run is doing; a run that ended already is invalid_state. Returns a RunResult."""
        ...

    async def retry(self, act: Act, run_id: str, new_run_id: str, queue_max: int) -> RawJson:
        """Queue a new run with the same input; only for a run that ended. Returns a RunResult."""
        ...

    async def recorded(self, org_id: str, run_id: str) -> ClaimedRun:
        """A completed run as its last attempt saw it, for executing it again; `partial` is the whole answer.

        Raises Fault not_found, and invalid_state for a run that was not completed.
        """
        ...

    async def count_by_state(self) -> dict[str, int]:
        """Runs per state, for metrics."""
        ...

    async def progress(self, org_id: str, run_id: str | None, limit: int) -> list[RunProgress]:
        """Unfinished runs, oldest first, with what is known of their progress; of one run, when it is given.

        Raises Fault not_found for an unknown run; one that has ended is no progress.
        """
        ...

    async def expire_questions(self, now_ms: int, limit: int) -> int:
        """Settle questions that nobody answered in time, a bounded number at once; returns how many."""
        ...


class JournalStore(Protocol):
    """The journal of runs: steps, recorded before their effect and closed after."""

    async def checkpoint(self, run_id: str, fence: int, text: str) -> None:
        """Journal the answer as far as it is known. Raises StaleFence."""
        ...

    async def open(self, run: ClaimedRun, step: NewStep, now_ms: int) -> StepRow | OverBudget:
        """Open a step, or open it again in this attempt when it is open and repeatable; returns it.

        What it takes of budgets is reserved; when one of them has no room for it, nothing is opened and that is the
        answer.

        A closed one is returned as it is. One that is open and not repeatable is returned unchanged, with the attempt
        it was begun in. The first opening of a tool step is told (tool.started). Raises StaleFence.
        """
        ...

    async def close(self, run: ClaimedRun, end: StepEnd, now_ms: int) -> None:
        """Record how an open step ended and what it cost; a tool step is told (tool.finished). Raises StaleFence."""
        ...

    async def allow_repeat(self, run: ClaimedRun, key: str) -> None:
        """A person decided that a step of unknown outcome may be done again, once. Raises StaleFence."""
        ...

    async def steps(self, run_id: str) -> list[StepRow]:
        """All steps but the reply, in order."""
        ...

    async def read(self, org_id: str, run_id: str, limit_bytes: int) -> list[RunStep]:
        """All steps as they are shown; requests and results longer than that are cut to their digest.

        Raises Fault not_found.
        """
        ...

    async def take_steers(self, run: ClaimedRun, key: str, now_ms: int) -> tuple[Steered, ...]:
        """What was said to the run meanwhile and not taken yet, recorded as a closed step `key`; again, the same.

        Nothing waiting: no step is made and nothing returned. Raises StaleFence.
        """
        ...


class HandoverStore(Protocol):
    """Threads that people take over."""

    async def assign(
        self,
        act: Act,
        thread_id: str,
        assignee: Actor | None,
        agent_id: str | None,
        notice: Notice | None,
        ending: Ending | None = None,
        note: str = "",
    ) -> RawJson:
        """Hand a thread to a person, or with None back to its agent, or to another one; returns a ThreadResult.

        `notice` tells the thread's room. An event (thread.updated) and an audit entry, which keeps the `note`, go
        with it; with `ending` its unfinished runs end. Nothing changes when it is so already. Raises Fault not_found.
        """
        ...

    async def speak(
        self, act: Act, thread_id: str, message_id: str, run_id: str, text: str, parts: Sequence[Outbound]
    ) -> RawJson:
        """The assignee of a thread answers in it, instead of its agent; returns a MessageSendResult.

        The answer is a message with role assistant of a run that is completed at once. Raises Fault.
        """
        ...
