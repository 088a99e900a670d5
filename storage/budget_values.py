"""The plain values of budgets and usage that go into the store and come out of it. No behaviour.

What may be asked with them is in `budget_ports.py`; what they mean is decided in `gateway/rules/budget.py`.
"""

from dataclasses import dataclass
from typing import Literal

BudgetOf = Literal["messages", "runs", "tokens", "microusd", "concurrent"]
"""What a budget counts; microusd is money in millionths of a US dollar."""
BudgetEach = Literal["organization", "agent", "person", "room", "token"]
"""Who has a counter of their own."""
Verdict = Literal["ok", "warn", "refuse"]


@dataclass(frozen=True, slots=True)
class Consumer:
    """On whose account something is used: who answers, who asked, from where, with which token.

    `person` is an actor's id; `room` is `NETWORK:ID`, empty for a client; `token_id` is empty where none was used.
    """

    org_id: str
    agent_id: str
    person: str
    room: str
    token_id: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a budget that applies: whose (`counted`), in which span of time, how much there may be.

    `warn_from` is how much is used when people are warned. `resets_at_ms` is the end of the span, None for what is
    counted at the same time. `warning` and `refusal` say it to people.
    """

    budget: str
    of: BudgetOf
    each: BudgetEach
    counted: str
    span: str
    limit: int
    warn_from: int
    resets_at_ms: int | None
    warning: str
    refusal: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a counter says of something that is wanted: `remaining` is what is left without it."""

    verdict: Verdict
    remaining: int


@dataclass(frozen=True, slots=True)
class OverBudget:
    """What was asked for is more than a counter has left. `used` is settled and reserved."""

    counter: Counter
    used: int
    asked: int = 1


@dataclass(frozen=True, slots=True)
class HeldUp:
    """The next run of a thread would be one too many at the same time: it waits until `place` is free."""

    place: str


@dataclass(frozen=True, slots=True)
class PlaceFreed:
    """Signal: one run less at the same time."""

    place: str


@dataclass(frozen=True, slots=True)
class BudgetCrossed:
    """Signal: a room is to be told of a budget."""


@dataclass(frozen=True, slots=True)
class RoomNotice:
    """What a thread's room is to be told of a budget."""

    number: int
    org_id: str
    thread_id: str
    text: str


@dataclass(frozen=True, slots=True)
class CounterState:
    """What a counter has counted."""

    budget: str
    counted: str
    span: str
    settled: int
    reserved: int
    resets_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Switch:
    """An agent, or with `*` all of them, that somebody switched off. `by` is who."""

    org_id: str
    agent_id: str
    by: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which usage is wanted: days from `since` to `until`, both included, told apart by `by`.

    `by` are among day, agent, person, room, token, model and tag; `tag` is the name of the one it is told apart by.
    `after` is the last group of the page before.
    """

    since: str
    until: str
    by: frozenset[str]
    tag: str = ""
    thread_id: str | None = None
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Usage of one group; what it is not told apart by is empty."""

    day: str
    agent_id: str
    person: str
    room: str
    token_id: str
    model: str
    tag: str
    runs: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int
