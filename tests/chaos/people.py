"""Those who talk: people in chat networks, and clients that send over the WebSocket with keys and retries."""

import asyncio
import random
import secrets
from collections.abc import Callable

from threadgate_client import Busy, Client, DeadlineExceeded

from tests.contract import networks
from tests.contract.networks import Network, Shown, Spot

from .ledger import Ledger, Said

PENDING_MAX = 2
"""Questions a person asks before the first is answered."""
THINK_S = (0.05, 0.5)
"""What a person waits between two looks at the room, when there is one network; more people take more time."""
PATIENCE_S = (0.15, 1.5)
"""What an impatient client waits for its answer before it sends again, with the same key."""
LOOK_BACK = 12
"""Messages a person looks at: a long answer is several."""
DIRECT, ROOMS = 4, 2
"""Conversations in direct chats, and in rooms, of one network."""


class Person:
    """Holds one conversation with the bot, and asks on when the answers have come.

    It begins with a direct message or a mention; everything later is said in the thread that this began.
    """

    def __init__(
        self,
        network: Network,
        spot: Spot,
        who: networks.Person,
        ledger: Ledger,
        rng: random.Random,
        haste: float,
    ) -> None:
        self.network = network
        self.spot = spot
        self._who = who
        self._ledger = ledger
        self._rng = rng
        self._think_s = (THINK_S[0] * haste, THINK_S[1] * haste)
        self._first: Said | None = None
        self._answer: Shown | None = None
        self._pending: list[Said] = []

    async def talk(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(*self._think_s))
            self._look()
            if self._answer is not None and len(self._pending) < PENDING_MAX:
                self.say()

    async def is_answered(self) -> None:
        """Return when the conversation has begun."""
        while self._answer is None:
            await asyncio.sleep(0.02)
            self._look()

    def say(self) -> None:
        """Something new."""
        said = self._ledger.compose()
        said.kind = self.network.kind
        if self._first is None:
            self._first = said
            say = self.network.say if self.spot.is_direct else self.network.mention
            said.there = say(self.spot, said.text, self._who)
        else:
            assert self._first.there is not None and self._answer is not None
            said.there = self.network.reply(self._first.there, self._answer, said.text, self._who)
        self._pending.append(said)

    def _look(self) -> None:
        shown = {one.text: one for one in self.network.from_bot(self.spot, LOOK_BACK)}
        for said in tuple(self._pending):
            first = self.network.parts(said.answer)[0]
            if first in shown:
                self._pending.remove(said)
                self._answer = self._answer or shown[first]


def cast_of(network: Network, ledger: Ledger, rng: random.Random, haste: float) -> list[Person]:
    """Everybody on a network: each person writes in one place only."""

    def person(number: int, spot: Spot, who: networks.Person) -> Person:
        return Person(network, spot, who, ledger, random.Random(rng.random()), haste)

    people = [networks.Person(number, f"Person {number}") for number in range(1, 1 + DIRECT + ROOMS)]
    places = [network.direct(who) for who in people[:DIRECT]]
    places += [network.room(f"room-{number}") for number in range(ROOMS)]
    return [person(number, spot, who) for number, (spot, who) in enumerate(zip(places, people, strict=True))]


class Sender:
    """Sends over the WebSocket; `thread_id` says where to, anew for every message."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        rng: random.Random,
        thread_id: Callable[[], str | None],
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
                said.thread_id = self._thread_id()
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
