"""What was used, told apart as somebody wants it, and how budgets stand. Reads; what is counted is the store's."""

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from typing import Final

import orjson

from gateway.clock import Clock
from gateway.governance_settings import BudgetSettings
from gateway.rules.budget import counter_of
from protocol import limits
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.instants import to_instant
from protocol.usage import TAG, Budget, UsageGetParams, UsageGetResult, UsageGroup
from storage import budget_values as rows
from storage.budget_ports import BudgetStore, UsageStore

COUNTERS_MAX: Final = 500
"""Counters of budgets that are shown, fullest first: a page."""
PAGE: Final = limits.PAGE_MAX
"""Groups an export reads at once."""
_PLACES: Final = ("day", "agent", "person", "room", "token", "model", "tag")
_DATE_CHARS: Final = len("2026-11-21")

Tags = Callable[[], Mapping[str, Mapping[str, str]]]
"""Cost tags of the configuration, by agent."""


class UsageView:
    """Composes `protocol.usage` records."""

    def __init__(
        self,
        usage: UsageStore,
        budgets: BudgetStore,
        settings: Sequence[BudgetSettings],
        tags: Tags,
        clock: Clock,
    ) -> None:
        self._usage = usage
        self._budgets = budgets
        self._settings = settings
        self._tags = tags
        self._clock = clock
        self._known_tags: Mapping[str, Mapping[str, str]] | None = None

    async def get(self, org_id: str, params: UsageGetParams) -> UsageGetResult:
        """A page. Raises Fault: invalid_params, conflict for a cursor that is not ours."""
        query = self._query(params)
        found = await self._read(org_id, query, params.limit + 1)
        more = len(found) > params.limit
        groups = found[: params.limit]
        return UsageGetResult(
            groups=[_shown(group, query.by) for group in groups],
            budgets=await self.states(org_id) if params.cursor is None else [],
            next_cursor=_cursor_behind(groups[-1]) if more else None,
        )

    async def all(self, org_id: str, params: UsageGetParams) -> AsyncIterator[UsageGroup]:
        """All of it, page by page: for exports. Raises Fault before the first."""
        query = self._query(params)
        while True:
            found = await self._read(org_id, query, PAGE)
            for group in found:
                yield _shown(group, query.by)
            if len(found) < PAGE:
                return
            query = rows.UsageQuery(
                query.since, query.until, query.by, query.tag, query.thread_id, _names(found[-1])
            )

    async def states(self, org_id: str) -> list[Budget]:
        """The counters of the configured budgets, fullest first; one that all share is shown before it is used."""
        now_ms = self._clock.now_ms()
        known = await self._budgets.states(org_id, now_ms, COUNTERS_MAX)
        found: list[Budget] = []
        for budget in self._settings:
            now = counter_of(budget, "", now_ms)
            mine = [one for one in known if (one.budget, one.span) == (budget.name, now.span)]
            if not mine and budget.each == "organization":
                mine = [rows.CounterState(budget.name, org_id, now.span, 0, 0, now.resets_at_ms)]
            found += [_budget(budget, one) for one in mine]
        return sorted(found, key=_fullness, reverse=True)

    async def _read(self, org_id: str, query: rows.UsageQuery, limit: int) -> list[rows.UsageGroup]:
        if query.tag:
            tags = self._tags()
            if tags != self._known_tags:  # the configuration may have been read again
                await self._usage.set_tags(tags)
                self._known_tags = tags
        return await self._usage.groups(org_id, query, limit)

    def _query(self, params: UsageGetParams) -> rows.UsageQuery:
        today = to_instant(self._clock.now_ms())[:_DATE_CHARS]
        until = _day("to", params.to or today)
        tags = [one.removeprefix(TAG) for one in params.by if one.startswith(TAG)]
        if len(tags) > 1:
            raise invalid_params([{"path": "by", "message": "Usage is told apart by one tag at a time"}])
        return rows.UsageQuery(
            since=_day("from", params.from_ or f"{until[:8]}01"),
            until=until,
            by=frozenset("tag" if one.startswith(TAG) else one for one in params.by),
            tag=tags[0] if tags else "",
            thread_id=params.thread_id,
            after=_after(params.cursor),
        )


def _day(path: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise invalid_params([{"path": path, "message": "There is no such day"}]) from None


def _shown(group: rows.UsageGroup, by: frozenset[str]) -> UsageGroup:
    named = dict(zip(_PLACES, _names(group), strict=True))
    return UsageGroup(
        **{place: named[place] for place in _PLACES if place in by},
        runs=group.runs,
        input_tokens=group.input_tokens,
        output_tokens=group.output_tokens,
        cost_microusd=group.cost_microusd,
    )


def _names(group: rows.UsageGroup) -> tuple[str, ...]:
    return (group.day, group.agent_id, group.person, group.room, group.token_id, group.model, group.tag)


def _cursor_behind(group: rows.UsageGroup) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(_names(group))).decode()


def _after(cursor: str | None) -> tuple[str, ...]:
    if cursor is None:
        return ()
    try:
        names = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError):
        names = None
    is_ours = (
        isinstance(names, list) and len(names) == len(_PLACES) and all(type(name) is str for name in names)
    )
    if not is_ours or (names[0] and len(names[0]) != _DATE_CHARS):
        raise Fault(ErrorKind.CONFLICT, "The cursor is not one of ours", hint="Use next_cursor as it came")
    return tuple(names)


def _budget(budget: BudgetSettings, state: rows.CounterState) -> Budget:
    return Budget(
        name=budget.name,
        of=budget.of,
        per=None if budget.of == "concurrent" else budget.per,
        each=budget.each,
        key=state.counted,
        limit=budget.limit,
        used=state.settled,
        reserved=state.reserved,
        resets_at=to_instant(state.resets_at_ms) if state.resets_at_ms is not None else None,
    )


def _fullness(budget: Budget) -> float:
    return (budget.used + budget.reserved) / max(1, budget.limit)
