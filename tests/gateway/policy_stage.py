"""A gateway with a scripted agent and policies in a file, which a test rewrites while the gateway runs."""

from pathlib import Path
from typing import Any

from gateway_stage import Frame, Stage, Wire, eventually, words

from gateway.settings import load
from storage.values import DEFAULT_ORG

SCRIPT = """
scenarios:
  - name: add
    match: {command: add}
    steps:
      - tool: {name: calculator, arguments: {expression: "{{rest}}"}, save_as: sum}
      - say: "It is {{sum}}."
  - name: twice
    match: {command: twice}
    steps:
      - tool: {name: calculator, arguments: {expression: "{{rest}}"}, save_as: sum}
      - tool: {name: clock, save_as: time}
      - say: "It is {{sum}}."
  - name: missing
    match: {command: missing}
    steps:
      - tool: {name: nowhere.at_all, save_as: found}
      - say: "{{found}}"
  - name: secret
    match: {command: secret}
    steps:
      - stream: {text: "one two three four five six", rate: 50}
  - name: mended
    match: {command: mended}
    steps:
      - say: "The first draft."
      - steered: {}
      - steered: {}
  - name: read
    match: {command: read}
    steps:
      - tool: {name: http_fetch, arguments: {url: "http://127.0.0.1:9/"}, save_as: page}
      - tool: {name: calculator, arguments: {expression: "1+1"}, save_as: sum}
      - say: "It is {{sum}}."
"""
AGENT = """
[[agents]]
id = "player"
kind = "script"
script = "script.yaml"
tools = ["calculator", "clock", "http_fetch"]
fetch = { allow = ["127.0.0.1"], allow_private = true }
"""


class PolicyStage(Stage):
    """`policies` is the text of `[[policies]]` tables; `more` is any other part of the file."""

    def __init__(self, directory: Path, policies: str = "", more: str = "") -> None:
        super().__init__(directory / "data")
        self.path = directory / "config.toml"
        self._more = more
        (directory / "script.yaml").write_text(SCRIPT)
        self.write(policies)

    def write(self, policies: str) -> None:
        """The file, with these policies."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(AGENT + self._more + policies)
        fresh.replace(self.path)

    async def start(self, **changes: Any) -> None:
        self._given.update(changes)
        await self.start_with(load(self.path, self._given, {}))

    async def change(self, wire: Wire, policies: str) -> None:
        """Policies change while the gateway runs."""
        self.write(policies)
        await wire.call("agent.reload")

    async def say(self, wire: Wire, text: str) -> tuple[str, str]:
        """A message; its thread and its run."""
        sent = await wire.call("message.send", content=words(text))
        return sent["thread_id"], sent["run_id"]

    async def ended(self, run_id: str) -> Frame:
        """A run once it has ended."""

        async def over() -> Frame | None:
            run = await self.store.runs.get(DEFAULT_ORG, run_id)
            record = run.model_dump(mode="json")
            return record if record["ended_at"] is not None else None

        run: Frame = await eventually(over)
        return run

    async def answer(self, wire: Wire, text: str) -> str:
        """What is answered, or why nothing is."""
        thread_id, run_id = await self.say(wire, text)
        return await self.answer_of(thread_id, run_id)

    async def answer_of(self, thread_id: str, run_id: str) -> str:
        """The answer of a run, or why there is none."""
        run = await self.ended(run_id)
        if run["state"] != "completed":
            return f"{run['error']['kind']}: {run['error']['message']}"
        for event in await self.log(thread_id):
            if event["kind"] == "message.created" and event.get("run_id") == run_id:
                message = event["data"]["message"]
                if message["role"] == "assistant":
                    return "".join(part["text"] for part in message["content"])
        raise AssertionError("a completed run has an answer")

    async def entries(self, wire: Wire, action: str) -> list[Frame]:
        """The audit entries of an action."""
        found: list[Frame] = (await wire.call("audit.list", action=action))["entries"]
        return found

    async def verdicts(self) -> dict[tuple[str, str], float]:
        """How often each rule has spoken, by effect and name, from the metrics."""
        text = (await self.http().get("/metrics")).text
        found = {}
        for line in text.splitlines():
            if line.startswith("threadgate_policy_verdicts_total{"):
                labels, _, count = line.removeprefix("threadgate_policy_verdicts_total{").partition("} ")
                pairs = dict(label.split("=", 1) for label in labels.split(","))
                found[pairs["effect"].strip('"'), pairs["rule"].strip('"')] = float(count)
        return found


async def pending(wire: Wire) -> Frame:
    """The one approval that waits, once it is there."""

    async def one() -> Frame | None:
        approvals = (await wire.call("approval.list", state="pending"))["approvals"]
        return approvals[0] if approvals else None

    found: Frame = await eventually(one)
    return found


async def decide(wire: Wire, decision: str = "approve", **more: Any) -> Frame:
    """Decide about the one that waits; what it was."""
    approval = await pending(wire)
    await wire.call("approval.decide", approval_id=approval["id"], decision=decision, **more)
    return approval
