"""`message.send` answered durably: closed loop, 64 connections, idle and with a saturated loop.

Nothing is executed meanwhile: one sleeping run takes the only slot, so what is measured is request →
validation → group commit (message, run, two events, audit entry, stored answer) → answer.
"""

import asyncio
import os
import time
from typing import Any

from bench.machine import latency_ms
from bench.peer import GatewayProcess, LoadClient, text_message

CLIENTS = 64
SECONDS = 8.0
WARM_UP_S = 1.0
THREADS_PER_CLIENT = 32
STREAMS = 80
VIEWERS = 100
STREAM_WORDS = 2000
STREAM_RATE = 100


async def run() -> dict[str, Any]:
    """All figures of this file."""
    return {
        "send_64_clients": await _quiet(),
        "send_16_clients_loop_saturated": await _saturated(),
    }


async def _quiet() -> dict[str, Any]:
    async with GatewayProcess(concurrent=1) as gateway:
        blocker = await LoadClient.connect(gateway)
        await blocker.request("message.send", text_message("sleep 3600"))
        clients = [await LoadClient.connect(gateway) for _ in range(CLIENTS)]
        used, began = gateway.cpu_s(), time.perf_counter()
        latencies = await _drive(clients)
        took, cpu = time.perf_counter() - began, gateway.cpu_s() - used
        return {
            "per_s": round(len(latencies) / took),
            **latency_ms(latencies),
            "gateway_cpu_us_per_send": round(cpu / len(latencies) * 1e6),
        }


async def _saturated() -> dict[str, Any]:
    async with GatewayProcess(concurrent=STREAMS + 8) as gateway:
        source = await LoadClient.connect(gateway)
        threads = []
        for _ in range(STREAMS):
            made = await source.request("thread.create", {})
            threads.append(made["thread"]["id"])
        viewers = [await LoadClient.connect(gateway) for _ in range(VIEWERS)]
        for viewer in viewers:
            for thread_id in threads:
                await viewer.request("thread.subscribe", {"thread_id": thread_id})
        for viewer in viewers:
            viewer.only_counts_bytes = True  # or the load's own core would be what is measured
        text = f"stream {STREAM_WORDS} {STREAM_RATE}"
        for thread_id in threads:
            await source.request("message.send", text_message(text, thread_id=thread_id))
        await asyncio.sleep(1.0)
        clients = [await LoadClient.connect(gateway) for _ in range(16)]
        used, began = gateway.cpu_s(), time.perf_counter()
        before = await gateway.metric("threadgate_hub_deliveries")
        latencies = await _drive(clients)
        took, cpu = time.perf_counter() - began, gateway.cpu_s() - used
        delivered = await gateway.metric("threadgate_hub_deliveries") - before
        return {
            "per_s": round(len(latencies) / took),
            **latency_ms(latencies),
            "deliveries_per_s": round(delivered / took),
            "gateway_cpu_share": round(cpu / took, 2),
        }


async def _drive(clients: list[LoadClient]) -> list[float]:
    """Each client sends, waits for the answer, sends again, over a few threads of its own."""
    latencies: list[float] = []
    stop_at = time.perf_counter() + WARM_UP_S + SECONDS

    async def drive(client: LoadClient) -> None:
        threads = []
        for _ in range(THREADS_PER_CLIENT):
            made = await client.request("thread.create", {})
            threads.append(made["thread"]["id"])
        number = 0
        while (now := time.perf_counter()) < stop_at:
            number += 1
            params = text_message(
                "sleep 3600",
                thread_id=threads[number % THREADS_PER_CLIENT],
                idempotency_key=os.urandom(8).hex(),
            )
            await client.request("message.send", params)
            if now > stop_at - SECONDS:
                latencies.append(time.perf_counter() - now)

    await asyncio.gather(*(drive(client) for client in clients))
    return latencies
