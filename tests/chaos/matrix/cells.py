"""Which cells the matrix has: who is killed, where, and how the person who stands by decides. Plain values."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.crash_points import POINTS

RANDOM: Final = "random moment"
COUNT_MAX: Final = 60
"""No scenario passes a point so often; a bound for those who count until a point is not met any more."""
ON_THE_WAY_BACK: Final = (
    "run.taken_over",
    "run.resumed",
    "run.checkpointed",
    "step.before_open",
    "step.opened",
    "step.before_close",
    "step.closed",
    "approval.before_ask",
    "approval.after_ask",
    "run.before_complete",
    "run.after_complete",
)
"""Where the gateway that recovers is killed a second time."""

ONLY_WHEN_DENIED: Final = ("run.before_end", "run.after_end")
Victim = Literal["gateway", "agent"]


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL. `where` is a crash point, the kind of an event that is seen for the `count`-th time, or RANDOM:
    then it comes `after_s` the message was sent, or the gateway was born."""

    where: str
    count: int = 1
    after_s: float = 0.0
    victim: Victim = "gateway"

    @property
    def is_armed(self) -> bool:
        """Whether the gateway kills itself there."""
        return self.where in POINTS

    @property
    def name(self) -> str:
        """As the table has it."""
        return self.where if self.victim == "gateway" else f"{self.victim}: {self.where}"


@dataclass(frozen=True, slots=True)
class Cell:
    """`approves`: what the person says to actions; `repeats`: whether steps of unknown outcome may be done again."""

    kills: tuple[Kill, ...]
    approves: bool = True
    repeats: bool = True

    @property
    def place(self) -> str:
        """The row of the table: where it was killed last."""
        return self.kills[-1].name


def kills_at(point: str, leads: Mapping[str, Kill], count: int = 1) -> tuple[Kill, ...]:
    """The kills that end with one at this point; `leads` names those before it."""
    if point == "run.taken_over":
        return (Kill("run.claimed"), Kill(point, count))
    return (leads[point], Kill(point, count)) if point in leads else (Kill(point, count),)


def once_each(
    points: Sequence[str],
    states: Sequence[str],
    victims: Sequence[Kill],
    leads: Mapping[str, Kill],
    serious: int = 1,
) -> list[Cell]:
    """Every place once, and one step cut off twice: a person who allows a repetition allows no second one.

    The manners of the person take turns; some runs only end badly when a step is not repeated. `serious`: which step
    is the first that may not be repeated.
    """
    plans = [kills_at(point, leads, serious if point.startswith("step.") else 1) for point in points]
    plans += [(Kill(state),) for state in states]
    plans += [(kill,) for kill in victims]
    cells = [
        Cell(plan, number % 3 != 2, number % 2 == 0 and plan[-1].where not in ONLY_WHEN_DENIED)
        for number, plan in enumerate(plans)
    ]
    if "step.before_close" in points:
        cells.append(Cell((Kill("step.before_close", serious), Kill("step.before_close"))))
    return cells


def every_count(point: str, leads: Mapping[str, Kill]) -> Iterator[tuple[Cell, ...]]:
    """A point at its first, second … passing, with a person who repeats and one who does not; whoever plays them
    stops when it is not met any more."""
    for count in range(1, COUNT_MAX):
        kills = kills_at(point, leads, count)
        yield (Cell(kills, repeats=True), Cell(kills, repeats=False))


def twice(points: Sequence[str], leads: Mapping[str, Kill], rng: random.Random) -> list[Cell]:
    """Killed, and killed again on the way back."""
    back = [point for point in ON_THE_WAY_BACK if point in points]
    return [
        Cell(
            (*kills_at(point, leads, rng.randint(1, 4)), Kill(again, rng.randint(1, 2))),
            approves=rng.random() < 0.8,
            repeats=rng.random() < 0.7,
        )
        for point in points
        for again in back
    ]


def at_random(number: int, length_s: float, rng: random.Random, victims: Sequence[Victim]) -> list[Cell]:
    """Killed at any moment, once or several times."""

    def kill() -> Kill:
        return Kill(RANDOM, after_s=rng.uniform(0.0, length_s), victim=rng.choice(victims))

    return [
        Cell(
            tuple(kill() for _ in range(rng.choice((1, 1, 2, 3)))),
            approves=rng.random() < 0.8,
            repeats=rng.random() < 0.6,
        )
        for _ in range(number)
    ]
