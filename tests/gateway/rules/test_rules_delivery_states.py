"""The table of a delivery's life: what is to be done follows from a row, and nothing unknown is said again."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.capabilities import Capabilities, Idempotency, TextUnit
from gateway.rules import delivery_states as states
from gateway.rules.delivery_states import Todo, decide
from storage.values import DeliveryStep, OutboxRow

ROW = OutboxRow(
    id="dlv_1", org_id="org", channel="c", account="a", room="r", topic=None, thread_id="thr_1",
    run_id="run_1", part=1, phase=states.IDLE, content='{"text":"x"}', ref=None, attempt=0,
    next_attempt_at_ms=0,
)  # fmt: skip
PHASES = {states.IDLE, states.SENDING, states.UNKNOWN, states.HELD, states.SENT, states.FAILED}
ENDS = {states.SENT, states.FAILED}
BY_OPERATORS = {"retried", "settled"}
STEPS = {
    "begin send": states.BEGIN_SEND,
    "doubted": states.DOUBTED,
    "absent": states.ABSENT,
    "unknowable": states.UNKNOWABLE,
    "withheld": states.WITHHELD,
    "retried": states.RETRIED,
    "settled": states.SETTLED,
    "retracted": states.RETRACTED,
    "confirmed": states.confirmed("ref"),
    "delivered": states.delivered("ref"),
    "found": states.found("ref"),
    "arrived": states.arrived("ref"),
    "undecided": states.undecided(5, "not found yet"),
    "postponed": states.postponed(5, "later"),
    "refused": states.refused("never"),
}
WAYS = {
    ("idle", "begin send"): "sending",
    ("idle", "retracted"): "idle",
    ("idle", "delivered"): "sent",
    ("idle", "postponed"): "idle",
    ("idle", "refused"): "failed",
    ("sending", "doubted"): "unknown",
    ("sending", "confirmed"): "idle",
    ("sending", "delivered"): "sent",
    ("sending", "postponed"): "idle",
    ("sending", "refused"): "failed",
    ("unknown", "absent"): "idle",
    ("unknown", "unknowable"): "idle",
    ("unknown", "withheld"): "held",
    ("unknown", "found"): "idle",
    ("unknown", "arrived"): "sent",
    ("unknown", "undecided"): "unknown",
    ("unknown", "settled"): "sent",
    ("held", "retried"): "idle",
    ("held", "settled"): "sent",
    ("failed", "retried"): "idle",
    ("failed", "settled"): "sent",
    ("unknown", "refused"): "failed",
}
"""Every way there is, by phase and step."""


def platform(idempotency: Idempotency = Idempotency.NONE, *, can_edit: bool = True) -> Capabilities:
    return Capabilities(4096, TextUnit.UTF16, idempotency, can_edit, 1.0)


def take(row: OutboxRow, step: DeliveryStep) -> OutboxRow | None:
    """The row after a step as the store records it; None when the step is not possible."""
    if row.phase not in step.sources:
        return None
    ref = None if step.drop_ref else step.ref or row.ref
    attempt = 0 if step.starts_over else row.attempt + (step.target == states.SENDING)
    return replace(row, phase=step.target, ref=ref, attempt=attempt)


@pytest.mark.parametrize(("phase", "name"), list(itertools.product(sorted(PHASES), STEPS)))
def test_the_table_answers_for_every_phase_and_step(phase: str, name: str) -> None:
    after = take(replace(ROW, phase=phase), STEPS[name])
    assert (after.phase if after is not None else None) == WAYS.get((phase, name))


@pytest.mark.parametrize("phase", sorted(ENDS))
def test_only_operators_lead_out_of_an_end(phase: str) -> None:
    ways = {name for name, step in STEPS.items() if phase in step.sources}
    assert ways == (BY_OPERATORS if phase == states.FAILED else set())


def test_only_operators_lead_out_of_held() -> None:
    assert {name for name, step in STEPS.items() if states.HELD in step.sources} == BY_OPERATORS


def test_what_an_operator_wants_again_starts_over() -> None:
    after = take(replace(ROW, phase=states.FAILED, attempt=50), states.RETRIED)
    assert after is not None
    assert after.attempt == 0
    assert {name for name, step in STEPS.items() if step.starts_over} == {"retried"}


@pytest.mark.parametrize("phase", sorted(PHASES - ENDS - {states.HELD}))
def test_every_phase_can_be_given_up(phase: str) -> None:
    after = take(replace(ROW, phase=phase), states.refused("never"))
    assert after is not None
    assert after.phase == states.FAILED


def test_only_reconciling_or_an_operator_leads_out_of_unknown() -> None:
    ways = {name for name, step in STEPS.items() if states.UNKNOWN in step.sources}
    by_asking = {"absent", "unknowable", "withheld", "found", "arrived", "undecided"}
    assert ways == by_asking | {"refused", "settled"}


def test_only_a_send_goes_through_sending() -> None:
    assert {name for name, step in STEPS.items() if step.target == states.SENDING} == {"begin send"}
    assert states.BEGIN_SEND.sources == {states.IDLE}


def test_what_nobody_can_know_is_counted() -> None:
    assert {name for name, step in STEPS.items() if step.uncertain} == {"unknowable", "withheld"}
    assert states.UNKNOWABLE.error == states.WITHHELD.error != ""


def test_steps_say_what_they_record() -> None:
    assert states.confirmed("r").ref == states.found("r").ref == states.delivered("r").ref == "r"
    assert {name for name, step in STEPS.items() if step.drop_ref} == {"retracted"}
    postponed = states.postponed(7, "slow down")
    assert (postponed.next_attempt_at_ms, postponed.error) == (7, "slow down")
    assert states.undecided(9, "asked").next_attempt_at_ms == 9
    assert states.refused("gone").error == "gone"


# --- what is to be done -----------------------------------------------------------------------------


@pytest.mark.parametrize("can_edit", [True, False])
@pytest.mark.parametrize("idempotency", list(Idempotency))
@pytest.mark.parametrize("ref", [None, "ref"])
@pytest.mark.parametrize("attempt", [0, 1, 49])
def test_what_is_unknown_is_asked_about_first(
    ref: str | None, idempotency: Idempotency, can_edit: bool, attempt: int
) -> None:
    row = replace(ROW, phase=states.UNKNOWN, ref=ref, attempt=attempt)
    assert decide(row, platform(idempotency, can_edit=can_edit)) is Todo.RECONCILE


@pytest.mark.parametrize("idempotency", list(Idempotency))
def test_a_known_message_is_edited(idempotency: Idempotency) -> None:
    assert decide(replace(ROW, ref="ref"), platform(idempotency)) is Todo.EDIT


def test_where_a_repeat_is_not_recognised_a_placeholder_goes_first() -> None:
    assert decide(ROW, platform(Idempotency.NONE)) is Todo.RESERVE


@pytest.mark.parametrize(
    "capabilities",
    [
        platform(Idempotency.NONCE),
        platform(Idempotency.READBACK),
        platform(Idempotency.NONCE, can_edit=False),
        platform(Idempotency.NONE, can_edit=False),
    ],
)
def test_elsewhere_the_content_is_sent(capabilities: Capabilities) -> None:
    assert decide(ROW, capabilities) is Todo.SEND


# --- whatever happens -------------------------------------------------------------------------------


@pytest.mark.parametrize("idempotency", list(Idempotency))
@pytest.mark.parametrize("ref", [None, "ref"])
def test_a_file_travels_in_its_send(idempotency: Idempotency, ref: str | None) -> None:
    assert decide(replace(ROW, ref=ref), platform(idempotency), is_file=True) is Todo.UPLOAD
    unknown = replace(ROW, phase=states.UNKNOWN, ref=ref)
    assert decide(unknown, platform(idempotency), is_file=True) is Todo.RECONCILE


OUTCOMES = {
    Todo.RECONCILE: ("found", "absent", "unknowable", "refused", "withheld", "undecided"),
    Todo.RESERVE: ("confirmed", "postponed", "doubted", "refused"),
    Todo.SEND: ("delivered", "postponed", "doubted", "refused"),
    Todo.EDIT: ("delivered", "postponed", "retracted", "refused"),
}
"""What a platform may answer to each thing a dispatcher does."""

platforms = st.builds(platform, st.sampled_from(Idempotency), can_edit=st.booleans())


def live(row: OutboxRow, capabilities: Capabilities, choices: list[int]) -> list[tuple[Todo, str, OutboxRow]]:
    """Deliver as the dispatcher does, with these answers; each thing done, its outcome and the row after it."""
    history = []
    for choice in choices:
        if row.phase in ENDS | {states.HELD}:
            break
        todo = decide(row, capabilities)
        if todo in (Todo.RESERVE, Todo.SEND):
            begun = take(row, states.BEGIN_SEND)
            assert begun is not None, "a send begins from idle"
            row = begun
        outcome = OUTCOMES[todo][choice % len(OUTCOMES[todo])]
        after = take(row, STEPS[outcome])
        assert after is not None, f"{outcome} is not recorded from {row.phase}"
        row = after
        history.append((todo, outcome, row))
    return history


@given(platforms, st.lists(st.integers(0, 11), max_size=25))
def test_every_answer_of_a_platform_can_be_recorded(capabilities: Capabilities, choices: list[int]) -> None:
    for _, _, row in live(ROW, capabilities, choices):
        assert row.phase in PHASES - {states.SENDING}, "a send is over when it was answered"


@given(platforms, st.lists(st.integers(0, 11), max_size=25))
def test_an_unknown_send_is_never_repeated_unasked(capabilities: Capabilities, choices: list[int]) -> None:
    history = live(ROW, capabilities, choices)
    for (_, outcome, _), (todo, _, _) in itertools.pairwise(history):
        if outcome == "doubted":
            assert todo is Todo.RECONCILE
        if outcome == "found":
            assert todo is Todo.EDIT, "what stands there is written into, not said again"


@given(platforms, st.lists(st.integers(0, 11), max_size=25))
def test_from_everywhere_there_is_a_way_to_an_end(capabilities: Capabilities, choices: list[int]) -> None:
    history = live(ROW, capabilities, choices)
    row = history[-1][2] if history else ROW
    finished = live(row, capabilities, [0] * 4)
    assert (finished[-1][2] if finished else row).phase == states.SENT or row.phase in (
        states.FAILED,
        states.HELD,
    )


@given(platforms, st.lists(st.integers(0, 11), max_size=25))
def test_the_content_travels_in_a_send_only_where_a_repeat_is_noticed(
    capabilities: Capabilities, choices: list[int]
) -> None:
    for todo, _, _ in live(ROW, capabilities, choices):
        if todo is Todo.SEND:
            assert capabilities.idempotency is not Idempotency.NONE or not capabilities.can_edit
