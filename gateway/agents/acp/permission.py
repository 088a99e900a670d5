"""Permissions: what an agent asks leave for, as a question to a person, and the decision as it is told. Pure.

A person decides about one action and sees all of it: of an agent's options only `allow_once` and `reject_once` are
ever chosen, and what cannot be shown whole is not asked.
"""

import json
import re
from typing import Any, Final

from acp.schema import AllowedOutcome, DeniedOutcome, PermissionOption, RequestPermissionResponse

from gateway.agents.acp.bounds import named, short
from gateway.agents.acp.inside import RISKS, kind_of
from gateway.agents.port import AgentAsk, AgentFailure, Json
from protocol import limits

BODY_CHARS: Final = 100_000
"""Of an action that a person is asked about; more than anybody reads, less than a text may have."""
TITLE_CHARS: Final = limits.TITLE_CHARS - limits.NAME_CHARS - len(" wants to: ")
"""What of a question's title is left beside the name of the agent."""
CANCELLED: Final = RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
"""The answer when nobody will decide any more (session/cancel in the specification)."""
WHY: Final = "threadgate/reason"
"""The name of what people said, among a program's metadata."""
_FENCE: Final = re.compile(r"`{3,}")


def make_ask(agent: str, call: dict[str, Any], options: Json, number: int) -> AgentAsk:
    """The question about one call: as the agent sent it, with what it had said of it before.

    `number` counts the questions about it. Raises AgentFailure (too_large).
    """
    title = short(str(call.get("title") or call.get("kind") or "use a tool"), TITLE_CHARS)
    body = "\n\n".join(_lines(call))
    if len(body) > BODY_CHARS:
        reason = f"It asks leave for an action of {len(body)} characters, too much to be shown to a person."
        raise AgentFailure("too_large", reason)
    return AgentAsk(
        key=f"permission/{named(str(call['toolCallId']))}/{number}",
        title=f"{agent} wants to: {title}",
        body=body,
        subject={"tool_call": call, "options": options},
        name=kind_of(call),
        risk=RISKS.get(kind_of(call), "medium"),
    )


def find_options(options: list[PermissionOption]) -> tuple[PermissionOption, PermissionOption | None]:
    """The options to allow and to reject once. Raises AgentFailure when the action cannot be allowed just once."""
    by_kind = {option.kind: option for option in reversed(options)}
    allow = by_kind.get("allow_once")
    if allow is None:
        raise AgentFailure("bad_output", "It asks for a permission that cannot be given just once.")
    return allow, by_kind.get("reject_once")


def outcome_of(chosen: PermissionOption | None, why: str = "") -> RequestPermissionResponse:
    """What the agent is told: the option that was chosen, or that none was. The protocol has no words for `why`; they
    go where extensions do (`_meta`), for programs that look there."""
    if chosen is None:
        return CANCELLED
    outcome = AllowedOutcome(outcome="selected", option_id=chosen.option_id)
    return RequestPermissionResponse(outcome=outcome, field_meta={WHY: why} if why else None)


def _lines(call: dict[str, Any]) -> list[str]:
    """The whole action, as CommonMark in which nothing that the agent wrote can be anything but text."""
    lines = [f"**{name}**: {_code(str(call[name]))}" for name in ("kind", "title") if call.get(name)]
    for place in call.get("locations") or []:
        lines.append(f"**at**: {_code(str(place.get('path') if isinstance(place, dict) else place))}")
    if call.get("rawInput") is not None:
        lines.append(_fenced(_pretty(call["rawInput"])))
    for item in call.get("content") or []:
        lines += _shown(item)
    return lines


def _shown(item: Json) -> list[str]:
    """A piece of what the call says it would change or do."""
    match item:
        case {"type": "diff", "path": str(path), "newText": str(text)}:
            return [f"**new text of** {_code(path)}", _fenced(text)]
        case {"type": "content", "content": {"type": "text", "text": str(text)}}:
            return [_fenced(text)]
        case _:
            return [_fenced(_pretty(item))]


def _pretty(value: Json) -> str:
    return (
        value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    )


def _fenced(text: str) -> str:
    """A code block that its text cannot end."""
    longest = max((len(found) for found in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _code(text: str) -> str:
    """A code span that its text cannot end (CommonMark 0.31, section 6.1)."""
    line = short(text, limits.TITLE_CHARS)
    longest = max((len(found) for found in re.findall("`+", line)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{line}{space}{fence}"
