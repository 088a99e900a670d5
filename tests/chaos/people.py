"""Those who talk: people in Telegram rooms, and clients that send over the WebSocket with keys and retries."""

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from threadgate_client import Busy, Client, DeadlineExceeded

from channels.emulators.telegram import TelegramEmulator, User
from channels.emulators.telegram.records import BotAccount
from channels.telegram.render import render_markdown

from .gateways import BOT
from .ledger import Ledger, Said

PENDING_MAX = 2
"""Questions a person asks before the first is answered."""
THINK_S = (0.05, 0.5)
"""What a person waits between two looks at the room."""
PATIENCE_S = (0.15, 1.5)
"""What an impatient client waits for its answer before it sends again, with the same key."""
GROUP = -1_000_000_000_777


@dataclass(frozen=True, slots=True)
class Room:
    """A place in Telegram where one person writes: a private chat, or a topic of the group."""

    chat_id: int
    user: User
    topic: int | None = None


PRIVATE_ROOMS = [Room(2000 + n, User(2000 + n, f"Person {n}")) for n in range(4)]
TOPIC_ROOMS = [Room(GROUP, User(3000 + n, f"Member {n}"), topic=100 + 100 * n) for n in range(2)]
ROOMS = [*PRIVATE_ROOMS, *TOPIC_ROOMS]


def shown(answer: str) -> list[str]:
    """The messages by which Telegram shows an answer, in order."""
    return [part.text for part in render_markdown(answer)]


def said_by_bot(emulator: TelegramEmulator, chat_id: int) -> list[str]:
    """What the bot's messages in a chat show now, in the order they were posted."""
    messages = emulator.messages(chat_id)
    return [m.text for m in messages if isinstance(m.sender, BotAccount) and m.deleted_at is None]


class Person:
    """Types in one room, and asks on when the answers have come."""

    def __init__(self, room: Room, emulator: TelegramEmulator, ledger: Ledger, rng: random.Random) -> None:
        self._room = room
        self._emulator = emulator
        self._ledger = ledger
        self._rng = rng
        self._pending: list[Said] = []

    async def talk(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(*THINK_S))
            texts = set(said_by_bot(self._emulator, self._room.chat_id)[-40:])
            self._pending = [said for said in self._pending if shown(said.answer)[0] not in texts]
            if len(self._pending) < PENDING_MAX:
                self.say()

    def say(self) -> None:
        """Something new."""
        said = self._ledger.compose()
        room = self._room
        if room.topic is None:
            posted = self._emulator.say(said.text, user=room.user)
        else:
            posted = self._emulator.say(
                f"@{BOT.username} {said.text}",
                user=room.user,
                chat_id=room.chat_id,
                message_thread_id=room.topic,
            )
        said.room, said.update_id = room.chat_id, posted.update_id
        self._pending.append(said)


class Sender:
    """Sends over the WebSocket; `thread_id` says where to, anew for every message."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        rng: random.Random,
        thread_id: Callable[[], tuple[str | None, int | None]],
        *,
        is_impatient: bool,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._rng = rng
        self._thread_id = thread_id
        self._is_impatient = is_impatient
        self._is_stopping = False
        self._pending: list[Said] = []

    def stop(self) -> None:
        """Begin nothing more; what was begun is still sent until it is answered."""
        self._is_stopping = True

    async def talk(self) -> None:
        """Until `stop`."""
        while not self._is_stopping:
            await asyncio.sleep(self._rng.uniform(*THINK_S))
            self._pending = [said for said in self._pending if said.message_id not in self._ledger.ended]
            if len(self._pending) < PENDING_MAX:
                said = self._ledger.compose()
                said.thread_id, said.room = self._thread_id()
                await self._say(said)
                self._pending.append(said)

    async def _say(self, said: Said) -> None:
        key = secrets.token_hex(16)
        while said.message_id is None:
            patience_s = self._rng.uniform(*PATIENCE_S) if self._is_impatient else None
            try:
                async with asyncio.timeout(patience_s):
                    result = await self._client.send(said.text, said.thread_id, idempotency_key=key)
            except (TimeoutError, DeadlineExceeded, Busy):
                continue
            said.thread_id, said.message_id, said.seq = result.thread_id, result.message_id, result.seq
