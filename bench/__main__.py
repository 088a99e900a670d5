"""Run benchmarks by name (all without one), print the figures, write them to `bench/results/`."""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bench import (
    appends,
    audit,
    authorize,
    budgets,
    channels,
    fanout,
    floor,
    idle,
    kinds,
    machine,
    many_runs,
    policies,
    sends,
    turns,
)

RESULTS = Path(__file__).parent / "results" / "results.json"
BENCHMARKS: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
    "floor": floor.run,
    "appends": appends.run,
    "audit": audit.run,
    "authorize": authorize.run,
    "sends": sends.run,
    "turns": turns.run,
    "kinds": kinds.run,
    "many_runs": many_runs.run,
    "policies": policies.run,
    "fanout": fanout.run,
    "idle": idle.run,
    "channels": channels.run,
    "budgets": budgets.run,
}


async def main(names: list[str]) -> None:
    """Run them one after the other; results of those not run are kept."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = machine.describe()
    results["command"] = "make bench"
    for name in names or list(BENCHMARKS):
        figures = await BENCHMARKS[name]()
        for figure, values in figures.items():
            print(f"{figure:32} {json.dumps(values)}", flush=True)
        results.setdefault("figures", {}).update(figures)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


uvloop.run(main(sys.argv[1:]))
