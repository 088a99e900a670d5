"""What stands in for a tool that is not there: agents call what they remember, or what a server had yesterday."""

from typing import Final

from gateway.agents.port import Json, StepFailed
from gateway.agents.tools.port import Schema, ToolContext
from gateway.policy_settings import Risk

ANYTHING: Final[Schema] = {"type": "object"}


class AbsentTool:
    """`gateway.agents.tools.port.Tool` for a name behind which there is none. No policy makes it one."""

    description: Final = ""
    parameters: Final = ANYTHING
    is_repeatable: Final = True
    requires_approval: Final = False
    kind: Final = "tool"
    risk: Final[Risk] = "medium"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        raise StepFailed(self.reason)
