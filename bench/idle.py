"""Start, idle memory, memory per idle connection."""

import asyncio
import resource
from typing import Any

from bench.peer import GatewayProcess, LoadClient

CONNECTIONS = 5000
STARTS = 5


async def run() -> dict[str, Any]:
    """Figures of a gateway that does nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, CONNECTIONS + 500)), hard))
    starts = []
    for _ in range(STARTS):
        async with GatewayProcess() as gateway:
            starts.append(gateway.ready_s)
    async with GatewayProcess() as gateway:
        await asyncio.sleep(1.0)
        idle = gateway.rss_bytes()
        clients = [await LoadClient.connect(gateway) for _ in range(CONNECTIONS)]
        await asyncio.sleep(2.0)
        loaded = gateway.rss_bytes()
        for client in clients:
            client.close()
    return {
        "start_to_ready": {"median_s": round(sorted(starts)[STARTS // 2], 2), "max_s": round(max(starts), 2)},
        "idle": {
            "rss_mb": round(idle / 1e6, 1),
            "kib_per_connection": round((loaded - idle) / CONNECTIONS / 1024, 1),
            "connections": CONNECTIONS,
        },
    }
