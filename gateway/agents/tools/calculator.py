"""The tool `calculator`: exact arithmetic for agents that guess at it. The arithmetic is in `arithmetic.py`."""

from typing import Final

from gateway.agents.port import Json, StepFailed
from gateway.agents.tools.arithmetic import TEXT_CHARS, BadExpression, evaluate
from gateway.agents.tools.port import Schema, ToolContext
from gateway.policy_settings import Risk

_PARAMETERS: Final[Schema] = {
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "minLength": 1,
            "maxLength": TEXT_CHARS,
            "description": "Such as (1234.5 * 12) / 7",
        }
    },
    "required": ["expression"],
    "additionalProperties": False,
}


class Calculator:
    """`gateway.agents.tools.port.Tool`."""

    name: Final = "calculator"
    description: Final = (
        "Computes an arithmetic expression exactly: + - * / // % ** and parentheses; abs, ceil, exp, floor, ln, "
        "log10, max, min, round(number, places), sqrt; pi and e. Decimals are exact: 0.1 + 0.2 is 0.3."
    )
    parameters: Final = _PARAMETERS
    is_repeatable: Final = True
    kind: Final = "tool"
    risk: Final[Risk] = "low"

    def __init__(self, requires_approval: bool = False) -> None:
        self.requires_approval = requires_approval

    async def call(self, arguments: dict[str, Json], context: ToolContext) -> Json:
        """`{"result": "0.3", "exact": true}`; a result that was rounded, or whose digits do not end, is not exact."""
        try:
            value = evaluate(arguments["expression"])
        except BadExpression as error:
            raise StepFailed(f"This cannot be computed: {error}.") from error
        return {"result": str(value), "exact": value.is_shown_whole}
