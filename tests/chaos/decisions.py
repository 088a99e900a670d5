"""Many decisions at once over every surface, and a process that is killed in the middle of them: one winner each.

    python -m tests.chaos.decisions --histories 10000

A history is one approval and everybody who decides about it. The process is killed after a random time, again and
again; the next one goes on with what is open. In the end `decision_judge.py` looks at everything. Exit code 1:
something is there that cannot be.
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from storage.files import DATABASE_NAME
from tests.chaos.decision_judge import Verdict, judge

ROOT = Path(__file__).parents[2]
LIFE_HISTORIES = 400
"""Histories of one life, when nobody cuts it short."""
ROUNDS, LATER_S = 7, 0.3
"""A process is killed so many rounds of histories after it said that it lives, at most, and then so much later."""
SPARED = 0.25
"""The part of processes that may come to their end."""
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    verdict: Verdict
    kills: int
    lives: int
    took_s: float


async def run(histories: int, seed: int, place: Path, broken: str = "no") -> Report:
    """Live and die until there are so many histories; then one more life to the end, and the verdict."""
    rng = random.Random(seed)
    began, kills, lives = time.monotonic(), 0, 0
    while _count(place) < histories:
        lives += 1
        kills += await _one_life(
            place, lives, min(LIFE_HISTORIES, histories), rng, broken, may_die=broken == "no"
        )
    await _one_life(place, lives + 1, 0, rng, broken, may_die=False)
    return Report(judge(place), kills, lives + 1, time.monotonic() - began)


async def _one_life(
    place: Path, number: int, histories: int, rng: random.Random, broken: str, *, may_die: bool
) -> bool:
    """Whether it was killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.decision_life", str(place), "--life", str(number),
        "--histories", str(histories), "--seed", str(rng.randrange(2**32)), "--broken", broken,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await process.stdout.readline() == b"alive\n", "it did not come to life"
        if may_die and rng.random() > SPARED:
            for _ in range(rng.randint(0, ROUNDS)):
                await process.stdout.readline()
            with suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(0, LATER_S)):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
                return True
        await process.stdout.read()
        code = await process.wait()
    assert code == 0, f"a life ended with {code}"
    return False


def _count(place: Path) -> int:
    """Histories that began."""
    path = place / DATABASE_NAME
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            count: int = connection.execute("SELECT count(*) FROM approvals").fetchone()[0]
        except sqlite3.OperationalError:  # killed before there were tables
            return 0
    return count


def table(report: Report) -> str:
    """The report, for people."""
    verdict = report.verdict
    lines = [
        f"{verdict.histories} histories in {report.lives} lives, {report.kills} killed, {report.took_s:.0f} s",
        f"ends: {dict(verdict.states)}",
        f"{verdict.votes} votes counted, {verdict.told} answers heard, refused: {dict(verdict.refused)}",
        f"leave used {verdict.used} times; {verdict.entries} audit entries, their chain verified",
        f"violations: {len(verdict.violations)}",
        *verdict.violations[:20],
    ]
    return "\n".join(lines)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20_261_121)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        report = asyncio.run(run(asked.histories, asked.seed, Path(place)))
    print(table(report))
    return 1 if report.verdict.violations or report.verdict.histories < asked.histories else 0


if __name__ == "__main__":
    sys.exit(main())
