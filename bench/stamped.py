"""`threadgate` whose demo agent also says what time it is (`stamps N RATE`), for measuring how late words arrive.

Everything else is the product's own.
"""

from collections.abc import AsyncIterator

import gateway.agents.registry
import gateway.cli
from bench.stamps import COMMAND, stamps
from gateway.agent_settings import AgentSettings
from gateway.agents.demo import DemoAgent
from gateway.agents.parts import AgentParts
from gateway.agents.port import AgentOutput, AgentText, RunContext


class StampedAgent(DemoAgent):
    """The demo agent with one more command."""

    async def answer(self, context: RunContext) -> AsyncIterator[AgentOutput]:
        if context.text.startswith(COMMAND):
            async for word in stamps(context.text):
                yield AgentText(word)
            return
        async for output in super().answer(context):
            yield output


def create(settings: AgentSettings, parts: AgentParts) -> StampedAgent:
    """The factory of kind="demo", here."""
    return StampedAgent(settings)


if __name__ == "__main__":
    kinds = {**gateway.agents.registry.KINDS, "demo": "bench.stamped:create"}
    gateway.agents.registry.KINDS = kinds  # type: ignore[misc]
    gateway.cli.main()
