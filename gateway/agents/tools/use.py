"""Using a tool: checked, with leave, in time, once, and bounded; how is the same for every kind of agent.

The order of an agent that wants to call a tool: `leave` (give what it returns and end the attempt), then `use`, then
tell the agent `told`. What tools there are is in `toolbox.py`. Nobody else calls a tool, so that nothing gets past the
policies: they are asked here, at the moment of executing, whatever was said when the call was asked about.
"""

import asyncio
import json
from typing import Final

from gateway.agents.leave import SHOWN_CHARS, asked_under, decision_on, denial, fenced, is_settled
from gateway.agents.port import (
    AgentAsk,
    AgentFailure,
    Json,
    OutcomeUnknown,
    Recorded,
    RunContext,
    Step,
    StepFailed,
    perform,
)
from gateway.agents.tools.absent import AbsentTool
from gateway.agents.tools.arguments import BadArguments, check, parsed
from gateway.agents.tools.device_tools import DEVICE
from gateway.agents.tools.port import Tool, ToolContext
from gateway.rules.policy import Verdict
from protocol.canonical import canonical, digest
from protocol.limits import KIB
from storage.values import Decided

RESULT_CHARS: Final = 64 * KIB
"""Of a result as JSON: about 16,000 tokens, more than any agent reads with profit."""
ERROR_CHARS: Final = 4 * KIB
"""Of what a tool says when it fails: a long traceback's beginning."""
DEFINITION_CHARS: Final = 16
"""Of a hash that tells versions of a tool apart: 64 bits."""
REFUSED_CHARS: Final = 2 * KIB
"""Of a text that was no arguments, kept in the journal to see what the agent tried."""
_OUTCOMES: Final = {
    "error": "The tool failed.",
    "unknown": "The call was cut off; nobody knows whether it had an effect.",
    "skipped": "The call was cut off, and a person decided not to make it again.",
}


def key_of(call_id: str) -> str:
    """The key of a tool call in the journal, and of the question whether it may be made."""
    return f"tool/{call_id}"


def refusal(tool: Tool, arguments: Json, *, is_asked: bool | None = None) -> str | None:
    """Why a call with these arguments is not even tried, for the agent; None when it is.

    `is_asked`: a person has to see them; as the tool's settings say unless told.
    """
    try:
        _checked(tool, arguments, is_asked=tool.requires_approval if is_asked is None else is_asked)
    except BadArguments as error:
        return str(error)
    return None


def ask_for(tool: Tool, call_id: str, arguments: Json, verdict: Verdict | None = None) -> AgentAsk:
    """The question whether this call may be made. `arguments` are as they would be used: nobody has refused them."""
    known = parsed(arguments)
    ask = AgentAsk(
        key=key_of(call_id),
        title=f"Use the tool {tool.name}",
        body=f"The agent wants to use `{tool.name}` with exactly these arguments:\n\n{fenced(known)}",
        subject={"tool": tool.name, "definition": _definition(tool), "arguments": known},
        kind=tool.kind,
        name=_policy_name(tool),
        risk=tool.risk,
        schema=dict(tool.parameters),
    )
    return asked_under(ask, verdict or Verdict("require_approval", ""))


def leave(tool: Tool, call_id: str, arguments: Json, context: RunContext) -> AgentAsk | None:
    """What a person must be asked before this call; None when `use` can go on.

    It can when no approval is needed, when a decision is there (`use` obeys it), when the call was made before, and
    when it is denied or its arguments are refused anyway: nobody is asked about what cannot be done.
    """
    if context.journal.is_closed(key_of(call_id)):
        return None
    verdict = _judged(tool, context)
    if verdict.effect != "require_approval" or refusal(tool, arguments, is_asked=True) is not None:
        return None
    ask = ask_for(tool, call_id, arguments, verdict)
    return None if is_settled(ask, decision_on(ask, context.decisions)) else ask


