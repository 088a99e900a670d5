"""A gateway whose agent calculates, and asks a person before: the answer shows what was calculated, if anything was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway_stage import Frame, Stage, Wire, eventually, words

from gateway.agent_settings import ScriptSettings
from gateway.policy_settings import PolicySettings
from storage.engine import Transaction
from storage.values import DEFAULT_ORG

SCRIPT = """
scenarios:
  - name: sum
    match: {command: sum}
    steps:
      - say: "Working. "
      - tool: {name: clock, save_as: now}
      - tool: {name: calculator, arguments: {expression: "{{rest}}"}, save_as: result}
      - say: "{{result}}"
  - name: twice
    match: {command: twice}
    steps:
      - tool: {name: calculator, arguments: {expression: "{{rest}}"}, save_as: result}
      - tool: {name: calculator, arguments: {expression: "{{rest}}+1"}, save_as: next}
      - say: "{{result}} {{next}}"
"""
RULE = "sums"


class Office(Stage):
    """The gateway, and what people do about its approvals."""

    async def asks(self, wire: Wire, text: str = "sum 6*7") -> tuple[str, Frame]:
        """Say something that needs leave; the thread and the approval that waits."""
        sent = await wire.call("message.send", content=words(text))
        return sent["thread_id"], await self.pending(wire, sent["thread_id"])

    async def pending(self, wire: Wire, thread_id: str, but: str = "") -> Frame:
        """The approval that waits in a thread, once it is there."""

        async def found() -> Frame | None:
            listed = await wire.call("approval.list", state="pending", thread_id=thread_id)
            waiting = [one for one in listed["approvals"] if one["id"] != but]
            return waiting[0] if waiting else None

        approval: Frame = await eventually(found)
        return approval

    async def answer(self, thread_id: str) -> str:
        """What the agent said in the end."""

        async def said() -> str | None:
            for event in await self.log(thread_id):
                if event["kind"] == "message.created" and event["data"]["message"]["role"] == "assistant":
                    text: str = event["data"]["message"]["content"][0]["text"]
                    return text
            return None

        return str(await eventually(said))

    async def audited(self, action: str) -> list[Frame]:
        """The entries of one action."""
        entries, _ = await self.store.audit.page(DEFAULT_ORG, 0, action, 500)
        return [entry.model_dump() for entry in entries]

    async def run(self, sql: str, **values: Any) -> None:
        """Change the store beside the gateway, for what other parts of it would do."""

        def change(tx: Transaction) -> None:
            tx.run(sql, **values)

        await self.store.engine.write(change)


@asynccontextmanager
async def office(directory: Path, **terms: Any) -> AsyncIterator[tuple[Office, Wire]]:
    """A running one whose policy wants a person asked about sums, under these terms; and the owner's connection."""
    script = directory / "script.yaml"
    await asyncio.to_thread(script.write_text, SCRIPT)
    agent = ScriptSettings(
        id="counter", kind="script", script=script, tools=("calculator", "clock"), wait_timeout_s=3600.0
    )
    policy = PolicySettings.model_validate(
        {"name": RULE, "effect": "require_approval", "tool": ("calculator",), "approval": terms}
    )
    made = Office(directory / "data", agents=(agent,), policies=(policy,))
    await made.start()
    try:
        yield made, await made.connect()
    finally:
        await made.close()
