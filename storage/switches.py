"""Switches: agents that an operator has switched off, at once and until somebody switches them on again.

Switching off ends the agent's unfinished runs in the same transaction; a claim of that moment is either before it, and
its run is ended, or after it, and finds the switch (`run_owning.py`). New messages find it too (`messages.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import SwitchedOff
from protocol.usage import AgentSwitchResult
from storage import audit_log, run_ends
from storage.budget_values import Switch
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import Act, Ending, Notice

_SQL = Queries("budgets")
ALL: Final = "*"
"""In the place of an agent's id: all of them."""
_AT_ONCE: Final = 1_000
"""Runs read at once while they are ended."""


def find(tx: Reader, org_id: str, agent_id: str) -> Row | None:
    """The switch an agent is off by."""
    return tx.one(_SQL.switched_off, org_id=org_id, agent_id=agent_id)


def sentence(switch: Row) -> str:
    """Who switched what off, and why, as people are told."""
    what = "All agents are" if switch["agent_id"] == ALL else f"The agent {switch['agent_id']} is"
    return f"{what} switched off by {from_text(switch['by_actor'])['name']}: {switch['reason']}"


class Switches:
    """`storage.budget_ports.SwitchStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def all(self) -> list[Switch]:
        return await self._engine.read(_all)

    async def off(
        self, act: Act, agent_id: str, reason: str, ending: Ending, notices: Mapping[str, Notice]
    ) -> RawJson:
        return await self._engine.write(_off, act, agent_id, reason, ending, notices)

    async def on(self, act: Act, agent_id: str) -> RawJson:
        return await self._engine.write(_on, act, agent_id)

    async def unfinished(self, org_id: str, agent_id: str, limit: int) -> list[tuple[str, str]]:
        return await self._engine.read(_unfinished, org_id, agent_id, limit)


def _all(tx: Reader) -> list[Switch]:
    return [
        Switch(row["org_id"], row["agent_id"], from_text(row["by_actor"])["name"], row["reason"], row["at"])
        for row in tx.all(_SQL.switches)
    ]


def _unfinished(tx: Reader, org_id: str, agent_id: str, limit: int) -> list[tuple[str, str]]:
    rows = tx.all(_SQL.unfinished, org_id=org_id, agent_id=agent_id, limit=limit)
    return [(row["id"], row["thread_id"]) for row in rows]


def _off(
    tx: Transaction, act: Act, agent_id: str, reason: str, ending: Ending, notices: Mapping[str, Notice]
) -> RawJson:
    def effect() -> AgentSwitchResult:
        tx.run(
            _SQL.switch_off,
            org_id=act.org_id,
            agent_id=agent_id,
            by_actor=to_text(act.actor.model_dump(mode="json")),
            reason=reason,
            at=act.at_ms,
        )
        ended = _end_all(tx, act, agent_id, ending, notices)
        detail = {"on": False, "runs": ended}
        audit_log.append(
            tx, act, "agent.switch", {"agent_id": agent_id}, detail=detail, content={"reason": reason}
        )
        return _result(tx, act, ended)

    return once(tx, act, effect)


def _on(tx: Transaction, act: Act, agent_id: str) -> RawJson:
    def effect() -> AgentSwitchResult:
        tx.run(_SQL.switch_on, org_id=act.org_id, agent_id=agent_id)
        audit_log.append(tx, act, "agent.switch", {"agent_id": agent_id}, detail={"on": True})
        return _result(tx, act, 0)

    return once(tx, act, effect)


def _end_all(tx: Transaction, act: Act, agent_id: str, ending: Ending, notices: Mapping[str, Notice]) -> int:
    """End every unfinished run; what was said to one and not taken is a run of its own then, which ends as well."""
    count = 0
    while rows := tx.all(_SQL.unfinished, org_id=act.org_id, agent_id=agent_id, limit=_AT_ONCE):
        for row in rows:
            run_ends.end(tx, act, row, replace(ending, notice=notices.get(row["id"])))
            count += 1
    return count


def _result(tx: Reader, act: Act, ended: int) -> AgentSwitchResult:
    return AgentSwitchResult(
        switches=[
            SwitchedOff(
                agent_id=row["agent_id"],
                by=from_text(row["by_actor"])["name"],
                at=to_instant(row["at"]),
                reason=row["reason"],
            )
            for row in tx.all(_SQL.switches_of, org_id=act.org_id)
        ],
        cancelled_runs=ended,
    )
