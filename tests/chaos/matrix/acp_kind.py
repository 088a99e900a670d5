"""Kind acp: the test agent as a program, with one effect of its own and one it asks leave for. It is killed as well."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from .cells import RANDOM, Kill
from .kinds import ASK_POINTS, END_POINTS, RUN_POINTS, STEP_POINTS, Effect, Line, Plain, kill_all, toml

PROGRAM: Final = Path(__file__).parents[2] / "gateway" / "agents" / "acp_agent.py"


class Acp(Plain):
    """A prompt is one step, which may not be given again by itself."""

    name = "acp"
    points: Sequence[str] = (
        *(point for point in RUN_POINTS if point != "run.checkpointed"),
        *ASK_POINTS,
        *STEP_POINTS,
        *END_POINTS,
    )
    states: Sequence[str] = ("run.waiting",)
    victims: Sequence[Kill] = (
        Kill("run.started", victim="agent"),
        Kill(RANDOM, after_s=0.5, victim="agent"),
        Kill("run.waiting", victim="agent"),
    )
    leads: Mapping[str, Kill] = {point: Kill("run.waiting") for point in ("run.resumed", *END_POINTS)}
    steps = "prompt"
    serious = 2
    length_s = 2.0

    def __init__(self) -> None:
        self._place = Path()

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        self._place = place
        home = place / "home"
        home.mkdir()
        table = {
            "id": "acp",
            "kind": "acp",
            "command": [sys.executable, str(PROGRAM)],
            "cwd": str(home),
        }
        return f"[[agents]]\n{toml(table)}"

    def lines(self, token: str) -> list[Line]:
        """Somebody may decide that a prompt is not given again: then the run fails."""
        file = self._place / "effects"
        commands = [
            "stream 20",
            f"effect {file} {token}/first",
            "tool a1 Read notes",
            f"ask c1 {file} {token}/second",
            "stream 5",
        ]
        return [
            Line(
                "\n".join(commands),
                {f"{token}/first": "once", f"{token}/second": "once"},
                frozenset({"completed", "failed"}),
            )
        ]

    def effects(self) -> list[Effect]:
        """The program's lines tell no time."""
        path = self._place / "effects"
        return [Effect(line, 0) for line in path.read_text().split()] if path.exists() else []

    def kill(self) -> bool:
        """Whatever runs the program here: it and who watches over it are children of the gateway."""
        home, found = str(self._place / "home"), []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str((process / "cwd").readlink()) == home:
                    found.append(int(process.name))
        return kill_all([pid for pid in found if pid != os.getpid()])
