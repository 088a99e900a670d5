"""An agent that fails too often in a row is left alone for a while; one run tries whether it is back."""

import pytest

from gateway.clock import Clock
from gateway.rules.breaker import FAILURES, BreakerState
from gateway.services.breakers import AgentBreakers


class HandClock(Clock):
    """Stands still until it is moved."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def opened(clock: HandClock) -> AgentBreakers:
    breakers = AgentBreakers(clock)
    for number in range(FAILURES):
        assert breakers.admit("model") == 0
        breakers.failed("model", f"run_{number}")
    return breakers


def test_failures_in_a_row_open_it(opened: AgentBreakers) -> None:
    assert opened.state("model") is BreakerState.OPEN
    assert opened.admit("model") > 0


def test_one_run_that_fails_again_and_again_says_nothing_about_the_agent(clock: HandClock) -> None:
    breakers = AgentBreakers(clock)
    for _ in range(3 * FAILURES):
        breakers.failed("model", "run_1")
    assert breakers.state("model") is BreakerState.CLOSED


def test_an_answer_in_between_starts_the_count_anew(clock: HandClock) -> None:
    breakers = AgentBreakers(clock)
    for number in range(3 * FAILURES):
        breakers.failed("model", f"run_{number}")
        if number % 2:
            breakers.answered("model")
    assert breakers.state("model") is BreakerState.CLOSED


def test_other_agents_have_their_own(opened: AgentBreakers) -> None:
    assert opened.admit("other") == 0


def test_after_its_time_one_run_probes_and_the_others_wait(opened: AgentBreakers, clock: HandClock) -> None:
    clock.now += 600
    assert opened.admit("model") == 0
    assert opened.admit("model") > 0
    opened.answered("model")
    assert opened.state("model") is BreakerState.CLOSED
    assert opened.admit("model") == 0


def test_a_probe_that_fails_opens_it_again(opened: AgentBreakers, clock: HandClock) -> None:
    clock.now += 600
    opened.admit("model")
    opened.failed("model", "run_x")
    assert opened.admit("model") > 0


def test_a_probe_that_was_cancelled_leaves_the_next_one_to_another_run(
    opened: AgentBreakers, clock: HandClock
) -> None:
    clock.now += 600
    opened.admit("model")
    opened.given_up("model")
    assert opened.admit("model") == 0
