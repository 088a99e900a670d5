"""An agent in ten lines. `threadgate token create --role agent --agent ID` makes its token."""

import os
from collections.abc import AsyncIterator

from threadgate_client import Agent, AgentRun

agent = Agent(os.environ.get("THREADGATE_URL", "http://127.0.0.1:8787"), token=os.environ["THREADGATE_TOKEN"])


@agent.on_run
async def answer(run: AgentRun) -> AsyncIterator[str]:
    yield f"You said: {run.text}"


if __name__ == "__main__":
    agent.serve()
