"""getUpdates: the waiting, the waking and the conflict between two pollers of one bot.

The only shell around `updates.py`. One request per bot waits at a time: a second one that has to wait throws
the first out with a 409, as the real server does.
"""

import asyncio
from dataclasses import dataclass

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.records import BotAccount, Json
from channels.emulators.telegram.refusals import (
    CONFLICT_POLL,
    CONFLICT_SET_WEBHOOK,
    CONFLICT_WEBHOOK,
    Refusal,
)
from channels.emulators.telegram.updates import LIMIT_MAX, Poll
from channels.emulators.telegram.webhook_methods import update_kinds
from channels.emulators.telegram.wire import update_to_wire
from channels.emulators.telegram.world import World

# Conflicts that follow one another are answered this much later (Client::fail_query_conflict).
CONFLICT_PAUSE_S = 3.0


@dataclass(frozen=True, slots=True)
class _Waiter:
    """The request that waits; the future says whether it was thrown out (True) or has something to fetch."""

    is_conflict: asyncio.Future[bool]


class Pollers:
    """The waiting getUpdates requests, at most one for each bot."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: dict[int, _Waiter] = {}
        self._next_conflict_at: dict[int, float] = {}
        self._closing = asyncio.Event()

    async def get_updates(self, bot: BotAccount, arguments: Arguments) -> list[Json]:
        """The bot's next updates, after waiting for some. Raises Refusal 409."""
        world = self._world
        if world.webhooks[bot.id].url:
            await self._pause_conflict(bot)
            raise Refusal(409, CONFLICT_WEBHOOK)
        queue = world.queues[bot.id]
        queue.allow(update_kinds(arguments))
        poll = queue.plan(
            arguments.integer("offset"),
            arguments.integer("limit", LIMIT_MAX),
            arguments.integer("timeout"),
            world.now(),
        )
        updates = queue.take(poll.offset, poll.limit, world.now())
        if not updates and poll.timeout_s > 0 and not self._closing.is_set():
            await self._wait(bot, poll)
            # A negative offset has already dropped what it drops; asking again must not drop the newcomers.
            updates = queue.take(max(poll.offset, 0), poll.limit, world.now())
        return [update_to_wire(update) for update in updates]

    def wake(self) -> None:
        """Let every waiting request look again when there is something for it, or a webhook in its place."""
        for bot_id, waiter in self._waiting.items():
            is_hooked = bool(self._world.webhooks[bot_id].url)
            has_updates = bool(self._world.queues[bot_id].to_post(self._world.now()))
            if (is_hooked or has_updates) and not waiter.is_conflict.done():
                waiter.is_conflict.set_result(is_hooked)

    def close(self) -> None:
        """Answer everybody who waits; later requests do not wait."""
        self._closing.set()
        for waiter in self._waiting.values():
            if not waiter.is_conflict.done():
                waiter.is_conflict.set_result(False)

    async def pause(self, delay_s: float) -> None:
        """Wait, but not beyond the emulator's end."""
        try:
            await asyncio.wait_for(self._closing.wait(), delay_s)
        except TimeoutError:
            return

    async def _wait(self, bot: BotAccount, poll: Poll) -> None:
        previous = self._waiting.get(bot.id)
        if previous is not None and not previous.is_conflict.done():
            previous.is_conflict.set_result(True)
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiting[bot.id] = waiter
        try:
            is_conflict = await asyncio.wait_for(waiter.is_conflict, poll.timeout_s)
        except TimeoutError:
            return
        finally:
            if self._waiting.get(bot.id) is waiter:
                del self._waiting[bot.id]
        if is_conflict:
            await self._pause_conflict(bot)
            is_hooked = bool(self._world.webhooks[bot.id].url)
            raise Refusal(409, CONFLICT_SET_WEBHOOK if is_hooked else CONFLICT_POLL)

    async def _pause_conflict(self, bot: BotAccount) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_conflict_at.get(bot.id, 0.0):
            self._next_conflict_at[bot.id] = now + CONFLICT_PAUSE_S
        else:
            await self.pause(CONFLICT_PAUSE_S)
