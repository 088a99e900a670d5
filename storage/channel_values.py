"""The plain values of what chat networks deliver: judged deliveries, what is told to their senders, pairings, gaps.

No behaviour. What may be asked with them is in `ports.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from storage.approval_values import Decide
from storage.values import Act, Ending, NewMessage, Notice

Standing = Literal["unknown", "allowed", "rejected"]
"""What an operator decided about a person of a chat network, beside the configuration."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Whose message is taken, by their standing, which only the store knows.

    `needs_thread`: it is taken only where it continues a conversation that is known and active (nobody was
    addressed, but people who write in the agent's own thread expect an answer).
    """

    taken_from: frozenset[Standing]
    needs_thread: bool = False


EVERYBODY: Final = Entry(frozenset({"unknown", "allowed", "rejected"}))
"""The configuration lets them in, whatever an operator decided."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How a refusal is told: `says` to the sender alone, where the platform waits for an answer, and `notice`
    in the room, at most once per person and `Delivered.notice_interval_ms`."""

    says: str | None = None
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class PairingOffer:
    """What a stranger gets who may be let in: a code, told by `told`, stored only as a hash, valid for a while.

    While one is valid nothing more is told. An account has at most `pending_max` that wait; beyond it there
    is no new one and `full` is told.
    """

    id: str
    name: str
    code: str
    expires_at_ms: int
    pending_max: int
    told: Telling
    full: Telling


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of a message that was delivered before, found by room and `Delivered.ref`.

    `text` None means that it was deleted; then `cancel` is how the run ends that has not begun to answer it.
    `author_id` is who may edit it: the sender of the edit, as an actor; None for a deletion, where the network
    does not say who did it. `occurred_at_ms` is the platform's time: an older edit does not undo a newer one.
    """

    text: str | None
    occurred_at_ms: int
    author_id: str | None = None
    cancel: Ending | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody says in a conversation that its agent shall stop. `ending` is how its unfinished runs end; its notice is
    shown once. `says` is told besides to who gave a command, and `nothing` when there was nothing to stop."""

    ending: Ending
    says: str | None
    nothing: Telling


@dataclass(frozen=True, slots=True)
class LinkTyped:
    """Somebody typed a code in a direct message: `reply` is the code they are shown, by `told`, when theirs is one.

    `unknown` is told otherwise. `name` is what they are called there.
    """

    code: str
    reply: str
    name: str
    says: str | None
    told: Notice | None
    unknown_says: str | None
    unknown: Notice | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One inbound delivery, judged: `message` or `amendment` is None unless it may be accepted.

    `thread_key` names the conversation, or `reply_to` the platform message whose conversation it continues.
    With `stop` it is no message, but ends what is running there; with `link` it is a code that says who its sender
    is. The store has the last word by `entry`: then somebody whose standing does not do is told `refused`, or given
    the `offer`; whose conversation has all the unfinished runs it may is told `busy` (the message is not taken then,
    and the rest of the batch is). So is who writes too fast: then there is no `message`. What is refused already
    (`outcome`) is told `refused`. With `decide` somebody pressed a button or typed a decision; then `undecided` is told
    in the room when that does not count.
    """

    delivery_id: str
    outcome: Literal["accepted", "ambient", "ignored", "refused"]
    reason: str | None
    sender_id: str | None
    room: str = ""
    topic: str | None = None
    ref: str | None = None
    thread_key: str | None = None
    reply_to: str | None = None
    act: Act | None = None
    message: NewMessage | None = None
    amendment: Amendment | None = None
    entry: Entry = EVERYBODY
    refused: Telling = Telling()
    busy: Telling = Telling()
    too_long: Telling | None = None
    over_budget: Mapping[str, Telling] = field(default_factory=dict)
    switched_off: Mapping[str, Telling] = field(default_factory=dict)
    offer: PairingOffer | None = None
    notice_interval_ms: int = 0
    decide: Decide | None = None
    undecided: Telling | None = None
    stop: Stop | None = None
    link: LinkTyped | None = None


@dataclass(frozen=True, slots=True)
class PairingKey:
    """Which pairing is meant: exactly one is given. A code names a pending one alone."""

    id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class PairingPlace:
    """Where somebody asked to be let in."""

    channel: str
    account: str
    room: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one delivery, now or when it first came; `says` is for its sender alone."""

    outcome: str
    says: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Between these instants deliveries may have been lost for ever."""

    since_ms: int
    until_ms: int
    reason: str
