"""What budgets cost a message, and how long a month of 1,000,000 runs takes to be told apart."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.machine import latency_ms
from gateway.content_keys import ContentSealer
from gateway.governance_settings import BudgetSettings
from gateway.rules.budget import Budgets
from gateway.vault_key import cipher_beside
from protocol.records import Actor, ActorKind, Origin, Usage
from storage import messages, usage_days
from storage.budget_values import UsageQuery
from storage.engine import Transaction
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, NewMessage, NewThread

MESSAGES: Final = 1_500
ROUNDS: Final = 5
RUNS: Final = 1_000_000
PEOPLE, ROOMS, AGENTS, TOKENS = 500, 50, 5, 20
RUNS_AT_ONCE: Final = 20_000
LIMITS: Final = (
    {"name": "house", "of": "messages", "limit": 10**12, "per": "month"},
    {"name": "people", "of": "messages", "limit": 10**12, "each": "person"},
    {"name": "runs", "of": "runs", "limit": 10**12},
    {"name": "tokens", "of": "tokens", "limit": 10**12},
)
MONTH: Final = ("2026-10-01", "2026-10-31")
BEGIN_MS: Final = 1_790_812_800_000
DAY_MS: Final = 86_400_000


async def run() -> dict[str, Any]:
    """CPU of accepting a message with and without budgets; reading a month."""
    figures: dict[str, Any] = {}
    async with _store() as store:
        figures["accept_us"] = await _accepts(store)
    async with _store() as store:
        figures["usage_month_1m_runs_ms"] = await _month(store)
    return figures


@asynccontextmanager
async def _store() -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory(prefix="threadgate-bench-") as scratch:
        place = Path(scratch)
        sealer = ContentSealer(cipher_beside(place))
        store = await Store.open(place, new_epoch="e", new_log_id="l", now_ms=0, sealer=sealer)
        try:
            yield store
        finally:
            await store.close()


async def _accepts(store: Store) -> dict[str, float]:
    """Microseconds of the writer per accepted message, the best round of each: in turns, so that both are equal."""
    budgets = Budgets(tuple(BudgetSettings.model_validate(one) for one in LIMITS))
    found: dict[str, list[float]] = {"without": [], "with_4_budgets": []}
    for number in range(ROUNDS):
        for name, rules in (("without", None), ("with_4_budgets", budgets)):
            store.engine.budgets = rules
            found[name].append(await store.engine.write(_accept_many, f"{name}{number}"))
    return {name: round(min(times), 1) for name, times in found.items()}


def _accept_many(tx: Transaction, prefix: str) -> float:
    actor = Actor(id="prn_bench", kind=ActorKind.USER, name="bench")
    began = time.thread_time()
    for number in range(MESSAGES):
        name = f"{prefix}_{number}"
        thread = NewThread(f"thr_{name}", "demo", "bench", Origin(kind="client"))
        content = [{"type": "text", "text": "hello there"}]
        new = NewMessage(f"msg_{name}", f"run_{name}", None, thread, None, content, "hello there", "", 100)
        messages.accept(tx, Act(DEFAULT_ORG, actor, "bench", BEGIN_MS), new)
    return (time.thread_time() - began) / MESSAGES * 1e6


async def _month(store: Store) -> dict[str, Any]:
    chance = random.Random(5)
    for begin in range(0, RUNS, RUNS_AT_ONCE):
        await store.engine.write(_use, chance, min(RUNS_AT_ONCE, RUNS - begin))
    figures: dict[str, Any] = {"daily_rows": await store.engine.read(_rows)}
    for by in (("day",), ("day", "agent", "model"), ("person",), ("room", "tag"), ("day", "person")):
        query = UsageQuery(*MONTH, frozenset(by), "team" if "tag" in by else "")
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            groups = await store.usage.groups(DEFAULT_ORG, query, 500)
            times.append(time.perf_counter() - began)
        figures["by_" + "_".join(by)] = {"groups": len(groups), **latency_ms(times)}
        await asyncio.sleep(0)
    return figures


def _use(tx: Transaction, chance: random.Random, runs: int) -> None:
    for _ in range(runs):
        person = chance.randrange(PEOPLE)
        row: Any = {
            "org_id": DEFAULT_ORG,
            "agent_id": f"agent{chance.randrange(AGENTS)}",
            "requested_by": f"slack:U{person}",
            "room": f"slack:C{person % ROOMS}",
            "token_id": f"tok_{chance.randrange(TOKENS)}" if person % 10 == 0 else "",
        }
        at_ms = BEGIN_MS + chance.randrange(31) * DAY_MS
        usage = Usage(input_tokens=900, output_tokens=200, cost_microusd=1500)
        usage_days.add(tx, row, at_ms, "openai:gpt", usage)
        usage_days.count_run(tx, row, at_ms)


def _rows(tx: Any) -> int:
    count: int = tx.value("SELECT count(*) FROM usage_daily")
    return count
