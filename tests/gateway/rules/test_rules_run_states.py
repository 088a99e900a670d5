"""The table of a run's life: total, one way, and the same that events and the store speak of."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.run_states import ENDED, TRANSITIONS, RunEvent, next_state
from protocol.events import RUN_ENDINGS
from protocol.records import RunState

LIFE = {
    (RunState.QUEUED, RunEvent.START): RunState.RUNNING,
    (RunState.QUEUED, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.WAIT): RunState.WAITING,
    (RunState.RUNNING, RunEvent.COMPLETE): RunState.COMPLETED,
    (RunState.RUNNING, RunEvent.FAIL): RunState.FAILED,
    (RunState.RUNNING, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.INTERRUPT): RunState.INTERRUPTED,
    (RunState.WAITING, RunEvent.RESUME): RunState.RUNNING,
    (RunState.WAITING, RunEvent.FAIL): RunState.FAILED,
    (RunState.WAITING, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.WAITING, RunEvent.INTERRUPT): RunState.INTERRUPTED,
}
"""Everything that may happen. What is not here may not."""


@pytest.mark.parametrize(("state", "event"), list(itertools.product(RunState, RunEvent)))
def test_the_table_answers_for_every_state_and_event(state: RunState, event: RunEvent) -> None:
    assert next_state(state, event) == LIFE.get((state, event))


def test_every_event_has_its_move() -> None:
    assert TRANSITIONS.keys() == set(RunEvent)
    assert all(move.sources for move in TRANSITIONS.values())


@pytest.mark.parametrize(("state", "event"), list(itertools.product(sorted(ENDED), RunEvent)))
def test_no_run_leaves_an_end(state: RunState, event: RunEvent) -> None:
    assert next_state(state, event) is None


def test_the_ends_are_the_states_without_a_way_out() -> None:
    ways_out = {state for move in TRANSITIONS.values() for state in move.sources}
    assert set(RunState) - ways_out == ENDED


def test_every_end_has_its_event() -> None:
    assert {kind.value for kind in RUN_ENDINGS} == {f"run.{state.value}" for state in ENDED}


def test_every_state_can_be_reached_and_can_end() -> None:
    reached = {RunState.QUEUED}
    while more := {
        move.target for move in TRANSITIONS.values() if move.sources & reached and move.target not in reached
    }:
        reached |= more
    assert reached == set(RunState)
    for state in set(RunState) - ENDED:
        assert next_state(state, RunEvent.CANCEL) in ENDED


@given(st.lists(st.sampled_from(RunEvent), max_size=30))
def test_whatever_happens_a_run_ends_once(events: list[RunEvent]) -> None:
    state, ends = RunState.QUEUED, 0
    for event in events:
        after = next_state(state, event)
        if after is not None:
            state = after
            ends += state in ENDED
    assert ends == (state in ENDED)
