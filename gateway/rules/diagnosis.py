"""Why an unfinished run is where it is: the invariant that each of them is under way, or visibly waits. Pure.

A cause is either something that moves the run by itself (a run ahead of it, a person, its agent at work), or one
that should not last: a run that nothing holds up and nobody drives. The latter is a suspicion while it is new, for
the rows and the process are not looked at in the same instant, and the scheduler's sweeps repair what they find;
what lasts longer is stuck.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.instants import to_instant
from protocol.records import RunFinding, RunState
from storage.run_values import RunProgress

GRACE_MS: Final = 30_000
"""A suspicion this old is certain: three of the scheduler's sweeps, which repair every hint that got lost."""
EXPIRY_GRACE_MS: Final = 150_000
"""After its last moment a question is settled by housekeeping, which comes once a minute."""
TEXT_CHARS: Final = 120
"""Of a question or a step's name in a reason."""
STEPS_NAMED: Final = 3
"""Open steps named in a reason."""


class Cause(enum.Enum):
    """What holds a run where it is."""

    BEHIND = enum.auto()
    FILES = enum.auto()
    AGENT_FULL = enum.auto()
    BUDGET_FULL = enum.auto()
    NO_ROOM = enum.auto()
    NOT_BEGUN = enum.auto()
    ELSEWHERE = enum.auto()
    LEASE_OUT = enum.auto()
    UNDRIVEN = enum.auto()
    SILENT = enum.auto()
    PAUSING = enum.auto()
    IN_STEP = enum.auto()
    ANSWERING = enum.auto()
    WAITING = enum.auto()
    NOT_EXPIRED = enum.auto()
    NOT_RESUMED = enum.auto()


SUSPICIOUS: Final = frozenset(
    {
        Cause.NOT_BEGUN,
        Cause.LEASE_OUT,
        Cause.UNDRIVEN,
        Cause.SILENT,
        Cause.NOT_EXPIRED,
        Cause.NOT_RESUMED,
    }
)
"""Causes that must not last: nothing that is under way ends them."""

Suspicions: TypeAlias = Mapping[tuple[str, Cause], int]
"""Run and cause → when that was first seen, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class AgentStanding:
    """What the process knows of an agent."""

    is_suspended: bool = False
    is_full: bool = False
    is_breaker_open: bool = False
    problem: str | None = None
    silence_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Present:
    """What this process knows at one instant.

    `driven` are the runs that have a turn here, with the seconds since their agent's last sign of life; None: it is
    between two attempts. `held_up` are the threads whose next run a budget of runs at the same time has no place for.
    """

    owner: str
    now_ms: int
    has_room: bool
    driven: Mapping[str, float | None]
    agents: Mapping[str, AgentStanding]
    held_up: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`since_ms` is when it came to this, as far as the rows tell; None when they do not."""

    cause: Cause
    reason: str
    hint: str | None = None
    since_ms: int | None = None


def diagnose(run: RunProgress, present: Present) -> Diagnosis:
    """What holds an unfinished run where it is. Raises ValueError for one that has ended."""
    match run.state:
        case RunState.QUEUED:
            return _queued(run, present)
        case RunState.RUNNING:
            return _running(run, present)
        case RunState.WAITING:
            return _waiting(run, present)
        case ended:
            raise ValueError(f"a run that is {ended} needs no diagnosis")


def finding(run: RunProgress, diagnosis: Diagnosis, suspicions: Suspicions, now_ms: int) -> RunFinding:
    """A diagnosis as it is told. Stuck: suspicious, and that for longer than any repair takes."""
    first_ms = suspicions.get((run.run_id, diagnosis.cause), now_ms)
    is_stuck = diagnosis.cause in SUSPICIOUS and now_ms - first_ms >= GRACE_MS
    since_ms = diagnosis.since_ms if diagnosis.since_ms is not None else min(first_ms, now_ms)
    return RunFinding(
        run_id=run.run_id,
        thread_id=run.thread_id,
        agent_id=run.agent_id,
        state=RunState(run.state),
        is_stuck=is_stuck,
        reason=diagnosis.reason,
        hint=diagnosis.hint,
        since=to_instant(since_ms),
    )


def _queued(run: RunProgress, present: Present) -> Diagnosis:
    agent = present.agents.get(run.agent_id)
    since = run.queued_at_ms
    if run.ahead:
        runs = "another run" if run.ahead == 1 else f"{run.ahead} other runs"
        return Diagnosis(
            Cause.BEHIND, f"It waits behind {runs} of its thread", "Look at the first of them", since
        )
    if run.files_awaited:
        return Diagnosis(Cause.FILES, "The files of its message are still being fetched", None, since)
    if agent is not None and agent.is_full:
        return Diagnosis(
            Cause.AGENT_FULL,
            f"Its agent {run.agent_id} has as many runs as it may",
            "Raise `concurrent` of the agent, or wait",
            since,
        )
    if run.thread_id in present.held_up:
        return Diagnosis(
            Cause.BUDGET_FULL,
            "A budget has as many runs at the same time as it may",
            "threadgate budgets shows which; raise its limit, or wait",
            since,
        )
    if not present.has_room:
        return Diagnosis(
            Cause.NO_ROOM,
            "The gateway has as many runs as it may",
            "Raise `runs.concurrent`, or wait",
            since,
        )
    return Diagnosis(
        Cause.NOT_BEGUN,
        f"It begins next: {_outlook(run.agent_id, agent)}",
        "When it does not begin: threadgate runs cancel, then retry; and report it",
    )


