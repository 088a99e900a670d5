"""What a turn costs with each kind of agent, beside what the agent's endpoint takes when it is asked directly.

One client sends a message and follows the thread: send → first delta → run.completed. Every answer has 16 tokens and
is made without delay, so that what is measured is the gateway (and, with kind="remote", the client library of the
agent process). The kinds and the bare request take turns in short blocks, so that a machine whose speed changes
changes them all alike; each block is a conversation of its own, whose history the agents are sent.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.beside import Beside
from bench.machine import latency_ms, percentile
from bench.peer import GATEWAY_CORE, LOAD_CORE, GatewayProcess, LoadClient, Watcher, text_message

TOKENS = 16
ROUNDS = 15
TURNS = 20
"""Per block: with their answers they just fit into the 40 messages of history that agents are sent."""
SETTLE_S = 0.05
"""After a block, so that the gateway's CPU for it is counted with it."""
DEADLINE_S = 300.0
WORKER_RUNS = 8
FLOOR = "bare_endpoint"
ASKED = f"tokens {TOKENS}"
KINDS: Mapping[str, str] = {
    "demo": "say " + "word " * TOKENS,
    "model": ASKED,
    "http": ASKED,
    "remote": ASKED,
}
"""Kind → what its agent is told to say 16 tokens; the demo agent says them in one piece, the others one by one."""
AGENTS = """
[[agents]]
id = "demo"
kind = "demo"

[[agents]]
id = "model"
kind = "model"
model = "openai:demo"
base_url = "{base_url}"
api_key = "env:BENCH_KEY"

[[agents]]
id = "http"
kind = "http"
url = "{base_url}/chat/completions"

[[agents]]
id = "remote"
kind = "remote"
"""


@dataclass
class Taken:
    """Seconds from the question to the first piece and to the end, and CPU seconds by process, over all blocks."""

    first: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    gateway_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0


async def run() -> dict[str, Any]:
    """Figures of every kind, and of the bare request."""
    os.environ.setdefault("BENCH_KEY", "none")
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(Beside("bench.endpoint"))
        config = AGENTS.format(base_url=endpoint.said)
        gateway = await stack.enter_async_context(GatewayProcess(more_config=config))
        client = await LoadClient.connect(gateway)
        token = await client.request("token.create", {"role": "agent", "agent_id": "remote"})
        address = f"http://127.0.0.1:{gateway.port}"
        worker = await stack.enter_async_context(
            Beside("bench.worker", address, str(WORKER_RUNS), THREADGATE_TOKEN=token["secret"])
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(endpoint.said + "/"))
        async with asyncio.timeout(DEADLINE_S):
            taken = await _measure(gateway, worker, client, session)
    return _figures(taken)


async def _measure(
    gateway: GatewayProcess, worker: Beside, client: LoadClient, session: aiohttp.ClientSession
) -> dict[str, Taken]:
    """Rounds of blocks. The first round warms up and is not counted."""
    taken: dict[str, Taken] = {}
    for number in range(ROUNDS + 1):
        if number <= 1:
            taken = {kind: Taken() for kind in (FLOOR, *KINDS)}
        await _ask_directly(session, taken[FLOOR])
        for kind, text in KINDS.items():
            used, used_by_worker = gateway.cpu_s(), worker.cpu_s()
            await _converse(client, kind, text, taken[kind])
            await asyncio.sleep(SETTLE_S)
            taken[kind].gateway_cpu_s += gateway.cpu_s() - used
            taken[kind].worker_cpu_s += worker.cpu_s() - used_by_worker
    return taken


async def _converse(client: LoadClient, agent_id: str, text: str, taken: Taken) -> None:
    """One block of turns, in a thread of its own."""
    made = await client.request("thread.create", {"agent_id": agent_id})
    thread_id = made["thread"]["id"]
    await client.request("thread.subscribe", {"thread_id": thread_id})
    watcher = Watcher(client)
    for _ in range(TURNS):
        first, final = watcher.expect("delta"), watcher.expect("run.completed")
        began = time.perf_counter()
        await client.request("message.send", text_message(text, thread_id=thread_id))
        taken.first.append(await first - began)
        taken.final.append(await final - began)
    await client.request("thread.unsubscribe", {"thread_id": thread_id})


async def _ask_directly(session: aiohttp.ClientSession, taken: Taken) -> None:
    """A block of bare requests for the same answer, made from the gateway's core while it has nothing to do."""
    os.sched_setaffinity(0, {GATEWAY_CORE})
    body = {
        "model": "demo",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": ASKED}],
    }
    for _ in range(TURNS):
        began, first = time.perf_counter(), 0.0
        async with session.post("chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.content:
                if not first and b'"content": "w' in line:
                    first = time.perf_counter()
        taken.first.append(first - began)
        taken.final.append(time.perf_counter() - began)
    os.sched_setaffinity(0, {LOAD_CORE})


def _figures(taken: Mapping[str, Taken]) -> dict[str, Any]:
    floor = taken[FLOOR]
    figures: dict[str, Any] = {f"turn_{FLOOR}": _latencies(floor)}
    for kind in KINDS:
        found = taken[kind]
        figures[f"turn_{kind}"] = {
            **_latencies(found),
            "gateway_cpu_ms": round(found.gateway_cpu_s / len(found.final) * 1000, 2),
        }
    for kind in ("model", "http"):
        figures[f"turn_{kind}"]["overhead"] = {
            name: round((percentile(ours, share) - percentile(bare, share)) * 1000, 2)
            for name, ours, bare, share in (
                ("first_delta_p50_ms", taken[kind].first, floor.first, 0.50),
                ("final_p50_ms", taken[kind].final, floor.final, 0.50),
                ("final_p99_ms", taken[kind].final, floor.final, 0.99),
            )
        }
    remote = taken["remote"]
    figures["turn_remote"]["agent_process_cpu_ms"] = round(remote.worker_cpu_s / len(remote.final) * 1000, 2)
    return figures


def _latencies(taken: Taken) -> dict[str, Any]:
    return {"first_delta": latency_ms(taken.first), "final": latency_ms(taken.final)}
