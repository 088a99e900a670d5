"""A worker as a program of its own, to be killed. Effects are lines in a file: they can be counted.

    python worker_program.py URL TOKEN EFFECTS

It answers `pay` with a step that has an effect, `pay and wait` with one that then hangs before it is recorded,
`wait and pay` with one that hangs first, `talk` with text and then silence, `look` with a repeatable step that hangs
the first time. Everything hangs for as long as the file `EFFECTS.hang` is there.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from threadgate_client import Agent, AgentRun, StepFailed

URL, TOKEN, EFFECTS = sys.argv[1:4]
agent = Agent(URL, token=TOKEN, name=f"program {os.getpid()}", concurrent=8)


def effect(what: str) -> str:
    """Something that must not happen twice."""
    with Path(EFFECTS).open("a") as file:
        file.write(f"{what}\n")
    return f"{what} done"


async def hang() -> None:
    await asyncio.to_thread(wait_for_the_file_to_go)


def wait_for_the_file_to_go() -> None:
    while Path(f"{EFFECTS}.hang").exists():
        time.sleep(0.01)


async def pay(what: str, before: bool, after: bool) -> str:
    if before:
        await hang()
    done = await asyncio.to_thread(effect, what)
    if after:
        await asyncio.to_thread(effect, f"{what} hangs")
        await hang()
    return done


async def step(run: AgentRun, name: str, func: Callable[..., Any], *args: Any) -> str:
    try:
        return str(await run.step(name, func, *args))
    except StepFailed as failed:
        return f"({failed.outcome})"


@agent.on_run
async def answer(run: AgentRun) -> AsyncIterator[str]:
    yield f"Attempt at {run.text}: "
    match run.text.split(":")[0]:
        case "talk":
            await asyncio.to_thread(effect, "talking")
            await hang()
            yield "all said"
        case "look":
            yield await run.step("look", pay, run.text, False, True, repeatable=True)
        case "pay" | "pay and wait" | "wait and pay":
            waits, begins = "wait" in run.text, run.text.startswith("wait")
            first = await step(run, "first", effect, f"{run.text} first")
            second = await step(run, "second", pay, run.text, waits and begins, waits and not begins)
            yield f"{first}, {second}"


if __name__ == "__main__":
    agent.serve()
