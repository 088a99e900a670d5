"""Diagnosis of runs: each unfinished run has a reason to be where it is, and what nothing moves is stuck."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.diagnosis import (
    EXPIRY_GRACE_MS,
    GRACE_MS,
    SUSPICIOUS,
    AgentStanding,
    Cause,
    Present,
    diagnose,
    finding,
)
from protocol.instants import to_instant
from storage.run_values import RunProgress

NOW = 1_790_000_000_000
OURS = "epc_ours"
MINUTE = 60_000


def queued(**told: Any) -> RunProgress:
    nothing: dict[str, Any] = {"started_at_ms": None, "lease_owner": None, "lease_until_ms": None}
    made = RunProgress(
        "run_1", "thr_1", "ada", "queued", 0, NOW - MINUTE, ahead=0, files_awaited=False, **nothing
    )
    return replace(made, **told)


def running(**told: Any) -> RunProgress:
    leased = {"lease_owner": OURS, "lease_until_ms": NOW + 20_000, "started_at_ms": NOW - MINUTE}
    return queued(**{"state": "running", "attempt": 1, **leased, **told})


def waiting(**told: Any) -> RunProgress:
    return queued(**{"state": "waiting", "attempt": 1, "started_at_ms": NOW - MINUTE, **told})


def present(**told: Any) -> Present:
    made = Present(OURS, NOW, has_room=True, driven={}, agents={"ada": AgentStanding()})
    return replace(made, **told)


DRIVEN = present(driven={"run_1": 2.0})


@pytest.mark.parametrize(
    ("run", "where", "cause", "words"),
    [
        (queued(ahead=1), present(), Cause.BEHIND, "behind another run of its thread"),
        (queued(ahead=3, files_awaited=True), present(), Cause.BEHIND, "behind 3 other runs"),
        (queued(files_awaited=True), present(), Cause.FILES, "files of its message are still being fetched"),
        (
            queued(), present(agents={"ada": AgentStanding(is_full=True)}, has_room=False),
            Cause.AGENT_FULL, "its agent ada has as many runs as it may",
        ),
        (
            queued(), present(held_up=frozenset({queued().thread_id})),
            Cause.BUDGET_FULL, "a budget has as many runs at the same time as it may",
        ),
        (queued(), present(has_room=False), Cause.NO_ROOM, "the gateway has as many runs as it may"),
        (queued(), present(), Cause.NOT_BEGUN, "nothing holds it up"),
        (queued(), present(agents={}), Cause.NOT_BEGUN, "there is no agent ada any more"),
        (
            queued(), present(agents={"ada": AgentStanding(is_suspended=True)}),
            Cause.NOT_BEGUN, "ada is suspended, so it will fail",
        ),
        (
            queued(), present(agents={"ada": AgentStanding(problem="KEY is not set")}),
            Cause.NOT_BEGUN, "ada cannot answer (KEY is not set)",
        ),
        (
            queued(), present(agents={"ada": AgentStanding(is_breaker_open=True)}),
            Cause.NOT_BEGUN, "failed too often just now, so its fallback answers",
        ),
        (running(), DRIVEN, Cause.ANSWERING, "answering; the last sign of life was 2 s ago"),
        (running(lease_until_ms=NOW - 1), DRIVEN, Cause.ANSWERING, "the last sign of life"),
        (
            running(open_steps=(("tool/2", "clock", NOW - 1000), ("model/1", "gpt", NOW - 5000))), DRIVEN,
            Cause.IN_STEP, f"in the steps gpt (model/1) since {to_instant(NOW - 5000)}, clock (tool/2)",
        ),
        (
            running(open_steps=tuple((f"tool/{n}", "x", NOW) for n in range(5))), DRIVEN,
            Cause.IN_STEP, "and 2 more",
        ),
        (running(attempt=2), present(driven={"run_1": None}), Cause.PAUSING, "(attempt 2)"),
        (
            running(), present(driven={"run_1": 301.0}),
            Cause.SILENT, "silent for longer than the 300 s it may be: the last sign of life was 301 s ago",
        ),
        (running(), present(driven={"run_1": 301.0}, agents={}), Cause.ANSWERING, "301 s ago"),
        (running(), present(), Cause.UNDRIVEN, "nobody drives it"),
        (running(lease_owner="epc_other"), present(), Cause.ELSEWHERE, "another process of the gateway runs it"),
        (running(lease_owner="epc_other"), DRIVEN, Cause.ELSEWHERE, "another process"),
        (running(lease_until_ms=NOW), present(), Cause.LEASE_OUT, "lease ran out, and nobody has taken it over"),
        (running(lease_owner="epc_other", lease_until_ms=None), DRIVEN, Cause.LEASE_OUT, "lease ran out"),
        (
            waiting(waits_for=("approval apr_1 (Deploy)",), next_expiry_ms=NOW + MINUTE), present(),
            Cause.WAITING, f"waits for approval apr_1 (Deploy) until {to_instant(NOW + MINUTE)}",
        ),
        (waiting(waits_for=("a", "b", "c", "d", "e")), present(), Cause.WAITING, "waits for a, b, c and 2 more"),
        (
            waiting(waits_for=("a",), next_expiry_ms=NOW - EXPIRY_GRACE_MS + 1), present(),
            Cause.WAITING, "waits for a until",
        ),
        (
            waiting(waits_for=("a",), next_expiry_ms=NOW - EXPIRY_GRACE_MS), present(),
            Cause.NOT_EXPIRED, "whose time was over at",
        ),
        (waiting(), present(), Cause.NOT_RESUMED, "everything it waited for is settled"),
    ],
)  # fmt: skip
def test_every_state_has_a_reason(run: RunProgress, where: Present, cause: Cause, words: str) -> None:
    diagnosis = diagnose(run, where)
    assert diagnosis.cause is cause
    assert words.lower() in diagnosis.reason.lower()


def test_every_cause_is_shown_above() -> None:
    (shown,) = [mark for mark in test_every_state_has_a_reason.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {case[2] for case in shown.args[1]} == set(Cause)


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("age_ms", [0, GRACE_MS - 1, GRACE_MS])
def test_what_is_suspicious_is_stuck_when_it_lasts_and_nothing_else_ever_is(
    cause: Cause, age_ms: int
) -> None:
    diagnosis = replace(diagnose(queued(), present()), cause=cause)
    told = finding(queued(), diagnosis, {("run_1", cause): NOW - age_ms}, NOW)
    assert told.is_stuck == (cause in SUSPICIOUS and age_ms >= GRACE_MS)


def test_a_suspicion_is_about_one_run_and_one_cause() -> None:
    diagnosis = diagnose(queued(), present())
    old = NOW - 2 * GRACE_MS
    others = {("run_2", Cause.NOT_BEGUN): old, ("run_1", Cause.LEASE_OUT): old}
    assert not finding(queued(), diagnosis, others, NOW).is_stuck


@pytest.mark.parametrize(
    ("run", "where", "since"),
    [
        (queued(ahead=1), present(), NOW - MINUTE),
        (queued(), present(), NOW - 7000),  # when it was first seen
        (running(), DRIVEN, NOW - MINUTE),
        (running(open_steps=(("a", "a", NOW - 10), ("b", "b", NOW - 20))), DRIVEN, NOW - 20),
        (running(), present(driven={"run_1": 400.0}), NOW - 400_000),
        (waiting(waits_for=("a",), next_expiry_ms=NOW - MINUTE * 9), present(), NOW - MINUTE * 9),
    ],
)
def test_it_says_since_when(run: RunProgress, where: Present, since: int) -> None:
    first_seen = {("run_1", cause): NOW - 7000 for cause in SUSPICIOUS}
    assert finding(run, diagnose(run, where), first_seen, NOW).since == to_instant(since)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "interrupted"])
def test_a_run_that_has_ended_needs_no_diagnosis(state: str) -> None:
    with pytest.raises(ValueError, match=state):
        diagnose(queued(state=state), present())


def test_a_question_of_any_length_fits_a_line() -> None:
    long = "what do you\nthink? " * 10_000
    assert len(diagnose(waiting(waits_for=(long,) * 50), present()).reason) < 600


times = st.integers(NOW - 10**10, NOW + 10**10)
runs = st.builds(
    RunProgress,
    run_id=st.just("run_1"),
    thread_id=st.just("thr_1"),
    agent_id=st.sampled_from(["ada", "bob"]),
    state=st.sampled_from(["queued", "running", "waiting"]),
    attempt=st.integers(0, 9),
    queued_at_ms=times,
    started_at_ms=st.none() | times,
    lease_owner=st.sampled_from([None, OURS, "epc_other"]),
    lease_until_ms=st.none() | times,
    ahead=st.integers(0, 3),
    files_awaited=st.booleans(),
    waits_for=st.lists(st.text(max_size=9), max_size=4).map(tuple),
    next_expiry_ms=st.none() | times,
    open_steps=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5), times), max_size=5).map(tuple),
)
presents = st.builds(
    Present,
    owner=st.just(OURS),
    now_ms=times,
    has_room=st.booleans(),
    driven=st.dictionaries(st.just("run_1"), st.none() | st.floats(0, 1e6)),
    agents=st.dictionaries(
        st.sampled_from(["ada", "bob"]),
        st.builds(AgentStanding, st.booleans(), st.booleans(), st.booleans(), st.none() | st.text()),
    ),
)


@given(runs, presents, st.dictionaries(st.tuples(st.just("run_1"), st.sampled_from(Cause)), times))
def test_no_unfinished_run_is_without_a_finding(
    run: RunProgress, where: Present, suspicions: dict[tuple[str, Cause], int]
) -> None:
    diagnosis = diagnose(run, where)
    told = finding(run, diagnosis, suspicions, where.now_ms)
    assert (told.run_id, told.state) == (run.run_id, run.state) and told.reason
    assert not told.is_stuck or diagnosis.cause in SUSPICIOUS
    assert diagnosis.hint is not None or diagnosis.cause not in SUSPICIOUS, "who is told of it can act"


@given(runs, presents)
def test_a_run_with_a_turn_and_a_sign_of_life_is_never_suspicious(run: RunProgress, where: Present) -> None:
    run = replace(run, state="running", lease_owner=OURS)
    diagnosis = diagnose(run, replace(where, driven={"run_1": 1.0}))
    assert diagnosis.cause in {Cause.ANSWERING, Cause.IN_STEP}
