"""PROTOCOL.md §6: what a client has is the log, after any sequence of absences, restarts and slow reading.

Seeded: a failure names its seed and happens again with it.
"""

import json
import random

import pytest
from gateway_stage import Frame, Stage, Wire, words
from websockets.exceptions import ConnectionClosed


class Follower:
    """A client that keeps its cursor, as every client should, and checks each event against it."""

    def __init__(self, thread_id: str, epoch: str) -> None:
        self.thread_id = thread_id
        self.epoch = epoch
        self.log: list[Frame] = []
        self.wire: Wire | None = None
        self.is_live = False

    async def connect(self, stage: Stage, *, in_hello: bool) -> None:
        cursor = {"epoch": self.epoch, "after_seq": len(self.log)}
        self.is_live = False
        self.wire = await stage.connect_slow()
        if in_hello:
            self.wire.socket.transport.abort()
            self.wire = await stage.connect(resume=[{"thread_id": self.thread_id, **cursor}])
        else:
            await self.wire.post("thread.subscribe", thread_id=self.thread_id, from_=cursor)
        self._adopt()

    def vanish(self) -> None:
        """Without a word; what was received but not read is lost, as when a program is killed."""
        if self.wire is not None:
            self.wire.socket.transport.abort()
            self.wire = None

    async def read(self, count: int) -> None:
        """Read so many frames, if they come soon."""
        if self.wire is None:
            return
        try:
            for _ in range(count):
                self._take(await self.wire.receive(0.05))
        except TimeoutError:
            return
        except ConnectionClosed:
            self.wire = None

    def _adopt(self) -> None:
        assert self.wire is not None
        for frame in self.wire.notes:
            self._take(frame)
        self.wire.notes.clear()

    def _take(self, frame: Frame) -> None:
        assert "error" not in frame, frame
        if frame.get("method") == "event":
            assert frame["params"]["seq"] == len(self.log) + 1, "the next one, and no other"
            self.log.append(frame["params"])
        elif frame.get("method") == "subscription":
            assert frame["params"]["state"] != "reset"
            self.is_live = frame["params"]["state"] == "live"


@pytest.mark.parametrize("seed", range(6))
async def test_a_clients_view_is_the_log(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    owner = await stage.connect()
    thread_id = (await owner.call("thread.create"))["thread"]["id"]
    followers = [Follower(thread_id, stage.store.identity.epoch) for _ in range(3)]
    for step in range(120):
        follower = chance.choice(followers)
        match chance.randrange(12):
            case 0 | 1 | 2 | 3:
                text = chance.choice(["say x", "stream 5 1000", "fail", f"say {'y' * 40_000}"])
                await owner.call("message.send", thread_id=thread_id, content=words(text))
            case 4:
                await owner.call("thread.update", thread_id=thread_id, title=f"step {step}")
            case 5 | 6 if follower.wire is None:
                await follower.connect(stage, in_hello=chance.random() < 0.5)
            case 7:
                follower.vanish()
            case 8 if step % 3 == 0:
                await stage.restart()
                owner = await stage.connect()
            case _:
                await follower.read(chance.choice([1, 3, 20]))
    await stage.restart()
    owner = await stage.connect()
    await owner.call("message.send", thread_id=thread_id, content=words("say the last"))
    await owner.call("thread.subscribe", thread_id=thread_id, from_="start", deltas=False)
    while (await owner.event("run.completed"))["run_id"] is None or await unfinished(owner, thread_id):
        pass
    log = await stage.log(thread_id)
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    for follower in followers:
        follower.vanish()
        await follower.connect(stage, in_hello=True)
        while len(follower.log) < len(log):
            await follower.read(50)
        assert json.dumps(follower.log) == json.dumps(log)
    ends = [event["run_id"] for event in log if event["kind"] in ("run.completed", "run.failed")]
    queued = [event["run_id"] for event in log if event["kind"] == "run.queued"]
    assert ends == queued, "every message was answered once, in order"


async def unfinished(wire: Wire, thread_id: str) -> bool:
    states = {run["state"] for run in (await wire.call("run.list", thread_id=thread_id, limit=500))["runs"]}
    return bool(states & {"queued", "running"})
