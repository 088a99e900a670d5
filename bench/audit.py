"""The audit log: what an entry costs an act, and how fast a log is verified.

The acts are messages accepted by the store alone (thread, events, run, search index, entry), from 64 producers, in
blocks that take turns: with their entry, without it, and with an address that the entry commits to. One run, one store,
so that the machine's moods hit all three; CPU time is told beside, for machines that others use, too.
"""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.content_keys import ContentSealer
from gateway.vault_key import cipher_beside
from protocol.records import Actor, ActorKind, Origin
from storage import audit_log
from storage.audit_checkpoints import GROW_MAX
from storage.audit_inspection import inspect_store
from storage.engine import Transaction
from storage.store import Store
from storage.values import DEFAULT_ORG, Act, NewMessage, NewThread

PRODUCERS = 64
ROUNDS = 8
BLOCK_S = 1.0
ENTRIES = 1_000_000
ENTRIES_PER_WRITE = 5_000
_ACTOR = Actor(id="prn_01kbexample0000000000000000", kind=ActorKind.USER, name="bench")
_SEVERAL = {"without": None, "with": None, "with_address": "192.0.2.7"}


async def run() -> dict[str, Any]:
    """All figures of this file."""
    return {"audit_of_messages": await _overhead(), "audit_verify": await _verify()}


async def _open(scratch: str) -> Store:
    directory = Path(scratch)
    sealer = ContentSealer(cipher_beside(directory))
    return await Store.open(directory, new_epoch="e", new_log_id="l", now_ms=0, sealer=sealer)


@contextmanager
def _entries(kept: bool) -> Iterator[None]:
    real = audit_log.append
    if not kept:
        audit_log.append = lambda *given, **named: 0
    try:
        yield
    finally:
        audit_log.append = real


async def _overhead() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="threadgate-bench-") as scratch:
        store = await _open(scratch)
        numbers, names = itertools.count(), itertools.count()
        done = dict.fromkeys(_SEVERAL, 0)
        took = dict.fromkeys(_SEVERAL, 0.0)
        used = dict.fromkeys(_SEVERAL, 0.0)
        for _ in range(ROUNDS):
            for name, address in _SEVERAL.items():
                threads = [await _thread(store, next(names)) for _ in range(PRODUCERS)]
                act = Act(DEFAULT_ORG, _ACTOR, "bench", time.time_ns() // 1_000_000, address=address)
                began, cpu = time.perf_counter(), time.process_time()
                with _entries(name != "without"):
                    done[name] += await _block(store, threads, act, numbers)
                took[name] += time.perf_counter() - began
                used[name] += time.process_time() - cpu
        await store.close()
    rates = {name: done[name] / took[name] for name in _SEVERAL}
    cpu_us = {name: used[name] / done[name] * 1e6 for name in _SEVERAL}
    return {
        **{f"{name}_per_s": round(rate) for name, rate in rates.items()},
        "share_of_appends": round(1 - rates["with"] / rates["without"], 3),
        "share_with_address": round(1 - rates["with_address"] / rates["without"], 3),
        **{f"{name}_cpu_us": round(us) for name, us in cpu_us.items()},
    }


async def _thread(store: Store, number: int) -> str:
    """A thread of its own for every block: a longer queue makes a message dearer, whatever else it costs."""
    thread_id = f"thr_{number:026d}"
    act = Act(DEFAULT_ORG, _ACTOR, "bench", 1)
    await store.threads.create(act, NewThread(thread_id, "demo", "bench", Origin(kind="client")))
    return thread_id


async def _block(store: Store, threads: list[str], act: Act, numbers: "itertools.count[int]") -> int:
    stop_at = time.perf_counter() + BLOCK_S

    async def produce(thread_id: str) -> int:
        count = 0
        while time.perf_counter() < stop_at:
            await store.threads.accept(act, _message(thread_id, next(numbers)))
            count += 1
        return count

    return sum(await asyncio.gather(*(produce(thread_id) for thread_id in threads)))


def _message(thread_id: str, number: int) -> NewMessage:
    text = f"message {number} of a bench, about as long as what people write to an agent in a chat"
    content = [{"type": "text", "text": text}]
    ids = (f"msg_{number:026d}", f"run_{number:026d}")
    return NewMessage(*ids, thread_id, None, None, content, text, "", queue_max=10**9)


async def _verify() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="threadgate-bench-") as scratch:
        store = await _open(scratch)
        began = time.perf_counter()
        for first in range(0, ENTRIES, ENTRIES_PER_WRITE):
            await store.engine.write(_write, first)
        written = time.perf_counter() - began
        began = time.perf_counter()
        while await store.checkpoints.grow(ENTRIES) < ENTRIES:
            pass
        grown = time.perf_counter() - began
        began = time.perf_counter()
        for seq in range(1, 1000):
            await store.checkpoints.path(DEFAULT_ORG, seq * (ENTRIES // 1000), ENTRIES)
        proven = (time.perf_counter() - began) / 999
        await store.close()
        began, cpu = time.perf_counter(), time.process_time()
        report = inspect_store(Path(scratch))
        verified, verified_cpu = time.perf_counter() - began, time.process_time() - cpu
    assert (report.place.seq, report.broken) == (ENTRIES, None)
    return {
        "entries": ENTRIES,
        "verified_s": round(verified, 2),
        "verified_cpu_s": round(verified_cpu, 2),
        "append_us": round(written / ENTRIES * 1e6, 1),
        "tree_us_per_entry": round(grown / ENTRIES * 1e6, 1),
        "tree_ms_per_transaction": round(grown / ENTRIES * GROW_MAX * 1e3, 1),
        "prove_us": round(proven * 1e6),
    }


def _write(tx: Transaction, first: int) -> None:
    append: Callable[..., int] = audit_log.append
    for number in range(first, first + ENTRIES_PER_WRITE):
        act = Act(
            DEFAULT_ORG, _ACTOR, "websocket", 1_795_000_000_000 + number * 10, token_id=f"tok_{'0' * 26}"
        )
        subject = {
            "thread_id": f"thr_{number:026d}",
            "message_id": f"msg_{number:026d}",
            "run_id": f"run_{number:026d}",
        }
        append(tx, act, "message.send", subject)
