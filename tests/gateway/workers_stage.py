"""A gateway with an agent of kind remote, and workers that a test writes frame by frame: they know nothing else."""

import json
from pathlib import Path
from typing import Any

from gateway_stage import PATIENCE_S, Frame, Stage, Wire, eventually, words

from gateway.agent_settings import RemoteSettings
from protocol.records import Role
from storage.values import DEFAULT_ORG

AGENT = "crew"
ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.interrupted")


class RawWorker:
    """An agent process as somebody would write one in another language."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.index = 0

    async def execute(self) -> Frame:
        """The next run.execute, taken; its params."""
        frame = await self.asked()
        await self.result(frame["id"])
        return frame["params"]

    async def asked(self) -> Frame:
        """The next run.execute, unanswered."""
        while True:
            for position, frame in enumerate(self.wire.notes):
                if frame["method"] == "run.execute":
                    self.index = 0
                    return self.wire.notes.pop(position)
            await self.wire._take()

    async def result(self, number: object, **result: Any) -> None:
        await self._send(id=number, result=result)

    async def refuse(self, number: object, kind: str) -> None:
        error = {"code": -32000, "message": "no", "data": {"kind": kind, "retryable": True}}
        await self._send(id=number, error=error)

    async def output(self, run: Frame, type_: str, **fields: Any) -> None:
        """The next output of a run; `index` is counted unless given."""
        params = {
            "run_id": run["run_id"],
            "fence": run["fence"],
            "index": self.index,
            "type": type_,
            **fields,
        }
        self.index += 1
        await self._send(method="run.output", params=params)

    async def say(self, run: Frame, *texts: str) -> None:
        for text in texts:
            await self.output(run, "text", text=text)

    async def step(self, run: Frame, key: str, phase: str, **fields: Any) -> Frame:
        given = {"run_id": run["run_id"], "fence": run["fence"], "key": key, "phase": phase, **fields}
        return await self.wire.call("run.step", **given)

    async def cancelled(self) -> Frame:
        """The next run.cancel."""
        return await self.wire.note(lambda frame: frame["method"] == "run.cancel")

    async def _send(self, **frame: Any) -> None:
        await self.wire.send(json.dumps({"jsonrpc": "2.0", **frame}))

    def vanish(self) -> None:
        """The process is killed: its socket just ends."""
        self.wire.socket.transport.abort()


class RemoteStage(Stage):
    """A gateway whose default agent is answered by processes."""

    def __init__(self, directory: Path, agents: tuple[Any, ...] = (), **settings: Any) -> None:
        given = {"id": AGENT, "kind": "remote", **settings.pop("agent", {})}
        super().__init__(directory, agents=(RemoteSettings(**given), *agents), **settings)
        self.secret = ""

    async def start(self, **changes: Any) -> None:
        await super().start(**changes)
        self.secret = self.secret or await self.token(Role.AGENT, agent_id=AGENT)

    async def worker(self, concurrent: int = 1, name: str = "raw") -> RawWorker:
        """A raw worker that has said hello."""
        wire = await self.open()
        hello = {"role": "agent", "worker": {"concurrent": concurrent}, "client": {"name": name}}
        await wire.say_hello(self.secret, **hello)
        return RawWorker(wire)

    async def ask(self, wire: Wire, text: str, thread_id: str | None = None, **params: Any) -> Frame:
        """Send a message; what it was answered with."""
        where = {"thread_id": thread_id} if thread_id is not None else {}
        return await wire.call("message.send", content=words(text), **where, **params)

    async def ended(self, run_id: str, patience_s: float = PATIENCE_S) -> Frame:
        """A run once it has ended."""

        async def over() -> Frame | None:
            run = await self.store.runs.get(DEFAULT_ORG, run_id)
            record = run.model_dump(mode="json")
            return record if f"run.{record['state']}" in ENDINGS else None

        run: Frame = await eventually(over, patience_s)
        return run

    async def answer(self, sent: Frame, patience_s: float = PATIENCE_S) -> str:
        """The text of a run's answer; fails when it has none."""
        run = await self.ended(sent["run_id"], patience_s)
        assert run["state"] == "completed", run
        for event in await self.log(sent["thread_id"]):
            if event["kind"] == "message.created" and event.get("run_id") == sent["run_id"]:
                message = event["data"]["message"]
                if message["role"] == "assistant":
                    return "".join(part["text"] for part in message["content"])
        raise AssertionError("it completed without a word")

    async def events(self, thread_id: str, kind: str) -> list[Frame]:
        """The events of a kind in a thread's log."""
        return [event for event in await self.log(thread_id) if event["kind"] == kind]
