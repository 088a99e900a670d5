"""Usage by day, kept beside the steps it is the sum of, so that a month of a million runs is read from few rows."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from protocol.instants import to_instant
from protocol.records import Usage
from storage.budget_values import UsageGroup, UsageQuery
from storage.engine import Engine, Reader, Row, Transaction
from storage.queries import Queries

_SQL = Queries("usage")
_DATE_CHARS: Final = len("2026-11-21")
_FIRST_DAY: Final = date(1970, 1, 1)


def add(tx: Transaction, run: Row, at_ms: int, model: str, usage: Usage) -> None:
    """What a step of a run cost."""
    tx.run(_SQL.add, **_group(run, at_ms), model=model, runs=0, **usage.model_dump())


def count_run(tx: Transaction, run: Row, at_ms: int) -> None:
    """A run ended."""
    tx.run(_SQL.add, **_group(run, at_ms), model="", runs=1, **Usage().model_dump())


def _group(run: Row, at_ms: int) -> dict[str, Any]:
    return {
        "org_id": run["org_id"],
        "day": to_instant(at_ms)[:_DATE_CHARS],
        "agent_id": run["agent_id"],
        "person": run["requested_by"],
        "room": run["room"],
        "token_id": run["token_id"],
    }


class UsageDays:
    """`storage.budget_ports.UsageStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def groups(self, org_id: str, query: UsageQuery, limit: int) -> list[UsageGroup]:
        return await self._engine.read(_groups, org_id, query, limit)

    async def set_tags(self, tags: Mapping[str, Mapping[str, str]]) -> None:
        await self._engine.write(_set_tags, tags)


def _groups(tx: Reader, org_id: str, query: UsageQuery, limit: int) -> list[UsageGroup]:
    after = query.after or ("",) * len("abcdefg")
    values: dict[str, Any] = {
        "org_id": org_id,
        "tag": query.tag if "tag" in query.by else "",
        "is_first": not query.after,
        "limit": limit,
        **{f"by_{name}": name in query.by for name in ("day", "agent", "person", "room", "token", "model")},
        **dict(zip("bcdefg", after[1:], strict=True)),
    }
    if query.by == {"day"} and query.thread_id is None:
        span = {"since": query.since, "until": query.until, "after": after[0]}
        return [UsageGroup(*row) for row in tx.all(_SQL.days, org_id=org_id, limit=limit, **span)]
    if query.thread_id is None:
        rows = tx.all(_SQL.groups, since=query.since, until=query.until, a=after[0], **values)
        return [UsageGroup(*row) for row in rows]
    since, until, first = (_day_number(day) for day in (query.since, query.until, after[0]))
    rows = tx.all(
        _SQL.groups_of_thread, thread_id=query.thread_id, since=since, until=until, a=first, **values
    )
    return [UsageGroup(_day(row["day"]), *tuple(row)[1:]) for row in rows]


def _day_number(day: str) -> str:
    return str((date.fromisoformat(day) - _FIRST_DAY).days) if day else ""


def _day(number: str) -> str:
    return (_FIRST_DAY + timedelta(days=int(number))).isoformat() if number else ""


def _set_tags(tx: Transaction, tags: Mapping[str, Mapping[str, str]]) -> None:
    tx.run(_SQL.clear_tags)
    for agent_id, named in tags.items():
        for name, value in named.items():
            tx.run(_SQL.set_tag, agent_id=agent_id, name=name, value=value)
