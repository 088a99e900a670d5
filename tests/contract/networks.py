"""A chat network as a scenario sees it: who writes where, what people see then, and what can go wrong.

One driver per network implements `Network` over that network's emulator (`slack_network`, `telegram_network`,
`discord_network`). Scenarios know only what is here: they branch on the adapter's capabilities and on `Facts`,
never on a network's name. Nothing here knows the gateway.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from channels.emulators.calls import Call
from channels.emulators.faults import FaultKind
from channels.messages import Mark


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes. `number` makes every network's own id; `is_bot` is another program."""

    number: int
    name: str
    is_bot: bool = False


ADA = Person(1, "Ada")
BOB = Person(2, "Bob")
ROBOT = Person(9, "Robot", is_bot=True)

GATE = "gate"
"""The account that most scenarios configure, and the name of its bot."""
NIGHT = "night"
"""A second bot on the same network, in the same rooms."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one can write, in the network's own ids. `thread` is a place inside the room."""

    room: str
    is_direct: bool
    thread: str | None = None
    account: str = GATE


@dataclass(frozen=True, slots=True)
class Said:
    """What a person wrote. `handle` is what the network delivers it under."""

    spot: Spot
    ref: str
    person: Person
    handle: Any = None


@dataclass(frozen=True, slots=True)
class File:
    """A file as people have it."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """One message of the bot as people see it. `text` is what it says in the network's own notation.

    `earlier` is what it said before, oldest first; `code` are the pieces shown as code blocks, with their
    language; `called` is everybody it notifies, in the network's words.
    """

    spot: Spot
    ref: str
    text: str
    earlier: tuple[str, ...] = ()
    code: tuple[tuple[str, str], ...] = ()
    buttons: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    called: tuple[str, ...] = ()


class Act(StrEnum):
    """The calls of a bot that can be disturbed."""

    SEND = "send"
    EDIT = "edit"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a network does whatever its adapter: no capability of a room, but scenarios must know it.

    `tells_deletions`: bots hear that a person deleted a message. `acknowledges`: what a bot did not acknowledge
    is delivered again; otherwise it has to be read back. `recognises_repeats`: a repeated send can be recognised,
    or what was sent can be read back (then `Idempotency` is not NONE).
    """

    tells_deletions: bool = True
    acknowledges: bool = True
    recognises_repeats: bool = True


class Network(Protocol):
    """One emulated network with two bots, some people, and rooms that come into being when they are named."""

    kind: str
    facts: Facts

    async def open(self) -> None:
        """Begin to listen."""

    async def close(self) -> None:
        """End for good."""

    async def unplug(self) -> None:
        """Nothing can be reached any more; what people do meanwhile is kept as the network keeps it."""

    async def plug(self) -> None:
        """The end of an outage, at the same address."""

    def table(self, account: str = GATE) -> dict[str, Any]:
        """The least `[[channels]]` table that makes an account work."""

    # --- places and people --------------------------------------------------------------------

    def id_of(self, person: Person) -> str:
        """The network's own id, as allowlists take it."""

    def direct(self, person: Person = ADA, account: str = GATE) -> Spot:
        """The direct chat of a person with a bot."""

    def room(self, name: str = "lobby") -> Spot:
        """A room of several people that both bots are in."""

    def room_id(self, spot: Spot) -> str:
        """A room's id, as the gateway names it."""

    # --- what people do -----------------------------------------------------------------------

    def say(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        """Write to everybody there."""

    def mention(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        """Write to the spot's bot, so that it must notice."""

    def reply(self, said: Said, answer: Shown, text: str, person: Person = ADA) -> Said:
        """Go on in the conversation that `said` began and `answer` answers, without naming the bot."""

    def command(self, spot: Spot, text: str, person: Person = ADA) -> Said:
        """Run the bot's command with a text."""

    def edit(self, said: Said, text: str) -> None:
        """Say something else instead."""

    def delete(self, said: Said) -> None:
        """Take it back."""

    def upload(self, spot: Spot, file: File, text: str = "", person: Person = ADA) -> Said:
        """Share a file so that the bot must notice, with some words."""

    async def press(self, shown: Shown, label: str, person: Person = ADA) -> None:
        """Press a button; a form that it opens is sent as it is."""

    # --- what people see ----------------------------------------------------------------------

    def parts(self, markdown: str) -> list[str]:
        """What the messages say by which the network shows an answer."""

    def from_bot(self, spot: Spot, last: int = 0) -> list[Shown]:
        """The bot's messages in a spot, its threads included, as they stand now and in order of posting.

        All of them, or only the `last` ones.
        """

    def answers(self, said: Said) -> list[Shown]:
        """Those of them in the conversation that `said` belongs to."""

    def growing(self, spot: Spot) -> str:
        """What people can read now of an answer that is being written, or ""; a final answer counts too."""

    def posts(self, spot: Spot) -> int:
        """How many messages the bot ever posted there, with those that are gone."""

    def marks(self, said: Said) -> set[Mark]:
        """The bot's reactions to a message."""

    def whispers(self, spot: Spot, person: Person) -> list[str]:
        """What the bot told one person alone, there or in answer to a press."""

    def signs_of_work(self, spot: Spot) -> int:
        """How often the bot showed that it works on something."""

    # --- what can go wrong --------------------------------------------------------------------

    def disturb(self, act: Act, kind: FaultKind, **options: Any) -> None:
        """Script a fault of the next calls of this kind; options are those of `FaultScript.add`."""

    def calls(self, act: Act) -> list[Call]:
        """The calls of this kind so far, in order."""

    def hold(self) -> None:
        """Keep back what happens from now on."""

    def release(self, *, backwards: bool = False) -> None:
        """Deliver what was held back, newest first if told, and hold nothing any more."""

    def redeliver(self, said: Said) -> None:
        """Deliver something once more that was delivered already."""

    def undelivered(self, account: str = GATE) -> int:
        """How many deliveries to a bot it has not acknowledged; always 0 where bots acknowledge nothing."""

    def acknowledged(self, sayings: Iterable[Said]) -> list[Said]:
        """Those the gateway promised to keep: the network delivers them no more."""

    def revoke(self) -> None:
        """The bot's credential opens nothing any more."""

    def restore(self) -> None:
        """It works again."""

    def expel(self, spot: Spot) -> None:
        """Take the bot out of a room."""
