"""A thousand answers being written at once, each followed by one subscriber: how late words arrive, and how soon one
of the runs is cancelled.

Every word says when its agent said it (`stamps.py`), so a delay is that of the gateway alone, its rolling up of
deltas (40 ms) included. An agent whose timers come late says less than it should: `words_per_s` shows that, and
`load_cpu_share` whether the load's own core was the one that was full.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench.beside import Beside
from bench.machine import latency_ms
from bench.peer import GatewayProcess, LoadClient, text_message
from bench.stamps import COMMAND, delays_s

RUNS = 1000
RATE = 25
"""Words per second of one run: as many as there may be deltas."""
REMOTE_RATE = 5
"""The same for runs of an agent process: it shares the load's core with the subscribers, and 25,000 words a second are
more than that core can say and read."""
CONNECTIONS = 20
"""Of subscribers: with 50 threads each, under the 128 that one connection may follow."""
SECONDS = 20.0
SETTLE_S = 3.0
"""After the last run has begun to speak."""
CANCELS = 20
CANCEL_EVERY_S = 0.25
WORDS = 2500
"""Of one run: 100 s at the full rate, longer than all of this takes; runs that are left end with the gateway."""
DEADLINE_S = 150.0
REMOTE = """
[[agents]]
id = "remote"
kind = "remote"
"""


class Follower:
    """One connection with its share of the threads: counts what arrives and notes how late it is."""

    def __init__(self, client: LoadClient) -> None:
        self.client = client
        self.runs: list[str] = []
        self.speaking: set[str] = set()
        self.delays: list[float] = []
        self.deltas = 0
        self.is_counting = False
        self.cancelled: dict[str, asyncio.Future[float]] = {}
        client.on_frame = self._take

    async def begin(self, agent_id: str, count: int, rate: int) -> None:
        """Make threads, follow them, let a run begin in each."""
        for _ in range(count):
            made = await self.client.request("thread.create", {"agent_id": agent_id})
            thread_id = made["thread"]["id"]
            await self.client.request("thread.subscribe", {"thread_id": thread_id})
            text = text_message(f"{COMMAND} {WORDS} {rate}", thread_id=thread_id)
            sent = await self.client.request("message.send", text)
            self.runs.append(sent["run_id"])

    async def cancel(self, run_id: str) -> float:
        """Seconds from the request to the event that says so."""
        told = self.cancelled[run_id] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self.client.request("run.cancel", {"run_id": run_id})
        at: float = await told
        return at - began

    def _take(self, frame: bytes) -> None:
        now_ns = time.monotonic_ns()
        note = json.loads(frame)
        params = note["params"]
        if note["method"] == "delta":
            self.speaking.add(params["run_id"])
            if self.is_counting:
                self.deltas += 1
                self.delays += delays_s(params["text"], now_ns)
        elif params.get("kind") == "run.cancelled":
            future = self.cancelled.pop(params["run_id"], None)
            if future is not None:
                future.set_result(time.perf_counter())
        elif params.get("kind") == "run.failed":
            raise RuntimeError(f"a run failed: {params['data']}")


async def run() -> dict[str, Any]:
    """Agents in the gateway's own process, then agents in a process of their own."""
    return {**await _within(), **await _remote()}


async def _within() -> dict[str, Any]:
    async with GatewayProcess(concurrent=RUNS, command=("-m", "bench.stamped")) as gateway:
        async with asyncio.timeout(DEADLINE_S):
            return await _measure(gateway, "demo", RATE, f"runs_{RUNS}")


async def _remote() -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(GatewayProcess(concurrent=RUNS, more_config=REMOTE))
        client = await LoadClient.connect(gateway)
        token = await client.request("token.create", {"role": "agent", "agent_id": "remote"})
        address = f"http://127.0.0.1:{gateway.port}"
        worker = Beside("bench.worker", address, str(RUNS), THREADGATE_TOKEN=token["secret"])
        await stack.enter_async_context(worker)
        async with asyncio.timeout(DEADLINE_S):
            return await _measure(gateway, "remote", REMOTE_RATE, f"runs_{RUNS}_remote")


async def _measure(gateway: GatewayProcess, agent_id: str, rate: int, name: str) -> dict[str, Any]:
    followers = [Follower(await LoadClient.connect(gateway)) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(follower.begin(agent_id, RUNS // CONNECTIONS, rate) for follower in followers))
    while sum(len(follower.speaking) for follower in followers) < RUNS:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_S)
    used, used_here, began = gateway.cpu_s(), time.process_time(), time.perf_counter()
    _count(followers, True)
    await asyncio.sleep(SECONDS)
    _count(followers, False)
    took = time.perf_counter() - began
    streamed = {
        "nominal_words_per_s": RUNS * rate,
        "delay": latency_ms([delay for follower in followers for delay in follower.delays]),
        "words_per_s": round(sum(len(follower.delays) for follower in followers) / took),
        "deltas_per_s": round(sum(follower.deltas for follower in followers) / took),
        "gateway_cpu_share": round((gateway.cpu_s() - used) / took, 2),
        "load_cpu_share": round((time.process_time() - used_here) / took, 2),
        "rss_mb": round(gateway.rss_bytes() / 1e6, 1),
    }
    cancelled = []
    for number in range(CANCELS):
        follower = followers[number % CONNECTIONS]
        cancelled.append(await follower.cancel(follower.runs.pop()))
        await asyncio.sleep(CANCEL_EVERY_S)
    return {name: streamed, f"cancel_among_{name}": latency_ms(cancelled)}


def _count(followers: Sequence[Follower], is_counting: bool) -> None:
    for follower in followers:
        follower.is_counting = is_counting
