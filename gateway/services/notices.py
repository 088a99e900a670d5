"""What people are told who are not taken, or let in: rendered once per room, because it is always the same.

A notice is prepared for almost every message and needed for almost none (the store decides), so it must cost
next to nothing. The code in an offer stands for itself in the rendered template and is put in its place.
"""

from collections import OrderedDict
from typing import Final

from channels.messages import RoomRef
from channels.port import Adapter
from gateway.clock import Clock
from gateway.services.channels import freeze
from protocol.ids import IdPrefix
from storage.values import Notice

ROOMS_MAX: Final = 1_000
"""Rendered texts that are kept, those used last: a few hundred bytes each."""

BUSY: Final = "I still have too many of your messages to answer, so I did not take the last one. Please wait."
"""What a room is told whose conversation has as many unfinished runs as it may."""
TOO_LONG: Final = (
    "This conversation has as many messages as it may have, so I did not take the last one. "
    "Begin another one, or ask whoever runs this gateway to raise the limit."
)
TOO_FAST: Final = "That is too many messages within a minute, so I did not take the last one. Please wait."
NOT_ALLOWED: Final = "You are not allowed to talk to this agent."
NOT_YET: Final = "You are not let in yet. Write to me in a direct message to ask for it."
ASKED: Final = "You are not let in yet. I have written to you what to do."
FULL: Final = "Too many people are waiting to be let in just now. Please write again in a few minutes."
LET_IN: Final = "You are let in now. Please say again what you want."
NOT_OPEN: Final = "This is no longer open."
STOPPED: Final = "Stopped."
NOTHING_RUNS: Final = "Nothing is running here."
CODE: Final = "AAAA-AAAA"
"""Stands for a code in a template; of the same length, so that what counts characters stays right."""
LINK_REPLY: Final = (
    f"Almost done. Give this code back where you got yours: `{CODE}`\n\n"
    "(`threadgate users link`, or user.link.) It is valid as long as yours. If you began nothing, do nothing."
)
LINK_UNKNOWN: Final = (
    "That is not a code of anybody who waits to be linked. It may have run out: get a new one."
)
LINK_TOO_OFTEN: Final = "Those are too many codes. Please wait ten minutes."
OFFER: Final = (
    f"I do not know you yet. To talk to this agent, give this code to whoever runs it: `{CODE}`\n\n"
    "They let you in with it (`threadgate pairing approve`). It is valid for 10 minutes."
)


class RoomNotices:
    """Notices of one account."""

    def __init__(self, adapter: Adapter, clock: Clock) -> None:
        self._adapter = adapter
        self._clock = clock
        self._frozen: OrderedDict[tuple[RoomRef, str], str] = OrderedDict()

    def of(self, markdown: str, room: RoomRef, code: str = CODE) -> Notice:
        """The notice that says this in that room."""
        key = (room, markdown)
        content = self._frozen.get(key)
        if content is None:
            content = self._frozen[key] = freeze(self._adapter.render(markdown, room)[0])
            if len(self._frozen) > ROOMS_MAX:
                self._frozen.popitem(last=False)
        self._frozen.move_to_end(key)
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), content.replace(CODE, code))
