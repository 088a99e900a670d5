"""A scenario's stage: one emulated network, a real gateway in this process that speaks to it, and patience.

The gateway's adapters, their libraries and the store are the real ones. A scenario waits for conditions, never for
a time; what must not happen is asserted after something later has happened.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from channels.capabilities import Capabilities
from channels.messages import HealthState, RoomRef
from channels.port import Adapter
from gateway.agent_settings import DemoSettings
from protocol.records import Role
from storage.files import DATABASE_NAME
from storage.values import DEFAULT_ORG
from tests.contract.networks import GATE, Network, Said, Shown, Spot
from tests.gateway.gateway_stage import QUICK_END, UNHURRIED, Frame, Stage, Wire, eventually

PATIENCE_S = 15.0
CONNECTING_S = 2.0


class ContractStage(Stage):
    """A gateway over one network, in which anybody may talk unless told otherwise."""

    def __init__(self, directory: Path, network: Network, **channel: Any) -> None:
        self.network = network
        self._channel = {"dm_policy": "open", **channel}
        self._accounts = [GATE]
        super().__init__(directory, agents=(DemoSettings(id="demo"),), limits=UNHURRIED, runs=QUICK_END)

    async def go(self, *accounts: str, **channel: Any) -> None:
        """Start, with other accounts and settings of the channel from now on; return when messages flow."""
        self._accounts = list(accounts) or self._accounts
        self._channel.update(channel)
        await self.start(channels=self.tables())
        await self.flows()

    async def stop(self) -> None:
        """An orderly end, not in the middle of connecting: cut off there, the libraries leave sockets behind."""
        if self.is_running:
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECTING_S):
                    while any(one.health().state is HealthState.STARTING for one in self.adapters):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
        await super().stop()

    async def again(self, **channel: Any) -> None:
        """An orderly end, and a new gateway on the same store that is not waited for."""
        await self.stop()
        self._channel.update(channel)
        await self.start(channels=self.tables())

    async def flows(self) -> None:
        """Return when every account is connected."""
        await until_so(lambda: all(one.health().state is HealthState.CONNECTED for one in self.adapters))

    @property
    def adapters(self) -> list[Adapter]:
        return self.gateway.rooms.channels.all()

    @property
    def adapter(self) -> Adapter:
        """That of the first account."""
        return self.adapters[0]

    @property
    def placeholder(self) -> str:
        """What stands for an answer that is not there yet."""
        return self.adapter.placeholder(RoomRef("")).text

    async def capabilities(self, thread_id: str) -> Capabilities:
        """What the room of a thread can do."""
        thread = await self.store.threads.get(DEFAULT_ORG, thread_id)
        assert thread is not None
        assert thread.origin.room is not None
        return self.adapter.capabilities(RoomRef(thread.origin.room, thread.origin.topic))

    # --- what people see ----------------------------------------------------------------------

    def texts(self, spot: Spot) -> list[str]:
        """What the bot's messages say in a spot, without placeholders."""
        return [one.text for one in self.network.from_bot(spot) if one.text != self.placeholder]

    async def shows(self, spot: Spot, *texts: str) -> list[Shown]:
        """Wait until a spot shows just these answers, in this order, and everything owed was delivered."""
        await self.eventually(lambda: self.texts(spot) == list(texts), lambda: self.texts(spot))
        await self.settled()
        assert self.texts(spot) == list(texts)
        return [one for one in self.network.from_bot(spot) if one.text != self.placeholder]

    async def answer(self, said: Said, text: str) -> Shown:
        """Wait for the one message with this text in the conversation of `said`."""

        def found() -> list[Shown]:
            return [one for one in self.network.answers(said) if one.text == text]

        await self.eventually(found, lambda: [one.text for one in self.network.answers(said)])
        (shown,) = found()
        return shown

    async def eventually(
        self,
        condition: Callable[[], object],
        look: Callable[[], object] = lambda: "",
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Wait until `condition` holds; `look` says what is there instead when it does not."""
        deadline = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen in time; there is {look()!r}"
            await asyncio.sleep(0.01)

    # --- what the store knows -----------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the store's file holds, by a connection that changes nothing."""
        path = self._given["data_dir"] / DATABASE_NAME
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    async def settled(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until no run is under way and no delivery is owed; dead letters and held ones are not owed."""

        async def is_quiet() -> bool:
            runs = self.rows("SELECT 1 FROM runs WHERE state IN ('queued', 'running')")
            owed = self.rows("SELECT 1 FROM outbox WHERE phase NOT IN ('sent', 'failed')")
            return not runs and not owed

        await eventually(is_quiet, patience_s)

    async def threads(self) -> list[str]:
        """The ids of all threads, oldest first."""
        found, _ = await self.store.threads.page(DEFAULT_ORG, "all", 100, None)
        return sorted(thread.id for thread in found)

    async def only_thread(self) -> str:
        """The id of the one thread there is, once there is one."""

        async def found() -> list[str]:
            return await self.threads()

        (thread_id,) = await eventually(found)
        return str(thread_id)

    async def events(self, kind: str, thread_id: str | None = None) -> list[Frame]:
        """The events of one kind, of a thread or of all."""
        threads = await self.threads() if thread_id is None else [thread_id]
        return [event for one in threads for event in await self.log(one) if event["kind"] == kind]

    async def has_event(self, kind: str, patience_s: float = PATIENCE_S) -> Frame:
        """Wait for an event of a kind in any thread, and return the first."""

        async def found() -> list[Frame]:
            return await self.events(kind)

        events: list[Frame] = await eventually(found, patience_s)
        return events[0]

    def questions(self) -> list[str]:
        """What people said, as stored, in the order it was stored."""
        return [text for (text,) in self.rows("SELECT text FROM messages WHERE role = 'user' ORDER BY id")]

    async def operator(self) -> Wire:
        """A connection of somebody who may decide and administrate."""
        return await self.connect(await self.token(Role.OWNER))

    async def status(self) -> Frame:
        """What `channel.status` says of the first account."""
        wire = await self.connect()
        answer = await wire.call("channel.status", channel_id=f"{self.network.kind}:{GATE}")
        channel: Frame = answer["channel"]
        return channel

    def tables(self) -> tuple[dict[str, Any], ...]:
        """The channels of the configuration."""
        return tuple({**self.network.table(account), **self._channel} for account in self._accounts)


async def until_so(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


async def holds_until(promise: Callable[[], object], end: Awaitable[object]) -> None:
    """Check a promise all the time until something else is over."""
    waiting = asyncio.ensure_future(end)
    while not waiting.done():
        assert promise()
        await asyncio.sleep(0.01)
    waiting.result()
