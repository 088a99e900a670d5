"""A whole turn with the demo agent: send → first delta → final message, and turns per second under load."""

import asyncio
import time
from typing import Any

from bench.machine import latency_ms
from bench.peer import GatewayProcess, LoadClient, Watcher, text_message

TURNS = 300
LOAD_CLIENTS = 64
LOAD_SECONDS = 6.0


async def run() -> dict[str, Any]:
    """Latency of single turns and throughput of many."""
    async with GatewayProcess() as gateway:
        return {"turn_alone": await _alone(gateway), "turns_64_clients": await _loaded(gateway)}


async def _alone(gateway: GatewayProcess) -> dict[str, Any]:
    client = await LoadClient.connect(gateway)
    made = await client.request("thread.create", {})
    thread_id = made["thread"]["id"]
    await client.request("thread.subscribe", {"thread_id": thread_id})
    watcher = Watcher(client)
    first, final = [], []
    for _ in range(TURNS):
        delta, done = watcher.expect("delta"), watcher.expect("run.completed")
        began = time.perf_counter()
        await client.request("message.send", text_message("say hello", thread_id=thread_id))
        first.append(await delta - began)
        final.append(await done - began)
    return {"first_delta": latency_ms(first), "final": latency_ms(final)}


async def _loaded(gateway: GatewayProcess) -> dict[str, Any]:
    clients = [await LoadClient.connect(gateway) for _ in range(LOAD_CLIENTS)]
    stop_at = time.perf_counter() + LOAD_SECONDS
    finished = 0
    used = gateway.cpu_s()

    async def drive(client: LoadClient) -> None:
        nonlocal finished
        made = await client.request("thread.create", {})
        thread_id = made["thread"]["id"]
        await client.request("thread.subscribe", {"thread_id": thread_id})
        watcher = Watcher(client)
        while time.perf_counter() < stop_at:
            done = watcher.expect("run.completed")
            await client.request("message.send", text_message("say hello", thread_id=thread_id))
            await done
            finished += 1

    await asyncio.gather(*(drive(client) for client in clients))
    cpu = gateway.cpu_s() - used
    return {
        "turns_per_s": round(finished / LOAD_SECONDS),
        "gateway_cpu_us_per_turn": round(cpu / finished * 1e6),
    }
