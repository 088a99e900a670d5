"""The gateway's tools as a model sees and calls them: their definitions, leave, and what it is told of a call."""

import re
from collections.abc import Sequence
from typing import Final

from pydantic_ai.messages import ToolCallPart, ToolReturnPart
from pydantic_ai.tools import ToolDefinition

from gateway.agents.model.text import plain
from gateway.agents.port import AgentAsk, Json, RunContext
from gateway.agents.tools.port import Tool
from gateway.agents.tools.toolbox import Toolset
from gateway.agents.tools.use import leave, told, use
from protocol.canonical import canonical

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
NAME_CHARS: Final = 64
"""Of a function's name, like its alphabet a rule of OpenAI and Anthropic alike."""


class ModelTools:
    """The tools of one attempt."""

    def __init__(self, tools: Toolset, context: RunContext, timeout_s: float) -> None:
        self._tools = tools
        self._context = context
        self._timeout_s = timeout_s
        self._names = wire_names(tools)

    def definitions(self) -> list[ToolDefinition]:
        """What the model is told of them."""
        return [
            ToolDefinition(
                name=wire,
                description=self._tools[name].description,
                parameters_json_schema=dict(self._tools[name].parameters),
                strict=False,
            )
            for wire, name in self._names.items()
        ]

    def asks(self, calls: Sequence[ToolCallPart]) -> list[AgentAsk]:
        """What a person must be asked before these calls."""
        asks = [
            leave(self._named(call), call.tool_call_id, _arguments(call), self._context) for call in calls
        ]
        return [ask for ask in asks if ask is not None]

    async def call(self, call: ToolCallPart) -> ToolReturnPart:
        """Make a call, or find it made; what the model is told of it. Raises AgentFailure and StaleFence."""
        tool = self._named(call)
        recorded = await use(tool, call.tool_call_id, _arguments(call), self._context, self._timeout_s)
        result = told(recorded)
        text = result if isinstance(result, str) else canonical(result)
        return ToolReturnPart(
            tool_name=call.tool_name,
            content=plain(text),
            tool_call_id=call.tool_call_id,
            outcome="success" if recorded.outcome == "ok" else "failed",
        )

    def _named(self, call: ToolCallPart) -> Tool:
        return self._tools.named(self._names.get(call.tool_name, call.tool_name))


def _arguments(call: ToolCallPart) -> Json:
    """The arguments as the model gave them; none are an empty object."""
    return {} if call.args is None else call.args


def wire_names(names: Sequence[str] | Toolset) -> dict[str, str]:
    """Name on the wire → name of the tool. Providers take fewer characters; no two tools get the same name."""
    wire: dict[str, str] = {}
    for name in sorted(names):
        short = _FOREIGN.sub("_", name)[:NAME_CHARS]
        number = 1
        while short in wire:
            number += 1
            end = f"_{number}"
            short = _FOREIGN.sub("_", name)[: NAME_CHARS - len(end)] + end
        wire[short] = name
    return wire
