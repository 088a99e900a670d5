"""The floor: what the same machine does at the same time without any of our code.

Machines differ, and a shared one differs from minute to minute: every other figure is to be read against these.
"""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

GROUP = 64
APPENDS = 20_000
LOOP = 5_000_000
SOCKETS = 400
ROUNDS = 50
FRAME_BYTES = 200


async def run() -> dict[str, Any]:
    """A bare durable append of two rows in groups of 64, a bare write to a socket, a bare Python loop."""
    return {
        "floor": {
            "bare_two_row_appends_per_s": round(_appends()),
            "bare_transport_write_us": round(await _writes(), 2),
            "python_loop_ns": round(_loop(), 1),
        }
    }


async def _writes() -> float:
    """CPU of one `transport.write` of a frame, over many sockets, with the same loop as the gateway's."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transports = [
        (await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))[0] for _ in range(SOCKETS)
    ]
    frame = b"x" * FRAME_BYTES
    used = 0.0
    for _ in range(ROUNDS):
        before = time.process_time()
        for transport in transports:
            transport.write(frame)
        await asyncio.sleep(0)  # the loop writes what it has gathered
        used += time.process_time() - before
        await asyncio.sleep(0.02)  # the other side reads; its work is not counted
    for transport in transports:
        transport.abort()
    server.close()
    return used / ROUNDS / SOCKETS * 1e6


def _appends() -> float:
    with tempfile.TemporaryDirectory(prefix="threadgate-bench-") as scratch:
        connection = sqlite3.connect(Path(scratch) / "floor.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE log (place INTEGER PRIMARY KEY, thread TEXT, seq INTEGER, data TEXT)"
        )
        connection.execute("CREATE UNIQUE INDEX by_thread ON log (thread, seq)")
        began = time.perf_counter()
        for begin in range(0, APPENDS, GROUP):
            connection.execute("BEGIN IMMEDIATE")
            for number in range(2 * begin, 2 * (begin + GROUP)):
                row = (f"thr_{number % GROUP:026d}", number, "x" * 200)
                connection.execute("INSERT INTO log (thread, seq, data) VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")
        took = time.perf_counter() - began
        connection.close()
    return APPENDS / took


def _loop() -> float:
    began = time.perf_counter()
    for _ in range(LOOP):
        pass
    return (time.perf_counter() - began) / LOOP * 1e9
