"""Usage, budgets and switches of agents on the wire: params, results and what they are made of. Shapes only."""

from typing import Annotated, Final, Literal

from pydantic import Field

from protocol import limits
from protocol.records import Id, Instant, Record, SwitchedOff
from protocol.requests import Mutation, Page

TAG: Final = "tag:"
"""Before the name of the cost tag by which usage is told apart."""

Day = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\d$", description="A day by UTC.", examples=["2026-11-21"])
]
Grouping = Annotated[
    str,
    Field(
        pattern=r"^(day|agent|person|room|token|model|tag:[A-Za-z0-9_.-]{1,64})$",
        description="day, agent, person, room, token, model, or tag:NAME of a cost tag.",
    ),
]


class UsageGetParams(Page):
    """Usage of some days, both included; this month up to today unless told. At most one grouping is a tag."""

    from_: Annotated[Day | None, Field(alias="from")] = None
    to: Day | None = None
    by: Annotated[list[Grouping], Field(min_length=1, max_length=7)] = ["day"]  # noqa: RUF012 - the model copies it
    thread_id: Id | None = None


class UsageGroup(Record):
    """What was used, by the groupings that were asked for; empty where there is none (a client has no room).

    `runs` are those that ended, counted once each in the group without a model. Money is in millionths of a US dollar.
    """

    day: str | None = None
    agent: str | None = None
    person: str | None = None
    room: str | None = None
    token: str | None = None
    model: str | None = None
    tag: str | None = None
    runs: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int


class Budget(Record):
    """One counter of a budget, as it is now. `key` is whose it is: an organization, agent, person, room or token.

    `used` is settled; `reserved` is what steps under way may still take. Without `resets_at` it counts runs at the same
    time.
    """

    name: str
    of: Literal["messages", "runs", "tokens", "microusd", "concurrent"]
    per: Literal["hour", "day", "month"] | None = None
    each: Literal["organization", "agent", "person", "room", "token"]
    key: str
    limit: int
    used: int
    reserved: int
    resets_at: Instant | None = None


class UsageGetResult(Record):
    """A page of usage in the order of its groups. `budgets` come with the first page, fullest first."""

    groups: list[UsageGroup]
    budgets: list[Budget]
    next_cursor: str | None = None


class AgentSwitchParams(Mutation):
    """Switch an agent off or on; without `agent_id` all of them. `reason` is told to whoever asks it something."""

    agent_id: Id | None = None
    on: bool
    reason: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""


class AgentSwitchResult(Record):
    """What is off now, and how many unfinished runs were ended by this."""

    switches: list[SwitchedOff]
    cancelled_runs: int
