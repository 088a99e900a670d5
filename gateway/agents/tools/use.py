"""Using a tool: checked, with leave, in time, once, and bounded; how is the same for every kind of agent.

The order of an agent that wants to call a tool: `leave` (give what it returns and end the attempt), then `use`, then
tell the agent `told`. What tools there are is in `toolbox.py`.
"""

import asyncio
import json
import re
from typing import Any, Final

from gateway.agents.port import (
    AgentAsk,
    Json,
    OutcomeUnknown,
    Recorded,
    RunContext,
    Step,
    StepFailed,
    perform,
)
from gateway.agents.tools.arguments import BadArguments, check, parsed
from gateway.agents.tools.port import Tool, ToolContext
from protocol.canonical import canonical
from protocol.limits import KIB, TEXT_CHARS

RESULT_CHARS: Final = 64 * KIB
"""Of a result as JSON: about 16,000 tokens, more than any agent reads with profit."""
ERROR_CHARS: Final = 4 * KIB
"""Of what a tool says when it fails: a long traceback's beginning."""
REFUSED_CHARS: Final = 2 * KIB
"""Of a text that was no arguments, kept in the journal to see what the agent tried."""
_TICKS: Final = re.compile(r"`{3,}")
_OUTCOMES: Final = {
    "error": "The tool failed.",
    "unknown": "The call was cut off; nobody knows whether it had an effect.",
    "skipped": "The call was cut off, and a person decided not to make it again.",
}


def key_of(call_id: str) -> str:
    """The key of a tool call in the journal, and of the question whether it may be made."""
    return f"tool/{call_id}"


def refusal(tool: Tool, arguments: Json) -> str | None:
    """Why a call with these arguments is not even tried, for the agent; None when it is."""
    try:
        _checked(tool, arguments)
    except BadArguments as error:
        return str(error)
    return None


def ask_for(tool: Tool, call_id: str, arguments: Json) -> AgentAsk:
    """The question whether this call may be made. `arguments` are as they would be used: nobody has refused them."""
    known = parsed(arguments)
    return AgentAsk(
        key=key_of(call_id),
        title=f"Use the tool {tool.name}",
        body=f"The agent wants to use `{tool.name}` with exactly these arguments:\n\n{_fenced(known)}",
        subject={"tool": tool.name, "arguments": known},
    )


def leave(tool: Tool, call_id: str, arguments: Json, context: RunContext) -> AgentAsk | None:
    """What a person must be asked before this call; None when `use` can go on.

    It can when no approval is needed, when a decision is there (`use` obeys it), and when the arguments are refused
    anyway: nobody is asked about what cannot be done.
    """
    if not tool.requires_approval or refusal(tool, arguments) is not None:
        return None
    ask = ask_for(tool, call_id, arguments)
    return ask if context.decided(ask) is None else None


async def use(tool: Tool, call_id: str, arguments: Json, context: RunContext, timeout_s: float) -> Recorded:
    """Call a tool once in the life of the run; what it gave, or why it did not.

    `call_id` names the call within the run, the same in every attempt. `arguments` are an object or its JSON text.
    What is wrong with a call, refused by a person, failed or too slow comes back as a record whose outcome is not
    `ok` (see `told`); a tool never sees arguments that do not fit. A result that is too long is cut.
    Raises AgentFailure (`journal_mismatch`) when the call was recorded with other arguments, and StaleFence.
    """
    request = {"tool": tool.name, "arguments": _shown(arguments)}
    reason = refusal(tool, arguments) or _denial(tool, call_id, arguments, context)

    async def effect() -> Json:
        if reason is not None:
            raise StepFailed(reason)
        try:
            return await _in_time(tool, parsed(arguments), ToolContext.of(context, call_id), timeout_s)
        except StepFailed as failure:
            raise type(failure)(_brief(str(failure))) from failure

    is_repeatable = tool.is_repeatable or reason is not None
    return await perform(
        context.journal, Step(key_of(call_id), "tool", tool.name, request, is_repeatable), effect
    )


def told(recorded: Recorded) -> Json:
    """What the agent is told of a call: the result, or a text that says why there is none."""
    if recorded.outcome == "ok":
        return recorded.result
    error = recorded.result.get("error") if isinstance(recorded.result, dict) else None
    return str(error) if error else _OUTCOMES[recorded.outcome]


async def _in_time(tool: Tool, arguments: dict[str, Json], context: ToolContext, timeout_s: float) -> Json:
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            return _bounded(await tool.call(arguments, context))
    except TimeoutError as error:
        if not deadline.expired():
            raise
        waited = f"The tool {tool.name} gave no answer within {timeout_s:g} s."
        if tool.is_repeatable:
            raise StepFailed(waited) from error
        raise OutcomeUnknown(f"{waited} Whether it had an effect is not known.") from error


def _checked(tool: Tool, arguments: Json) -> dict[str, Json]:
    known = parsed(arguments)
    check(tool.parameters, known)
    if tool.requires_approval and len(_fenced(known)) > TEXT_CHARS - KIB:
        raise BadArguments("The arguments are too large to be shown to the person who must approve the call.")
    return known


def _denial(tool: Tool, call_id: str, arguments: Json, context: RunContext) -> str | None:
    """Why a person does not let this happen; None when one does, or nobody needs to."""
    if not tool.requires_approval:
        return None
    decided = context.decided(ask_for(tool, call_id, arguments))
    if decided is None:
        return "The call needs the approval of a person, and nobody was asked."
    if decided.approved:
        return None
    because = f": {decided.reason}" if decided.reason else ""
    return f"The call was not approved by {decided.by}{because}."


def _shown(arguments: Json) -> Json:
    """The arguments for the journal: as they are, or what can be said of those that are none."""
    try:
        return parsed(arguments)
    except BadArguments as error:
        given = arguments[:REFUSED_CHARS] if isinstance(arguments, str) else ""
        return {"refused": str(error), "given": given.encode(errors="replace").decode()}


def _bounded(result: Json) -> Json:
    """A result that the journal can keep and an agent can read."""
    try:
        text = canonical(result)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise StepFailed(f"The tool ran, but its result is not JSON: {str(error)[:200]}.") from error
    whole = result if isinstance(result, str) else text
    if len(whole) <= RESULT_CHARS:
        return result
    return _cut(whole, RESULT_CHARS)


def _brief(text: str) -> str:
    """A text of a tool that failed, as the journal can keep it."""
    text = text.encode(errors="replace").decode()
    return (
        text
        if len(text) <= ERROR_CHARS
        else f"{text[:ERROR_CHARS]}\n[cut: {len(text) - ERROR_CHARS} more characters]"
    )


def _cut(text: str, chars: int) -> str:
    return f"{text[:chars]}\n[cut: {len(text) - chars} more characters]"


def _fenced(arguments: dict[str, Any]) -> str:
    """Arguments as a fenced block out of which nothing in them can break, and in which nothing hides."""
    text = json.dumps(arguments, ensure_ascii=False, indent=2, sort_keys=True)
    if len(text) > TEXT_CHARS // 2:
        text = canonical(arguments)
    text = "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)
    fence = "`" * max([3, *(len(run) + 1 for run in _TICKS.findall(text))])
    return f"{fence}json\n{text}\n{fence}"


def _escaped(char: str) -> str:
    """As JSON writes it: invisible characters and those that turn the direction of text must be seen."""
    return json.dumps(char)[1:-1]
