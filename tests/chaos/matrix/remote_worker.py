"""A worker of the crash matrix: an agent process with effects. `python remote_worker.py URL TOKEN DIRECTORY NAME`.

It appends a line to DIRECTORY/effects for every effect, and writes its process id to DIRECTORY/busy when it begins
to answer.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from threadgate_client import Agent, AgentRun, StepFailed, limits

PAUSE_S = 0.01
"""Between two words."""
limits.BACKOFF_LAST_S = 0.3  # type: ignore[misc]  # gateways are away for milliseconds here

url, token, directory, name = sys.argv[1:]
agent = Agent(url, token=token, name=name)
known: set[str] = set()
"""Runs that were told slowly, so that they were checkpointed; once is enough."""


def do(effect: str) -> str:
    """The effect: a line in a file, in one write."""
    line = json.dumps({"name": effect, "at_ms": time.time_ns() // 1_000_000}) + "\n"
    with Path(directory, "effects").open("a") as file:
        file.write(line)
    return f"did {effect}"


def busy() -> None:
    """Say whom to kill."""
    Path(directory, "busy").write_text(str(os.getpid()))


@agent.on_run
async def answer(run: AgentRun) -> AsyncIterator[str]:
    """Stream, do something harmless, do something once, ask, do that once, ask what to say, and end."""
    busy()
    what = run.text.split()[-1]
    for number in range(60):
        yield f"word-{number} "
        await asyncio.sleep(0 if run.id in known else PAUSE_S)
    known.add(run.id)
    await run.step("look", do, f"{what}/look", repeatable=True)
    for step in ("first", "second"):
        if step == "second" and not await run.ask(
            "Pay twice", f"Pay {what}/second", {"pay": f"{what}/second"}
        ):
            yield "Not paid twice. "
            continue
        try:
            yield f"Paid: {await run.step('pay', do, f'{what}/{step}', key=step)}. "
        except StepFailed as failure:
            yield f"Not paid: {failure}. "
    yield f"You like {await run.question('Which one do you like?')}."


agent.serve()