async def use(tool: Tool, call_id: str, arguments: Json, context: RunContext, timeout_s: float) -> Recorded:
    """Call a tool once in the life of the run; what it gave, or why it did not.

    `call_id` names the call within the run, the same in every attempt. `arguments` are an object or its JSON text.
    What is wrong with a call, denied by a policy, refused by a person, failed or too slow comes back as a record whose
    outcome is not `ok` (see `told`); a tool never sees arguments that do not fit. A result that is too long is cut.
    Whoever approved the call may have changed its arguments: then those are used.
    Raises AgentFailure (`journal_mismatch`) when the call was recorded with other arguments, (`policy_changed`, which
    passes) when leave is needed since just now, and StaleFence.
    """
    key = key_of(call_id)
    verdict = None if context.journal.is_closed(key) else _judged(tool, context)
    request = {"tool": tool.name, "arguments": _shown(arguments)}
    ask, decided = None, None
    if refusal(tool, arguments, is_asked=False) is None:
        ask = ask_for(tool, call_id, arguments, verdict)
        decided = decision_on(ask, context.decisions)
    if decided is not None and decided.approved and decided.edited is not None:
        arguments = _edited(decided.edited, tool)
        request |= {"arguments": _shown(arguments), "asked": request["arguments"]}
    reason = None
    if verdict is not None:
        is_settled_now = ask is not None and is_settled(ask, decided)
        reason = _obstacle(tool, arguments, verdict, decided, is_settled=is_settled_now)

    async def effect() -> Json:
        if reason is not None:
            raise StepFailed(reason)
        try:
            return await _in_time(tool, parsed(arguments), ToolContext.of(context, call_id), timeout_s)
        except StepFailed as failure:
            raise type(failure)(_brief(str(failure))) from failure

    is_repeatable = tool.is_repeatable or reason is not None
    approval_id = decided.approval_id if reason is None and decided is not None else None
    step = Step(key, "tool", tool.name, request, is_repeatable, verdict, approval_id)
    return await perform(context.journal, step, effect)


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


# --- leave -----------------------------------------------------------------------------------------


def _judged(tool: Tool, context: RunContext) -> Verdict:
    """What the policies say now."""
    is_known = not isinstance(tool, AbsentTool)
    return context.guard(tool.kind, _policy_name(tool), tool.risk, is_known, tool.requires_approval)


def _policy_name(tool: Tool) -> str:
    """What policies know it as: the command of a device is `DEVICE.COMMAND`, whoever wants it."""
    return tool.name.removeprefix(f"{DEVICE}.") if tool.kind == "device" else tool.name


def _obstacle(
    tool: Tool, arguments: Json, verdict: Verdict, decided: Decided | None, *, is_settled: bool
) -> str | None:
    """Why the call is not made, for the agent; None when it is. Raises AgentFailure (`policy_changed`)."""
    if isinstance(tool, AbsentTool):
        return tool.reason
    if verdict.effect == "deny":
        return f"{tool.name} must not be used here: {verdict.reason}"
    is_asked = verdict.effect == "require_approval"
    refused = refusal(tool, arguments, is_asked=is_asked)
    if refused is not None:
        return refused
    if decided is not None and not decided.approved:
        return denial("The call", decided)
    if not is_asked or is_settled:
        return None
    if verdict.rule:
        changed = f"The policies changed just now: a person has to decide about {tool.name}."
        raise AgentFailure("policy_changed", changed, passes=True, is_agents_fault=False)
    return "The call needs the approval of a person, and nobody was asked."


def _definition(tool: Tool) -> str:
    """Which version of the tool is meant: one that takes other arguments is not the one that was approved."""
    return digest(dict(tool.parameters))[:DEFINITION_CHARS]


def _edited(text: str, tool: Tool) -> Json:
    """The arguments as whoever approved changed them; null, which nothing takes, for what is another action."""
    subject = json.loads(text)
    is_same = isinstance(subject, dict) and subject.get("tool") == tool.name
    return subject.get("arguments") if is_same else None


# --- arguments and results -------------------------------------------------------------------------


def _checked(tool: Tool, arguments: Json, *, is_asked: bool) -> dict[str, Json]:
    known = parsed(arguments)
    check(tool.parameters, known)
    if is_asked and len(fenced(known)) > SHOWN_CHARS:
        raise BadArguments("The arguments are too large to be shown to the person who must approve the call.")
    return known


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
