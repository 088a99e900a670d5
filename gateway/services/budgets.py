"""Budgets as the gateway's services see them: what chat people are told who are over one, and telling rooms.

Counting is the store's, judging is `gateway/rules/budget.py`. A room is told of a budget after the commit that crossed
it, once: what is still to be told is a row that goes with the message into the outbox, so a crash loses nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.rules.budget import Budgets
from gateway.services.channels import Channels, freeze
from gateway.services.watcher import Watcher
from protocol.errors import Fault
from protocol.ids import IdPrefix
from storage.budget_ports import BudgetStore
from storage.budget_values import BudgetCrossed, RoomNotice
from storage.ports import ThreadStore
from storage.values import Notice

log = structlog.get_logger()

NOTICES_AT_ONCE: Final = 100
"""Rows read at once."""
KEEP_MS: Final = 40 * 86_400_000
"""How long counters are kept after their span: the month before can still be looked at."""
FORGET_AT_ONCE: Final = 1_000
"""Counters dropped in one transaction: a few milliseconds."""


def _none() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What people of chat networks are told whose message is not taken: by the name of the budget that is used up, and
    by the id of the agent that is switched off (`*`: all)."""

    over_budget: Callable[[], Mapping[str, str]] = _none
    switched_off: Callable[[], Mapping[str, str]] = _none


class BudgetCare:
    """Tells rooms of budgets, and drops old counters. Owns one task."""

    def __init__(
        self,
        store: BudgetStore,
        threads: ThreadStore,
        channels: Channels,
        clock: Clock,
        budgets: Budgets | None,
    ) -> None:
        self._store = store
        self._threads = threads
        self._channels = channels
        self._clock = clock
        self._budgets = budgets
        self._teller = Watcher("budget notices", self._tell)

    async def start(self) -> None:
        """Release what an earlier process left, and tell what is still to be told. Without budgets nothing happens."""
        if self._budgets is None:
            return
        released = await self._store.recover()
        if released:
            log.info("reservations of ended runs were released", action="budgets_recovered", count=released)
        self._teller.start()

    async def stop(self) -> None:
        """Tell no more; what is left is told at the next start."""
        await self._teller.stop()

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook: a budget was crossed."""
        if any(isinstance(signal, BudgetCrossed) for signal in signals):
            self._teller.wake()

    def refusals(self) -> Mapping[str, str]:
        """What is said when a budget is used up, by its name."""
        return self._budgets.refusals(self._clock.now_ms()) if self._budgets is not None else {}

    async def keep_house(self) -> None:
        """Drop counters whose span is long over."""
        if self._budgets is not None:
            await self._store.forget(self._clock.now_ms() - KEEP_MS, FORGET_AT_ONCE)

    async def _tell(self) -> None:
        while waiting := await self._store.notices(NOTICES_AT_ONCE):
            for told in waiting:
                await self._store.tell(told, await self._notice(told), self._clock.now_ms())

    async def _notice(self, told: RoomNotice) -> Notice | None:
        """As its network shows it; None when there is no such room any more."""
        try:
            thread = await self._threads.get(told.org_id, told.thread_id)
        except Fault:
            return None
        place = self._channels.of(thread.origin)
        if place is None:
            return None
        adapter, room = place
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(adapter.render(told.text, room)[0]))
