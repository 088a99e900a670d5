"""What is played: the kinds of agents, what is said to them, and which effects may come of it. No gateway here."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from threadgate_client import Client

from .cells import Kill

COMPLETED: Final = frozenset({"completed"})
RUN_POINTS: Final = (
    "store.committed",
    "run.claimed",
    "run.taken_over",
    "run.checkpointed",
    "run.before_complete",
    "run.after_complete",
)
"""Points that every answer passes which takes longer than a moment."""
ASK_POINTS: Final = ("run.resumed", "approval.before_ask", "approval.after_ask")
STEP_POINTS: Final = ("step.before_open", "step.opened", "step.before_close", "step.closed")
END_POINTS: Final = ("run.before_end", "run.after_end")
Nature = Literal["once", "repeatable"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something that is said, in a thread of its own, to `agent`, or to the one named as its kind.

    `effects` says of each by its name whether it may happen again without anybody's leave. `ends` are the states its
    last run may have; `failed` always with a reason.
    """

    text: str
    effects: Mapping[str, Nature] = field(default_factory=dict)
    ends: frozenset[str] = COMPLETED
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something happened, outside."""

    name: str
    at_ms: int


class Kind(Protocol):
    """One kind of agent with its scenario and with whatever it needs beside the gateway.

    `points` are the crash points its lines pass, `states` the events after which somebody is killed from outside;
    `leads` says which death before leads to points that only a gateway passes that recovers.
    `steps` is the kind of the journal's steps that have the effects, `serious` the number of the first one that may not
    be repeated, in the order in which steps are opened and closed. `length_s`: about how long a cell takes that
    nobody disturbs.
    """

    name: str
    points: Sequence[str]
    states: Sequence[str]
    victims: Sequence[Kill]
    leads: Mapping[str, Kill]
    steps: str
    serious: int
    length_s: float

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        """Start what stands beside the gateway; returns the `[[agents]]` table, as TOML."""
        ...

    async def join(self, client: Client, url: str, stack: AsyncExitStack) -> None:
        """The first gateway serves; `client` is its owner."""
        ...

    def lines(self, token: str) -> list[Line]:
        """What is said in a cell. `token` is in every text and in every effect's name."""
        ...

    def effects(self) -> list[Effect]:
        """All that happened so far."""
        ...

    def kill(self) -> bool:
        """SIGKILL the agent's own process; False when there is none right now."""
        ...


class Plain:
    """What kinds need that stand alone."""

    points: Sequence[str] = RUN_POINTS
    states: Sequence[str] = ()
    victims: Sequence[Kill] = ()
    leads: Mapping[str, Kill] = {}
    steps: str = "tool"
    serious: int = 1
    length_s: float = 1.0

    async def join(self, client: Client, url: str, stack: AsyncExitStack) -> None:
        """Nobody connects."""

    def effects(self) -> list[Effect]:
        """None."""
        return []

    def kill(self) -> bool:
        """No process."""
        return False


class Demo(Plain):
    """The demo agent: no steps, a stream that is checkpointed, an approval, a question, a failure."""

    name = "demo"
    points: Sequence[str] = (*RUN_POINTS, *ASK_POINTS, *END_POINTS)
    states: Sequence[str] = ("run.queued", "run.started", "run.waiting")

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        """Nothing beside it."""
        return '[[agents]]\nid = "demo"\nkind = "demo"\n'

    def lines(self, token: str) -> list[Line]:
        """One of each."""
        serial = int(token[1:])
        return [
            Line(f"stream 46 80.{serial:06d}"),
            Line(f"approve {token}"),
            Line(f"ask What about {token}?"),
            Line(f"fail {token}", ends=frozenset({"failed"})),
        ]


def read_effects(path: Path) -> list[Effect]:
    """The lines of a file to which an effect appends one: `{"name": …, "at_ms": …}`."""
    if not path.exists():
        return []
    found: list[Any] = [json.loads(line) for line in path.read_text().splitlines()]
    return [Effect(one["name"], one["at_ms"]) for one in found]


def toml(table: Mapping[str, Any]) -> str:
    """A flat table's lines: texts, numbers, lists of texts, true and false are written as JSON writes them."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def kill_all(pids: Sequence[int]) -> bool:
    """SIGKILL these processes; False when there are none."""
    killed = False
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed
