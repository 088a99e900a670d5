"""Kind script: streams, calls tools of all three natures, asks for leave, asks a question, and fails."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from .cells import RANDOM, Kill
from .kinds import ASK_POINTS, END_POINTS, RUN_POINTS, STEP_POINTS, Effect, Line, Plain, toml
from .tills import Tills

SCRIPT: Final = """
scenarios:
  - name: shop
    match: '^shop (?P<token>t[0-9]+)$'
    steps:
      - stream: {words: 46, rate: 80}
      - tool: {name: book.pay, arguments: {id: "{{token}}/look"}}
      - tool: {name: till.pay, arguments: {id: "{{token}}/first", before_s: 0.02, after_s: 0.02}}
      - approval:
          title: "Pay {{token}}/second?"
          then:
            - tool: {name: till.pay, arguments: {id: "{{token}}/second"}}
          else:
            - say: "Not paid twice. "
      - tool: {name: safe.pay, arguments: {id: "{{token}}/third"}}
      - ask: Which one do you like?
      - say: "You like: {{answer}}."
  - name: stop
    match: '^stop (?P<token>t[0-9]+)$'
    steps:
      - tool: {name: till.pay, arguments: {id: "{{token}}/last"}}
      - fail: {message: "There is nothing left to do."}
"""


class Script(Plain):
    """`till` are settings of the tool server whose effects may happen once: how a negative control lies about it."""

    name = "script"
    points: Sequence[str] = (*RUN_POINTS, *ASK_POINTS, *STEP_POINTS, *END_POINTS)
    states: Sequence[str] = ("run.queued", "run.started", "run.waiting", "run.resumed")
    victims: Sequence[Kill] = (
        Kill("run.started", victim="agent"),
        Kill(RANDOM, after_s=0.6, victim="agent"),
        Kill("run.waiting", victim="agent"),
    )
    serious = 6
    length_s = 1.2

    def __init__(self, till: Mapping[str, Any] | None = None) -> None:
        self._tills = Tills()
        self._till = till or {}

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        script = place / "script.yaml"
        script.write_text(SCRIPT)
        table = toml({"id": "script", "kind": "script", "script": str(script)})
        return f"[[agents]]\n{table}{self._tills.tables(place, till=self._till)}"

    def lines(self, token: str) -> list[Line]:
        return [
            Line(
                f"shop {token}",
                {
                    f"{token}/look": "repeatable",
                    f"{token}/first": "once",
                    f"{token}/second": "once",
                    f"{token}/third": "once",
                },
            ),
            Line(f"stop {token}", {f"{token}/last": "once"}, frozenset({"failed"})),
        ]

    def effects(self) -> list[Effect]:
        return self._tills.effects()

    def kill(self) -> bool:
        return self._tills.kill()
