"""Kind http: an endpoint in this process that counts what it is asked. A request is the effect."""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from .cells import Kill
from .kinds import ASK_POINTS, END_POINTS, RUN_POINTS, STEP_POINTS, Effect, Line, Plain, toml

WORDS: Final = 60
PAUSE_S: Final = 0.01
"""Between two words: an answer takes a little longer than it takes to a checkpoint; a repeated one not."""
TOKEN: Final = re.compile(r"t\d{5}/\w+")


class Http(Plain):
    """Two agents at one endpoint: one that may be asked again by itself, and one that may not."""

    name = "http"
    points: Sequence[str] = (
        *RUN_POINTS,
        *STEP_POINTS,
        "approval.before_ask",
        "approval.after_ask",
        "run.resumed",
        *END_POINTS,
    )
    states: Sequence[str] = ("run.started",)
    steps = "prompt"
    leads: Mapping[str, Kill] = {point: Kill("step.opened", 2) for point in (*ASK_POINTS, *END_POINTS)}

    def __init__(self) -> None:
        self._asked: list[Effect] = []

    async def open(self, place: Path, stack: AsyncExitStack) -> str:
        """The endpoint on loopback."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/chat/completions"
        table = {"kind": "http", "url": url, "history_messages": 0}
        return "".join(
            f"[[agents]]\n{toml({**table, 'id': name, 'idempotent': again})}"
            for name, again in (("http", False), ("http-again", True))
        )

    def lines(self, token: str) -> list[Line]:
        """The same for both. Somebody may decide that a request is not made again: then the run fails."""
        return [
            Line(f"tell {token}/once", {f"{token}/once": "once"}, frozenset({"completed", "failed"})),
            Line(f"tell {token}/again", {f"{token}/again": "repeatable"}, agent="http-again"),
        ]

    def effects(self) -> list[Effect]:
        return self._asked

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        found = TOKEN.search((await request.json())["messages"][-1]["content"])
        assert found is not None, "every line holds its token"
        pause_s = 0.0 if found[0] in {effect.name for effect in self._asked} else PAUSE_S
        self._asked.append(Effect(found[0], time.time_ns() // 1_000_000))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with suppress(ConnectionError):  # whoever asked is dead
            await response.prepare(request)
            for number in range(WORDS):
                await response.write(_event({"delta": {"content": f"word-{number} "}}))
                await asyncio.sleep(pause_s)
            await response.write(_event({"delta": {}, "finish_reason": "stop"}))
            await response.write(b"data: [DONE]\n\n")
        return response


def _event(choice: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
