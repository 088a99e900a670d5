"""The store alone: durable appends (one event and the thread's head) at 1, 64 and 1,000 producers."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import latency_ms
from gateway.content_keys import ContentSealer
from gateway.vault_key import cipher_beside
from protocol.events import EventKind
from protocol.records import Actor, ActorKind, Origin
from storage import thread_rows
from storage.engine import Transaction
from storage.event_log import Fact, Tail, append
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, NewThread

PRODUCERS = (1, 64, 1000)
SECONDS = 5.0
_ACTOR = Actor(id="prn_bench", kind=ActorKind.USER, name="bench")


async def run() -> dict[str, Any]:
    """Appends per second and their latency, per number of producers."""
    return {f"appends_{count}_producers": await _producers(count) for count in PRODUCERS}


async def _producers(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="threadgate-bench-") as scratch:
        store = await Store.open(
            Path(scratch),
            new_epoch="e",
            new_log_id="l",
            now_ms=0,
            sealer=ContentSealer(cipher_beside(Path(scratch))),
        )
        threads = [f"thr_{number:026d}" for number in range(count)]
        act = Act(DEFAULT_ORG, _ACTOR, "bench", 0)
        for thread_id in threads:
            await store.threads.create(act, NewThread(thread_id, "demo", "bench", Origin(kind="client")))
        latencies: list[float] = []
        stop_at = time.perf_counter() + SECONDS

        async def produce(thread_id: str) -> None:
            while (now := time.perf_counter()) < stop_at:
                await store.engine.write(_append, thread_id)
                latencies.append(time.perf_counter() - now)

        began = time.perf_counter()
        await asyncio.gather(*(produce(thread_id) for thread_id in threads))
        took = time.perf_counter() - began
        await store.close()
    return {"per_s": round(len(latencies) / took), **latency_ms(latencies)}


def _append(tx: Transaction, thread_id: str) -> None:
    fact = Fact(EventKind.THREAD_UPDATED, {"title": "x" * 100}, _ACTOR)
    append(tx, Tail.of(thread_rows.find(tx, DEFAULT_ORG, thread_id)), 1, [fact])
