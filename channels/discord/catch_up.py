"""Catching up: rooms that are behind are read through REST, page by page, into the receiver's queue.

Reads only; what was read is stored by the receiver, with the same delivery ids as live messages. A failure is
waited out here, with the platform's own delay where it names one: nobody else would ask again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from channels.discord.backoff import Backoff
from channels.discord.capabilities import CATCH_UP_WORKERS, HISTORY_PAGE
from channels.discord.watch import Watch
from channels.errors import ChannelError, Permanent, RateLimited

log = logging.getLogger(__name__)

READ_BACK = "READ_BACK"
"""The name of the event that carries a page; `data` is a Page."""


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of a room in their order. `refusal` says why nothing can be read there."""

    room: str
    generation: int
    messages: Sequence[Mapping[str, Any]] = ()
    is_last: bool = True
    refusal: ChannelError | None = None


class History(Protocol):
    """Where messages are read back, and where they go."""

    async def messages_after(self, channel_id: str, after: int) -> Sequence[Mapping[str, Any]]:
        """Up to HISTORY_PAGE messages that follow this id, in order. Raises ChannelError."""
        ...


class Inlet(Protocol):
    """The receiver's queue."""

    def take(self, name: str, data: Any) -> None:
        """Append an event."""
        ...

    async def has_space(self) -> None:
        """Return when the queue has space."""
        ...


@dataclass(slots=True)
class CatchUp:
    """Reads what `watch` says is behind. `run` once; `wake` whenever there may be something to read."""

    account: str
    watch: Watch
    history: History
    inlet: Inlet
    backoff: Backoff
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There may be rooms to read."""
        self._work.set()

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(CATCH_UP_WORKERS):
                group.create_task(self._work_off(), name=f"discord:{self.account} reads back {number}")

    async def _work_off(self) -> None:
        while True:
            room = self.watch.next_unread()
            if room is None:
                self._work.clear()
                await self._work.wait()
            else:
                await self._read(room)

    async def _read(self, room: str) -> None:
        generation, after = self.watch.generation, self.watch.floor(room)
        while True:
            try:
                messages = await self._page(room, after)
            except Permanent as error:
                self.inlet.take(READ_BACK, Page(room, generation, refusal=error))
                return
            is_last = len(messages) < HISTORY_PAGE
            self.inlet.take(READ_BACK, Page(room, generation, messages, is_last))
            if is_last:
                return
            after = int(messages[-1]["id"])
            await self.inlet.has_space()

    async def _page(self, room: str, after: int) -> Sequence[Mapping[str, Any]]:
        failures = 0
        while True:
            try:
                return await self.history.messages_after(room, after)
            except Permanent:
                raise
            except ChannelError as error:
                failures += 1
                log.warning(
                    "discord catch-up waits: %s",
                    error,
                    extra={"action": "discord.catch_up_waits", "account": self.account},
                )
                at_least_s = error.after_s if isinstance(error, RateLimited) else 0.0
                await asyncio.sleep(max(at_least_s, self.backoff.delay_s(failures)))
