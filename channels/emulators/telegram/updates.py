"""A bot's update queue: sequential ids, confirmation by offset, expiry, allowed kinds.

Pure: time is an argument, waiting happens in `polling.py`. The rules are those of the open-source server
(Client::do_get_updates over TQueue), including the two that surprise: an offset far in the future deletes
nothing and starts over from the oldest update, and a repeated offset is slowed down.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from channels.emulators.telegram.records import Json, Update

LIMIT_MAX = 100
# LONG_POLL_MAX_TIMEOUT of the server.
TIMEOUT_MAX_S = 50
# An offset beyond the next id by more than this is "in the future" (TQueue::get).
FUTURE_SLACK = 10
# The server answers the same offset again with a poll of at least 3 s when it comes within 3 s ...
REPEAT_WINDOW_S = 3.0
# ... and with one update only when it comes within half a second.
REPEAT_BURST_S = 0.5

KINDS = frozenset(("message", "edited_message", "callback_query", "message_reaction", "my_chat_member"))
# Off unless asked for (https://core.telegram.org/bots/api#getupdates).
DEFAULT_KINDS = KINDS - {"message_reaction"}


@dataclass(frozen=True, slots=True)
class Poll:
    """One getUpdates request after the server's clamping."""

    offset: int
    limit: int
    timeout_s: int


class UpdateQueue:
    """The updates of one bot that are neither confirmed nor expired."""

    def __init__(self, first_id: int, slows_repeats: bool) -> None:
        self.next_id = first_id
        self.allowed = DEFAULT_KINDS
        self.confirmed_offset = 0
        self._pending: deque[Update] = deque()
        self._slows_repeats = slows_repeats
        self._previous: tuple[int, float] | None = None

    def push(self, kind: str, payload: Json, expires_at: float) -> int | None:
        """Add an update; None when the bot did not ask for this kind (it is then lost for good)."""
        if kind not in self.allowed:
            return None
        update = Update(self.next_id, kind, payload, expires_at)
        self.next_id += 1
        self._pending.append(update)
        return update.id

    def allow(self, kinds: Sequence[str] | None) -> None:
        """Remember `allowed_updates`; None keeps what was set before, nothing known means the default."""
        if kinds is not None:
            self.allowed = KINDS.intersection(kind.lower() for kind in kinds) or DEFAULT_KINDS

    def plan(self, offset: int, limit: int, timeout_s: int, now: float) -> Poll:
        """Clamp a request and slow down one that repeats its predecessor's offset."""
        limit = min(max(limit, 1), LIMIT_MAX)
        timeout_s = min(max(timeout_s, 0), TIMEOUT_MAX_S)
        if self._slows_repeats and self._previous is not None and self._previous[0] == offset:
            age_s = now - self._previous[1]
            if age_s < REPEAT_WINDOW_S:
                timeout_s = max(timeout_s, int(REPEAT_WINDOW_S))
            if age_s < REPEAT_BURST_S:
                limit = 1
        self._previous = (offset, now)
        return Poll(offset, limit, timeout_s)

    def take(self, offset: int, limit: int, now: float) -> list[Update]:
        """What a request with this offset gets; older updates are confirmed and gone."""
        if offset < 0:
            while len(self._pending) > -offset:
                self._pending.popleft()
        if 0 < offset <= self.next_id + FUTURE_SLACK:
            self.confirmed_offset = max(self.confirmed_offset, offset)
            while self._pending and self._pending[0].id < offset:
                self._pending.popleft()
        return self.pending(now)[:limit]

    def pending(self, now: float) -> list[Update]:
        """What is waiting, oldest first. The expired ones are dropped without a trace, as on the network."""
        self._pending = deque(update for update in self._pending if update.expires_at >= now)
        return list(self._pending)

    def clear(self) -> None:
        """`drop_pending_updates`."""
        self._pending.clear()