def _outlook(agent_id: str, agent: AgentStanding | None) -> str:
    """What will come of a run when it begins."""
    if agent is None:
        return f"there is no agent {agent_id} any more, so it will fail and say so"
    if agent.is_suspended:
        return f"its agent {agent_id} is suspended, so it will fail and say so"
    if agent.problem is not None:
        return f"its agent {agent_id} cannot answer ({agent.problem}), so it will fail and say so"
    if agent.is_breaker_open:
        return f"its agent {agent_id} failed too often just now, so its fallback answers, or nobody"
    return "nothing holds it up"


def _running(run: RunProgress, present: Present) -> Diagnosis:
    if run.run_id in present.driven and run.lease_owner == present.owner:
        return _driven(run, present)
    lease_ms = run.lease_until_ms or 0
    if lease_ms <= present.now_ms:
        return Diagnosis(
            Cause.LEASE_OUT,
            "Its lease ran out, and nobody has taken it over",
            "Restart the gateway: it takes over what nobody owns",
        )
    if run.lease_owner != present.owner:
        until = to_instant(lease_ms)
        return Diagnosis(Cause.ELSEWHERE, f"Another process of the gateway runs it, by lease until {until}")
    return Diagnosis(
        Cause.UNDRIVEN,
        "This gateway owns it, but nobody drives it",
        "When that lasts: restart the gateway, it takes over the run; and report it",
    )


def _driven(run: RunProgress, present: Present) -> Diagnosis:
    silent_s = present.driven[run.run_id]
    if silent_s is None:
        return Diagnosis(
            Cause.PAUSING, f"It is between two attempts, or its end is being stored (attempt {run.attempt})"
        )
    heard_ms = present.now_ms - round(silent_s * 1000)
    agent = present.agents.get(run.agent_id)
    sign = f"the last sign of life was {silent_s:.0f} s ago"
    if agent is not None and silent_s > agent.silence_s:
        return Diagnosis(
            Cause.SILENT,
            f"Its agent has been silent for longer than the {agent.silence_s:g} s it may be: {sign}",
            "It should have been ended: threadgate runs cancel ends it",
            heard_ms,
        )
    if run.open_steps:
        steps = sorted(run.open_steps, key=lambda step: step[2])
        return Diagnosis(Cause.IN_STEP, f"It is {_named(steps)}; {sign}", None, steps[0][2])
    return Diagnosis(Cause.ANSWERING, f"Its agent is answering; {sign}", None, run.started_at_ms)


def _named(steps: list[tuple[str, str, int]]) -> str:
    """Open steps in words."""
    told = [f"{_cut(name)} ({_cut(key)}) since {to_instant(at)}" for key, name, at in steps[:STEPS_NAMED]]
    more = f" and {len(steps) - STEPS_NAMED} more" if len(steps) > STEPS_NAMED else ""
    return f"in {'the step' if len(steps) == 1 else 'the steps'} {', '.join(told)}{more}"


def _waiting(run: RunProgress, present: Present) -> Diagnosis:
    if not run.waits_for:
        return Diagnosis(
            Cause.NOT_RESUMED,
            "Everything it waited for is settled: it goes on next",
            "When it does not go on: restart the gateway, it resumes the run; and report it",
        )
    what = ", ".join(map(_cut, run.waits_for[:STEPS_NAMED]))
    if len(run.waits_for) > STEPS_NAMED:
        what += f" and {len(run.waits_for) - STEPS_NAMED} more"
    expiry_ms = run.next_expiry_ms
    if expiry_ms is not None and expiry_ms + EXPIRY_GRACE_MS <= present.now_ms:
        return Diagnosis(
            Cause.NOT_EXPIRED,
            f"It waits for {what}, whose time was over at {to_instant(expiry_ms)}",
            "When that lasts: decide it, or cancel the run; and report it",
            expiry_ms,
        )
    until = f" until {to_instant(expiry_ms)}" if expiry_ms is not None else ""
    return Diagnosis(
        Cause.WAITING, f"It waits for {what}{until}", "threadgate approvals list shows decisions"
    )


def _cut(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= TEXT_CHARS else joined[: TEXT_CHARS - 1] + "…"
