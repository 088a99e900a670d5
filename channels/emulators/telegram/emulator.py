"""The emulator as one object: start it, play people, script faults, look inside, stop it.

Wires the pure world to its HTTP sides. One instance, one loopback port; state lives in memory and ends with
the object (a stop followed by a start keeps it, as a network outlives its outages).
"""

import time
from collections.abc import Callable, Sequence
from typing import Self

from channels.emulators.calls import CallLog
from channels.emulators.control import Inspection
from channels.emulators.faults import FaultScript
from channels.emulators.feed import Feed
from channels.emulators.loopback import LoopbackServer
from channels.emulators.telegram import people
from channels.emulators.telegram.control import Control
from channels.emulators.telegram.flood import FloodLimits
from channels.emulators.telegram.people import Said, Words
from channels.emulators.telegram.polling import Pollers
from channels.emulators.telegram.records import BotAccount, ChatType, Message, Update, User
from channels.emulators.telegram.server import BotApi
from channels.emulators.telegram.world import World

DEFAULT_USER = User(1001, "Ada", "ada")


class TelegramEmulator:
    """A Bot API server on loopback. `clock` gives seconds since 1970 for dates, expiry and flood limits."""

    def __init__(
        self,
        bots: Sequence[BotAccount],
        *,
        clock: Callable[[], float] = time.time,
        flood_limits: FloodLimits | None = None,
        slows_repeated_polls: bool = True,
    ) -> None:
        self.world = World(bots, clock, flood_limits or FloodLimits(), slows_repeated_polls)
        self.faults = FaultScript()
        self.calls = CallLog()
        self._server = LoopbackServer(lambda path: not path.startswith(("/bot", "/file/bot")))
        self._pollers: Pollers | None = None
        self._feed: Feed | None = None

    @property
    def url(self) -> str:
        """Where it listens; the last address while it is stopped."""
        return self._server.url

    @property
    def base_url(self) -> str:
        """What a `telegram.Bot` takes as `base_url`; the token and the method follow it."""
        return f"{self.url}/bot"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises ValueError for an address that is not loopback."""
        if self._server.is_running:
            raise RuntimeError("the emulator runs already")
        self._pollers, self._feed = Pollers(self.world), Feed()
        bot_api = BotApi(self.world, self._pollers, self.faults, self.calls, self._spread)
        control = Control(self.world, self._spread)
        inspection = Inspection(self.faults, self.calls, self._feed)
        await self._server.start(bot_api.routes() + control.routes() + inspection.routes(), host, port)

    async def stop(self) -> None:
        """Answer who waits, end the streams, close the port. Idempotent."""
        if self._pollers is not None and self._feed is not None:
            self._pollers.close()
            self._feed.close()
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def say(
        self,
        text: str,
        *,
        user: User = DEFAULT_USER,
        chat_id: int | None = None,
        chat_type: ChatType | None = None,
        chat_title: str | None = None,
        reply_to: int | None = None,
        message_thread_id: int | None = None,
        bot: str | None = None,
    ) -> Said:
        """Write as a person, by default in their private chat. Raises ControlError."""
        words = Words(
            text=text,
            user=user,
            chat_id=user.id if chat_id is None else chat_id,
            chat_type=chat_type,
            chat_title=chat_title,
            reply_to=reply_to,
            message_thread_id=message_thread_id,
        )
        said = people.say(self.world, self.world.bot_named(bot), words)
        self._spread()
        return said

    def edit(self, chat_id: int, message_id: int, text: str, *, bot: str | None = None) -> int | None:
        """Edit a person's message; returns the update id. Raises ControlError."""
        update_id = people.edit(self.world, self.world.bot_named(bot), chat_id, message_id, text)
        self._spread()
        return update_id

    def press(
        self,
        chat_id: int,
        message_id: int,
        callback_data: str,
        *,
        user: User = DEFAULT_USER,
        bot: str | None = None,
    ) -> str:
        """Press a button; returns the callback query's id. Raises ControlError."""
        query = people.press(self.world, self.world.bot_named(bot), chat_id, message_id, callback_data, user)
        self._spread()
        return query.id

    def messages(self, chat_id: int, *, bot: str | None = None) -> list[Message]:
        """Everything in a chat, with edits and deleted ones; nothing when there is no such chat."""
        chat = self.world.find_chat(chat_id, self.world.bot_named(bot))
        return [] if chat is None else list(chat.messages.values())

    def pending_updates(self, *, bot: str | None = None) -> list[Update]:
        """The updates a bot has not confirmed."""
        return self.world.queues[self.world.bot_named(bot).id].pending(self.world.now())

    def confirmed_offset(self, *, bot: str | None = None) -> int:
        """The highest offset a bot asked for: everything below it is confirmed."""
        return self.world.queues[self.world.bot_named(bot).id].confirmed_offset

    def _spread(self) -> None:
        """Tell pages and pollers what changed; does nothing but forget when the emulator does not run."""
        changes = self.world.drain_changes()
        if self._feed is not None and self._pollers is not None:
            self._feed.publish([change.to_wire() for change in changes])
            self._pollers.wake()
