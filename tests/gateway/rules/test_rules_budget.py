"""Budgets as pure decisions: whose counter, which part of time, whether something still fits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance_settings import BudgetSettings
from gateway.rules.budget import (
    STEP_MICROUSD,
    STEP_TOKENS,
    Budgets,
    Expected,
    Per,
    counter_of,
    expected_usage,
    judge,
    reserve,
    says,
    span_of,
)
from storage.budget_values import Consumer, OverBudget

NOON_MS = round(datetime(2026, 11, 21, 12, 30, tzinfo=UTC).timestamp() * 1000)
EVE = Consumer("org_default", "helper", "slack:U1", "slack:C1", "")
INSTANTS = st.integers(0, round(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000))
PERS = st.sampled_from(["hour", "day", "month"])
AMOUNTS = st.integers(0, 10**15)


def budget(**given: object) -> BudgetSettings:
    return BudgetSettings.model_validate({"name": "b", "of": "tokens", "limit": 100, **given})


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per", "key", "ends"),
    [
        ("hour", "2026-11-21T12", datetime(2026, 11, 21, 13, tzinfo=UTC)),
        ("day", "2026-11-21", datetime(2026, 11, 22, tzinfo=UTC)),
        ("month", "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_span_is_an_hour_a_day_or_a_month_by_utc(per: Per, key: str, ends: datetime) -> None:
    span = span_of(per, NOON_MS)
    assert (span.key, span.ends_at_ms) == (key, round(ends.timestamp() * 1000))


@given(PERS, INSTANTS)
def test_spans_partition_time(per: Per, now_ms: int) -> None:
    span = span_of(per, now_ms)
    assert span.begins_at_ms <= now_ms < span.ends_at_ms
    assert span_of(per, span.begins_at_ms) == span == span_of(per, span.ends_at_ms - 1)
    after = span_of(per, span.ends_at_ms)
    assert after.begins_at_ms == span.ends_at_ms and after.key > span.key


# --- judging ------------------------------------------------------------------------------------------


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_what_fits_is_never_refused_and_what_does_not_always(
    limit: int, settled: int, reserved: int, asked: int, warn_from: int
) -> None:
    judged = judge(limit, settled, reserved, asked, warn_from)
    assert judged.remaining == max(0, limit - settled - reserved)
    assert (judged.verdict == "refuse") == (asked > judged.remaining)


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 900), st.booleans()), max_size=60),
)
def test_a_limit_is_exceeded_at_most_by_what_steps_cost_beyond_their_estimates(
    limit: int, steps: list[tuple[int, int, bool]]
) -> None:
    settled, held, beyond = 0, [], 0
    for asked, actual, ends_first in steps:
        if ends_first and held:
            reserved, cost = held.pop(0)
            settled += cost
            beyond += max(0, cost - reserved)
        if judge(limit, settled, sum(one for one, _ in held), asked, limit).verdict != "refuse":
            held.append((asked, actual))
        assert settled + sum(one for one, _ in held) <= limit + beyond


@pytest.mark.parametrize(
    ("settled", "verdict"), [(0, "ok"), (70, "ok"), (79, "warn"), (99, "warn"), (100, "refuse")]
)
def test_people_are_warned_from_a_part_of_the_limit_on(settled: int, verdict: str) -> None:
    counter = counter_of(budget(), "org_default", NOON_MS)
    assert Budgets((budget(),)).judge(counter, settled, 0, 1).verdict == verdict


def test_nothing_at_the_same_time_is_no_budget() -> None:
    with pytest.raises(ValueError, match="agents stop"):
        budget(of="concurrent", limit=0)


def test_a_budget_of_nothing_refuses_everything() -> None:
    assert judge(0, 0, 0, 1, 1).verdict == "refuse"
    assert counter_of(budget(limit=0), "x", NOON_MS).warn_from == 1


# --- whose --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each", "counted"),
    [("organization", "org_default"), ("agent", "helper"), ("person", "slack:U1"), ("room", "slack:C1")],
)
def test_each_has_a_counter_of_its_own(each: str, counted: str) -> None:
    (counter,) = Budgets((budget(each=each),)).counters("tokens", EVE, NOON_MS)
    assert counter.counted == counted


def test_who_has_no_token_or_room_has_no_counter_of_it() -> None:
    client = Consumer("org_default", "helper", "prn_1", "", "tok_1")
    assert not Budgets((budget(each="token"),)).counters("tokens", EVE, NOON_MS)
    assert not Budgets((budget(each="room"),)).counters("tokens", client, NOON_MS)
    assert not Budgets((budget(room=("*",)),)).counters("tokens", client, NOON_MS), "it is in no room"


@pytest.mark.parametrize(
    ("narrowing", "applies"),
    [
        ({"agent": ("helper",)}, True),
        ({"agent": ("help*",)}, True),
        ({"agent": ("other", "x*")}, False),
        ({"person": ("slack:*",)}, True),
        ({"person": ("telegram:*",)}, False),
        ({"room": ("slack:C1",), "person": ("slack:U1",)}, True),
        ({"room": ("slack:C1",), "person": ("slack:U2",)}, False),
        ({"room": ("slack:C",)}, False),
        ({"agent": ("h.lper",)}, False),
    ],
)
def test_every_key_that_is_given_narrows(narrowing: dict[str, object], applies: bool) -> None:
    assert bool(Budgets((budget(**narrowing),)).counters("tokens", EVE, NOON_MS)) is applies


def test_only_budgets_of_what_is_counted_apply() -> None:
    both = Budgets((budget(name="t"), budget(name="m", of="messages")))
    assert [one.budget for one in both.counters("messages", EVE, NOON_MS)] == ["m"]


def test_what_runs_at_the_same_time_has_no_span() -> None:
    (counter,) = Budgets((budget(of="concurrent"),)).counters("concurrent", EVE, NOON_MS)
    assert (counter.span, counter.resets_at_ms) == ("", None)


# --- words and estimates ------------------------------------------------------------------------------


def test_a_refusal_says_which_budget_and_until_when() -> None:
    said = counter_of(
        budget(name="team", of="microusd", limit=2_500_000, each="person"), "x", NOON_MS
    ).refusal
    assert said == (
        "The budget “team” (2.50 US dollars per day for each person) is used up. "
        "It is whole again at 2026-11-22 00:00 UTC."
    )


def test_a_step_that_is_too_large_says_what_is_left() -> None:
    counter = counter_of(budget(limit=5_000), "x", NOON_MS)
    assert says(OverBudget(counter, 4_000, 2_048)) == (
        "The budget “b” (5,000 tokens per day) has 1,000 tokens left, and the next step may take 2,048."
    )
    assert says(OverBudget(counter, 5_000, 2_048)) == counter.refusal


def test_what_nobody_knows_is_a_constant() -> None:
    assert reserve(None) == {"tokens": STEP_TOKENS, "microusd": STEP_MICROUSD}
    assert reserve(Expected(10)) == {"tokens": 10, "microusd": STEP_MICROUSD}
    assert reserve(Expected(10, 0)) == {"tokens": 10, "microusd": 0}


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_an_estimate_has_the_prompt_and_the_longest_answer(chars: int, longest: int) -> None:
    usage = expected_usage(chars, longest)
    assert usage.output_tokens == longest
    assert usage.input_tokens * 3 >= chars
    assert expected_usage(chars, None).output_tokens > 0


def test_the_spans_of_a_year_follow_one_another() -> None:
    at, months = datetime(2026, 1, 1, tzinfo=UTC), set()
    while at.year == 2026:
        months.add(span_of("month", round(at.timestamp() * 1000)).key)
        at += timedelta(days=1)
    assert sorted(months) == [f"2026-{number:02d}" for number in range(1, 13)]
