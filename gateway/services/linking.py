"""Linking somebody of a chat network to a user, the chat's side: which messages carry a code, and what answers them.

Whether the code is one is decided by the store, in the transaction that records the message. The user's side is
`Users.link`.
"""

import re
from collections import OrderedDict
from typing import Final

from channels.messages import Addressed, Inbound
from gateway.clock import Clock
from gateway.rules.rate import TokenBucket
from gateway.services import notices
from gateway.services.notices import RoomNotices
from gateway.services.pairings import GUESSERS_MAX, GUESSES, GUESSES_S, new_code, normalized
from storage.channel_values import LinkTyped

_LINK: Final = re.compile(r"([/!]?)link\s+([A-HJKMNP-TV-Z2-9]{4}[ -]?[A-HJKMNP-TV-Z2-9]{4})", re.IGNORECASE)
"""The letters are those of `pairings.ALPHABET`. `!link` is for networks that keep what begins with a slash to
themselves; without either, it is the text of the gateway's own slash command there."""


def typed_code(said: Inbound) -> str | None:
    """The code that a direct message gives, in the form in which it is stored; None when it is another message."""
    if not said.is_direct or said.attachments or said.sender.is_bot:
        return None
    found = _LINK.fullmatch(said.text.strip())
    if found is None or not (found[1] or said.addressed is Addressed.COMMAND):
        return None
    return normalized(found[2])


class Links:
    """Prepares what the store does with a code that somebody of one account typed."""

    def __init__(self, room_notices: RoomNotices, clock: Clock) -> None:
        self._notices = room_notices
        self._clock = clock
        self._guesses: OrderedDict[str, TokenBucket] = OrderedDict()

    def prepare(self, said: Inbound, code: str) -> LinkTyped | None:
        """What follows from it; None when its sender has tried too many."""
        if self._bucket(said.sender.id).take(self._clock.monotonic()):
            return None
        reply = new_code()
        if said.message_ref is None:  # a command: the network waits for its answer
            answer = notices.LINK_REPLY.replace(notices.CODE, reply)
            return LinkTyped(code, reply, said.sender.name, answer, None, notices.LINK_UNKNOWN, None)
        told = self._notices.of(notices.LINK_REPLY, said.room, reply)
        unknown = self._notices.of(notices.LINK_UNKNOWN, said.room)
        return LinkTyped(code, reply, said.sender.name, None, told, None, unknown)

    def _bucket(self, sender_id: str) -> TokenBucket:
        bucket = self._guesses.get(sender_id)
        if bucket is None:
            if len(self._guesses) >= GUESSERS_MAX:
                self._guesses.popitem(last=False)
            bucket = TokenBucket.full(GUESSES / GUESSES_S, GUESSES, self._clock.monotonic())
            self._guesses[sender_id] = bucket
        self._guesses.move_to_end(sender_id)
        return bucket
