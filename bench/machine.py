"""What the figures were taken on, and what a process has used."""

import os
import platform
import sqlite3
import time
from pathlib import Path
from typing import Any

_PROCESS_CLOCK = 2
"""Low bits of the clock that counts a process's CPU time in nanoseconds (clock_getcpuclockid(3), Linux)."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def describe() -> dict[str, Any]:
    """The machine in a few words."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used, user and system, all its threads. Raises OSError when there is none."""
    return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def latency_ms(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    return {
        "p50_ms": round(percentile(seconds, 0.50) * 1000, 2),
        "p99_ms": round(percentile(seconds, 0.99) * 1000, 2),
        "max_ms": round(max(seconds) * 1000, 2),
    }
