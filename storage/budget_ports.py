"""What services may ask of the store about budgets, usage and switches of agents, and what the store asks of the rules.

The store counts and the rules judge: which counters something falls under, and whether it still fits, is said by
`BudgetRules`, a value that `gateway/rules/budget.py` makes of the configuration. Raising as in `ports.py`.
"""

from collections.abc import Mapping
from typing import Protocol

from protocol.frames import RawJson
from storage.budget_values import (
    BudgetOf,
    Consumer,
    Counter,
    CounterState,
    Judgement,
    RoomNotice,
    Switch,
    UsageGroup,
    UsageQuery,
)
from storage.values import Act, Ending, Notice


class BudgetRules(Protocol):
    """The budgets of the configuration. Pure: called inside transactions."""

    def counters(self, of: BudgetOf, consumer: Consumer, now_ms: int) -> tuple[Counter, ...]:
        """The counters that something falls under, now."""
        ...

    def judge(self, counter: Counter, settled: int, reserved: int, asked: int) -> Judgement:
        """Whether `asked` still fits beside what is settled and reserved."""
        ...


class BudgetStore(Protocol):
    """Counters of budgets."""

    async def recover(self) -> int:
        """Release what ended runs still hold, and make every counter the sum of its reservations; at start.

        Returns how many reservations were released. Doing it again changes nothing.
        """
        ...

    async def states(self, org_id: str, now_ms: int, limit: int) -> list[CounterState]:
        """Counters whose span is not over, fullest first."""
        ...

    async def notices(self, limit: int) -> list[RoomNotice]:
        """What rooms are still to be told, oldest first."""
        ...

    async def tell(self, told: RoomNotice, notice: Notice | None, now_ms: int) -> None:
        """The room is owed `notice` (None: it has no place any more); it is not to be told again."""
        ...

    async def forget(self, before_ms: int, limit: int) -> int:
        """Drop counters whose span was over before that, a bounded number at once; returns how many."""
        ...


class UsageStore(Protocol):
    """What was used."""

    async def groups(self, org_id: str, query: UsageQuery, limit: int) -> list[UsageGroup]:
        """Usage by groups, in the order of their names."""
        ...

    async def set_tags(self, tags: Mapping[str, Mapping[str, str]]) -> None:
        """From now on agents have these tags: name → value by agent."""
        ...


class SwitchStore(Protocol):
    """Agents that are switched off."""

    async def all(self) -> list[Switch]:
        """Those of every organization."""
        ...

    async def off(
        self, act: Act, agent_id: str, reason: str, ending: Ending, notices: Mapping[str, Notice]
    ) -> RawJson:
        """Switch an agent off, or with `*` all; its unfinished runs end by `ending`, each with its notice.

        Switching off what is off replaces the reason. Returns an AgentSwitchResult.
        """
        ...

    async def on(self, act: Act, agent_id: str) -> RawJson:
        """Let it answer again; with `*` every one. Returns an AgentSwitchResult."""
        ...

    async def unfinished(self, org_id: str, agent_id: str, limit: int) -> list[tuple[str, str]]:
        """Unfinished runs of an agent, or with `*` of all: `(run_id, thread_id)`."""
        ...
