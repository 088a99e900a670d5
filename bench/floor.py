"""The floor: what the same machine does at the same time without any of our code.

Machines differ, and a shared one differs from minute to minute: every other figure is to be read against these.
"""

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

GROUP = 64
APPENDS = 20_000
LOOP = 5_000_000


async def run() -> dict[str, Any]:
    """A bare durable append of two rows in groups of 64, and a bare Python loop."""
    return {"floor": {"bare_two_row_appends_per_s": round(_appends()), "python_loop_ns": round(_loop(), 1)}}


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
