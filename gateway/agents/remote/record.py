"""The whole answer of a worker as one step of the journal, so that a run can be executed again without any worker.

What the worker did meanwhile are steps inside it (`within/…`): they are sealed as they are recorded. An answer that
is recorded is told again; one that was not complete, or that waits for people, is asked for anew.
"""

from collections.abc import AsyncIterator
from typing import Final

from gateway.agents.port import (
    AgentAsk,
    AgentOutput,
    AgentQuestion,
    AgentRewind,
    AgentText,
    AgentUsage,
    RunContext,
    Step,
)
from protocol.records import Usage

PROMPT: Final = "prompt/1"
INSIDE: Final = f"within/{PROMPT}"
"""Begins the keys of a worker's steps; `gateway/rules/journal.py` says what `within/` means."""


async def recorded_once(
    context: RunContext, agent_id: str, outputs: AsyncIterator[AgentOutput]
) -> AsyncIterator[AgentOutput]:
    """Pass `outputs` on and record the text they add up to; what is recorded already is told instead of them."""
    request = {"text": context.text, "files": [file.name for file in context.files]}
    done = await context.journal.begin(Step(PROMPT, "prompt", agent_id, request, repeatable=True))
    if done is not None:
        yield AgentText(done.result["text"])
        return
    said, waits, usage = "", False, Usage()
    async for output in outputs:
        match output:
            case AgentUsage():
                usage = usage.plus(output.usage)
                continue  # it is recorded with the step
            case AgentText(text):
                said += text
            case AgentRewind(chars):
                said = said[:chars]
            case AgentAsk() | AgentQuestion():
                waits = True
        yield output
    if not waits:
        await context.journal.finish(PROMPT, {"text": said}, usage=usage)
    elif usage != Usage():
        yield AgentUsage(usage)
