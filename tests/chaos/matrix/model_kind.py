"""Kind model: the stand-in for a provider, scripted to call three tools and then to say a lot.

Model calls may be made again, they have no effect but their price; they are counted nevertheless.
"""

import json
import re
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from channels.emulators.openai import Answer, OpenAiEmulator, ToolUse, tokens

from .cells import RANDOM, Kill
from .kinds import ASK_POINTS, RUN_POINTS, STEP_POINTS, Effect, Line, Nature, Plain, toml
from .tills import Tills

WORDS: Final = 55
PAUSE_S: Final = 0.01
"""Between two words of the last answer, so that it is checkpointed."""
CALLS: Final = (("book", "look"), ("till", "first"), ("safe", "second"))
"""Which tool server is called for which effect, in this order."""
TOKEN: Final = re.compile(r"t\d{5}")


class Model(Plain):
    """The provider lives in this process and outlives the gateways."""

    name = "model"
    points: Sequence[str] = (*RUN_POINTS, *ASK_POINTS, *STEP_POINTS)
    states: Sequence[str] = ("run.waiting", "run.resumed")
    victims: Sequence[Kill] = (
        Kill("run.started", victim="agent"),
        Kill(RANDOM, after_s=0.3, victim="agent"),
        Kill("run.waiting", victim="agent"),
    )
    serious = 5
    length_s = 1.5

    def __init__(self) -> None:
        self._tills = Tills()
        self._asked: list[Effect] = []

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        emulator = OpenAiEmulator(compose=self._compose)
        await stack.enter_async_context(emulator)
        table = {
            "id": "model",
            "kind": "model",
            "model": "demo",
            "base_url": emulator.base_url,
            "api_key": "sk-none",
            "history_messages": 0,
            "input_price": 1.0,
            "output_price": 2.0,
        }
        return f"[[agents]]\n{toml(table)}{self._tills.tables(place)}"

    def lines(self, token: str) -> list[Line]:
        names: dict[str, Nature] = {
            f"{token}/look": "repeatable",
            f"{token}/first": "once",
            f"{token}/second": "once",
        }
        calls: dict[str, Nature] = {
            f"{token}/model/{number}": "repeatable" for number in range(1, len(CALLS) + 2)
        }
        return [Line(f"shop for {token}", names | calls)]

    def effects(self) -> list[Effect]:
        return self._asked + self._tills.effects()

    def kill(self) -> bool:
        return self._tills.kill()

    def _compose(self, request: Any) -> Answer:
        """What follows in the conversation; it depends on the request alone."""
        messages = request["messages"]
        found = [TOKEN.search(json.dumps(one["content"])) for one in messages if one["role"] == "user"][-1]
        assert found is not None, "every line holds its token"
        done = sum(one["role"] == "tool" for one in messages)
        self._asked.append(Effect(f"{found[0]}/model/{done + 1}", time.time_ns() // 1_000_000))
        if done == len(CALLS):
            return tokens(WORDS, PAUSE_S)
        server, effect = CALLS[done]
        names = [tool["function"]["name"] for tool in request["tools"]]
        name = next(name for name in names if name.startswith(server) and name.endswith("pay"))
        arguments = json.dumps({"id": f"{found[0]}/{effect}"})
        return Answer(tool_uses=(ToolUse(name, arguments, f"call_{done}"),))
