"""What the hub's tests share: a hub over a real store, and readers that read as slowly as a test wants."""

import asyncio
import json
from typing import Any

from gateway.clock import Clock
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.hub.hub import Hub, Position
from gateway.hub.notes import Note
from protocol.ids import IdPrefix
from protocol.records import Origin
from storage.store import DEFAULT_ORG, Store
from storage.values import Act, NewThread


class Reader:
    """A receiver of limited capacity: what it was given waits until it reads."""

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.capacity = capacity
        self.waiting: list[Note] = []
        self.read: list[dict[str, Any]] = []
        self.most_waiting = 0
        self.is_closed = False
        self._room: list[asyncio.Future[None]] = []

    @property
    def is_congested(self) -> bool:
        return self.capacity < 1 << 30 and bool(self.waiting)

    def offer(self, note: Note) -> bool:
        if self.is_closed or len(self.waiting) >= self.capacity:
            return False
        self.insist(note)
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        return True

    def insist(self, note: Note) -> None:
        if not self.is_closed:
            self.waiting.append(note)

    async def has_room(self) -> None:
        if self.waiting and not self.is_closed and self.is_congested:
            room = asyncio.get_running_loop().create_future()
            self._room.append(room)
            await room

    def take(self, count: int = 1 << 30) -> None:
        """Read so many notes."""
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        for note in taken:
            self.read.append({"method": note.method, "params": json.loads(bytes(note.params))})
        if not self.waiting:
            rooms, self._room = self._room, []
            for room in rooms:
                if not room.done():
                    room.set_result(None)

    def close(self) -> None:
        self.is_closed = True
        self.waiting.clear()
        for room in self._room:
            if not room.done():
                room.set_result(None)

    @property
    def seqs(self) -> list[int]:
        return [one["params"]["seq"] for one in self.read if one["method"] == "event"]

    @property
    def states(self) -> list[str]:
        return [one["params"]["state"] for one in self.read if one["method"] == "subscription"]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [one["params"] for one in self.read if one["method"] == method]


class HubStage:
    """A hub that is told what a real store commits."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.hub = Hub(store.threads, store.identity.epoch)
        store.engine.add_hook(self.hub.on_commit)

    @property
    def act(self) -> Act:
        return Act(DEFAULT_ORG, LOCAL_ACTOR, "test", self.clock.now_ms())

    async def thread(self) -> str:
        thread_id = self.clock.new_id(IdPrefix.THREAD)
        await self.store.threads.create(self.act, NewThread(thread_id, "demo", "", Origin(kind="client")))
        return thread_id

    async def say(self, thread_id: str, *titles: str) -> None:
        """One event per title, committed together."""
        await asyncio.gather(
            *(self.store.threads.update(self.act, thread_id, title, None) for title in titles)
        )

    async def delete(self, thread_id: str) -> None:
        await self.store.threads.delete(self.act, thread_id)

    async def head(self, thread_id: str) -> int:
        return (await self.store.threads.get(DEFAULT_ORG, thread_id)).head_seq

    async def follow(
        self,
        reader: Reader,
        thread_id: str,
        position: Position = "start",
        *,
        deltas: bool = True,
        kinds: frozenset[str] | None = None,
    ) -> None:
        opening = await self.hub.subscribe(
            reader, DEFAULT_ORG, thread_id, position, deltas=deltas, kinds=kinds
        )
        opening.begin()

    async def read_to(self, reader: Reader, seq: int, at_once: int = 1 << 30) -> None:
        """Let the reader read until it has an event, at most so many notes between two turns of the loop."""
        async with asyncio.timeout(10):
            while not reader.seqs or reader.seqs[-1] < seq:
                reader.take(at_once)
                await asyncio.sleep(0)
