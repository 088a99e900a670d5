"""Fan-out: one thread, 1,000 subscribers; the gateway's CPU per delivery of a delta."""

import asyncio
from typing import Any

from bench.peer import GatewayProcess, LoadClient, text_message

SUBSCRIBERS = 1000
WORDS = 250
RATE = 25


async def run() -> dict[str, Any]:
    """CPU per delivery, from the process's own accounting over the whole stream."""
    async with GatewayProcess() as gateway:
        source = await LoadClient.connect(gateway)
        made = await source.request("thread.create", {})
        thread_id = made["thread"]["id"]
        subscribers = [await LoadClient.connect(gateway) for _ in range(SUBSCRIBERS)]
        for subscriber in subscribers:
            await subscriber.request("thread.subscribe", {"thread_id": thread_id})
        await asyncio.sleep(1.0)
        frames = sum(subscriber.frames for subscriber in subscribers)
        used = gateway.cpu_s()
        await source.request("message.send", text_message(f"stream {WORDS} {RATE}", thread_id=thread_id))
        await asyncio.sleep(WORDS / RATE + 1.5)
        cpu = gateway.cpu_s() - used
        delivered = sum(subscriber.frames for subscriber in subscribers) - frames
        return {
            "fanout_1000_subscribers": {
                "deliveries": delivered,
                "gateway_cpu_us_per_delivery": round(cpu / delivered * 1e6, 2),
            }
        }
