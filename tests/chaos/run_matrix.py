"""The crash matrix as a command and for tests: which cells are played, how many at once, and the table at the end.

`run` is what tests call, `main` the command. The short form meets every place once; the long form counts every
point up to its last passing, kills twice, and kills at random.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .crash_loop import hasty_clients
from .matrix.acp_kind import Acp
from .matrix.cells import Cell, Victim, at_random, every_count, once_each, twice
from .matrix.http_kind import Http
from .matrix.kinds import Demo, Kind
from .matrix.model_kind import Model
from .matrix.remote_kind import Remote
from .matrix.script_kind import Script
from .matrix.stage import QUIET_S, Outcome, Stage
from .matrix.table import Report, table

KINDS: Final[dict[str, Callable[[], Kind]]] = {
    "demo": Demo,
    "script": Script,
    "model": Model,
    "acp": Acp,
    "remote": Remote,
    "http": Http,
}
AT_ONCE: Final = 2
"""Stages at the same time: as many as CI has cores."""
RANDOM_PER_ROUND: Final = 40
"""Cells killed at random moments, per kind and round."""
FAULTS: Final = ("no-take-over", "no-journal")
"""The negative controls, as the nursery knows them: the matrix must fail with each."""
Play = Callable[[Stage], AsyncIterator[Outcome]]


@dataclass(slots=True)
class Matrix:
    """What all its stages share."""

    report: Report
    place: Path
    fault: str
    quiet_s: float
    slots: asyncio.Semaphore
    stages: int = 0

    async def perform(self, kind: str, make: Callable[[], Kind], play: Play) -> None:
        """One stage, when there is room for it."""
        async with self.slots:
            self.stages += 1
            place = self.place / f"{self.stages:03d}-{kind}"
            place.mkdir()
            async with Stage(make(), place, self.fault, self.quiet_s) as stage:
                async for outcome in play(stage):
                    self.report.add(kind, outcome)
                self.report.add_all(kind, await stage.close())


async def run_cells(
    place: Path, make: Callable[[], Kind], cells: Iterable[Cell], *, fault: str = "", quiet_s: float = QUIET_S
) -> Report:
    """These cells alone, on one stage."""
    report = Report()
    matrix = Matrix(report, place, fault, quiet_s, asyncio.Semaphore(1))
    with hasty_clients():
        await matrix.perform(make().name, make, playing(cells))
    return report


async def run(
    place: Path,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    rounds: int = 0,
    seed: int = 0,
    fault: str = "",
    quiet_s: float = QUIET_S,
) -> Report:
    """The matrix in a directory of its own; without rounds its short form."""
    report, rng, began = Report(seed), random.Random(seed), time.monotonic()
    matrix = Matrix(report, place, fault, quiet_s, asyncio.Semaphore(AT_ONCE))
    jobs = [
        (name, KINDS[name], play)
        for name in kinds
        for play in (_long(KINDS[name](), rounds, rng) if rounds else [_short(KINDS[name]())])
    ]
    with hasty_clients():
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(matrix.perform(*job))
    report.took_s = time.monotonic() - began
    return report


def _short(kind: Kind) -> Play:
    return playing(once_each(kind.points, kind.states, kind.victims, kind.leads, kind.serious))


def _long(kind: Kind, rounds: int, rng: random.Random) -> list[Play]:
    """Every point at each of its passings; then, in every round, killed twice and killed at random."""
    victims: tuple[Victim, ...] = ("gateway", "gateway", "agent") if kind.victims else ("gateway",)
    plays = [_count, _short(kind)]
    for _ in range(rounds):
        plays.append(playing(twice(kind.points, kind.leads, rng)))
        plays.append(playing(at_random(RANDOM_PER_ROUND, kind.length_s, rng, victims)))
    return plays


def playing(cells: Iterable[Cell]) -> Play:
    """These cells, one after the other."""

    async def play(stage: Stage) -> AsyncIterator[Outcome]:
        for cell in cells:
            yield await stage.play(cell)

    return play


async def _count(stage: Stage) -> AsyncIterator[Outcome]:
    for point in stage.kind.points:
        for cells in every_count(point, stage.kind.leads):
            outcomes = [await stage.play(cell) for cell in cells]
            met = [outcome for outcome in outcomes if outcome.met or outcome.findings]
            for outcome in met:
                yield outcome
            if not met:
                break


def main() -> int:
    """The command; exit code 0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run_matrix", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="0: every place once")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument("--fault", choices=FAULTS, default="", help="a negative control")
    parser.add_argument("--keep", type=Path, default=None, help="an empty directory for data and logs")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="threadgate-matrix-") as scratch:
        report = asyncio.run(
            run(
                arguments.keep or Path(scratch),
                kinds=arguments.kinds,
                rounds=arguments.rounds,
                seed=seed,
                fault=arguments.fault,
            )
        )
    print(table(report))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
