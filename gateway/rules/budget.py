"""Budgets: which of them something falls under, in which span of time, and whether it still fits. Pure.

Time is UTC and comes as an argument. The store counts (`storage/budgets.py`) and asks `Budgets` inside its
transactions, so that judging and counting are one. What a step may cost is estimated before it begins and settled
after: a budget is exceeded at most by what steps cost beyond their estimates.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from gateway.governance_settings import BudgetSettings
from protocol.records import Usage
from storage.budget_values import BudgetEach, BudgetOf, Consumer, Counter, Judgement, OverBudget

Per: TypeAlias = Literal["hour", "day", "month"]

HOUR_MS: Final = 3_600_000
CHARS_PER_TOKEN: Final = 3
"""Of a prompt: fewer than the usual four of English, so that other languages are not estimated too low."""
OUTPUT_TOKENS: Final = 2_048
"""Of an answer whose longest is not configured: about 1,500 words."""
STEP_TOKENS: Final = 4_096
"""Of a step of which nothing is known, a turn of somebody else's agent."""
STEP_MICROUSD: Final = 20_000
"""Two cents, for a step whose price nobody knows: what 4,096 tokens cost at five dollars a million."""

_FORMATS: Final[dict[Per, str]] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}
_UNITS: Final[dict[BudgetOf, str]] = {
    "messages": "messages",
    "runs": "runs",
    "tokens": "tokens",
    "microusd": "US dollars",
    "concurrent": "runs at the same time",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of time, from `begins_at_ms` up to and not including `ends_at_ms`."""

    key: str
    begins_at_ms: int
    ends_at_ms: int


def span_of(per: Per, now_ms: int) -> Span:
    """The hour, day or month of an instant, by UTC."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    begin = now.replace(minute=0, second=0, microsecond=0)
    if per == "hour":
        end = begin + timedelta(hours=1)
    elif per == "day":
        begin = begin.replace(hour=0)
        end = begin + timedelta(days=1)
    else:
        begin = begin.replace(hour=0, day=1)
        end = (begin + timedelta(days=31)).replace(day=1)
    return Span(begin.strftime(_FORMATS[per]), _ms(begin), _ms(end))


def judge(limit: int, settled: int, reserved: int, asked: int, warn_from: int) -> Judgement:
    """Whether `asked` fits beside what is settled and reserved."""
    remaining = max(0, limit - settled - reserved)
    if asked > remaining:
        return Judgement("refuse", remaining)
    return Judgement("warn" if settled + reserved + asked >= warn_from else "ok", remaining)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of the configuration: `storage.budget_ports.BudgetRules`."""

    settings: tuple[BudgetSettings, ...]

    def counters(self, of: BudgetOf, consumer: Consumer, now_ms: int) -> tuple[Counter, ...]:
        """The counters that something falls under; those of the configuration's order."""
        return tuple(
            counter_of(one, counted, now_ms)
            for one in self.settings
            if one.of == of and _fits(one, consumer) and (counted := _counted(one, consumer))
        )

    def judge(self, counter: Counter, settled: int, reserved: int, asked: int) -> Judgement:
        """Whether `asked` still fits."""
        return judge(counter.limit, settled, reserved, asked, counter.warn_from)

    def refusals(self, now_ms: int) -> dict[str, str]:
        """What is said when a budget that stops messages is used up, by its name."""
        return {
            one.name: counter_of(one, "", now_ms).refusal for one in self.settings if one.of != "concurrent"
        }


def counter_of(budget: BudgetSettings, counted: str, now_ms: int) -> Counter:
    """The counter of a budget for somebody, now."""
    hour = 0 if budget.of == "concurrent" else now_ms // HOUR_MS
    told = _told(budget.name, budget.of, budget.limit, budget.per, budget.each, budget.warn_at, hour)
    warn_from = max(1, math.ceil(budget.limit * budget.warn_at))
    return Counter(
        budget.name,
        budget.of,
        budget.each,
        counted,
        told.span,
        budget.limit,
        warn_from,
        told.resets_at_ms,
        told.warning,
        told.refusal,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What is the same for everybody's counter of a budget for an hour at least."""

    span: str
    resets_at_ms: int | None
    warning: str
    refusal: str


@lru_cache(maxsize=1024)
def _told(
    name: str, of: BudgetOf, limit: int, per: Per, each: BudgetEach, warn_at: float, hour: int
) -> _Told:
    """Spans begin and end with an hour, so this is put together once for each: it is asked for with every message."""
    named = f"The budget “{name}” ({_amount(of, limit, per, each)})"
    if of == "concurrent":
        return _Told("", None, f"{named} is nearly full.", f"{named} is full.")
    span = span_of(per, hour * HOUR_MS)
    until = datetime.fromtimestamp(span.ends_at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    again = f"It is whole again at {until}."
    warning, refusal = f"{named} is used to {warn_at:.0%}. {again}", f"{named} is used up. {again}"
    return _Told(span.key, span.ends_at_ms, warning, refusal)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a step may take, said before it begins; `microusd` None where nobody knows its price."""

    tokens: int
    microusd: int | None = None


def expected_usage(prompt_chars: int, max_tokens: int | None) -> Usage:
    """What a model call may take at most: a prompt of so many characters, and the longest answer."""
    answer = OUTPUT_TOKENS if max_tokens is None else max_tokens
    return Usage(input_tokens=math.ceil(prompt_chars / CHARS_PER_TOKEN), output_tokens=answer)


def reserve(expected: Expected | None) -> dict[BudgetOf, int]:
    """What is reserved for a step: as expected, and a constant for what nobody knows."""
    if expected is None:
        return {"tokens": STEP_TOKENS, "microusd": STEP_MICROUSD}
    money = STEP_MICROUSD if expected.microusd is None else expected.microusd
    return {"tokens": expected.tokens, "microusd": money}


def says(over: OverBudget) -> str:
    """Why a step is not done: the budget is used up, or the step may take more than what is left of it."""
    counter = over.counter
    if over.used >= counter.limit:
        return counter.refusal
    named, _, _ = counter.refusal.partition(" is used up")
    left, asked = counter.limit - over.used, over.asked
    return f"{named} has {left:,} {counter.of} left, and the next step may take {asked:,}."


def _fits(budget: BudgetSettings, consumer: Consumer) -> bool:
    return (
        _matches(budget.agent, consumer.agent_id)
        and _matches(budget.person, consumer.person)
        and _matches(budget.room, consumer.room)
    )


def _matches(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is one of these; `*` stands for any characters. Without patterns everybody is, also nobody."""
    if not patterns:
        return True
    return bool(name) and any(
        re.fullmatch(re.escape(one).replace(r"\*", ".*"), name, re.DOTALL) for one in patterns
    )


def _counted(budget: BudgetSettings, consumer: Consumer) -> str:
    """Whose counter it is; empty for somebody who has none (a client has no room)."""
    match budget.each:
        case "organization":
            return consumer.org_id
        case "agent":
            return consumer.agent_id
        case "person":
            return consumer.person
        case "room":
            return consumer.room
        case "token":
            return consumer.token_id


def _amount(of: BudgetOf, limit: int, per: Per, each: BudgetEach) -> str:
    number = f"{limit / 1_000_000:,.2f}" if of == "microusd" else f"{limit:,}"
    for_each = "" if each == "organization" else f" for each {each}"
    in_time = "" if of == "concurrent" else f" per {per}"
    return f"{number} {_UNITS[of]}{in_time}{for_each}"


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
