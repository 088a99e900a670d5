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

# The last updates are remembered for tests that want one a second time.
HISTORY_MAX = 5_000

KINDS = frozenset(
    ("message", "edited_message", "callback_query", "message_reaction", "my_chat_member", "chat_member")
)
# Off unless asked for (https://core.telegram.org/bots/api#getupdates).
DEFAULT_KINDS = KINDS - {"message_reaction", "chat_member"}


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
        self._repeats: list[Update] = []
        self._history: deque[Update] = deque(maxlen=HISTORY_MAX)
        self._slows_repeats = slows_repeats
        self._previous: tuple[int, float] | None = None

    def push(self, kind: str, payload: Json, expires_at: float) -> int | None:
        """Add an update; None when the bot did not ask for this kind (it is then lost for good)."""
        if kind not in self.allowed:
            return None
        update = Update(self.next_id, kind, payload, expires_at)
        self.next_id += 1
        self._pending.append(update)
        self._history.append(update)
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
            self._pending = deque(update for update in self._pending if update.id >= offset)
        repeats, self._repeats = self._repeats, []
        return repeats + self.pending(now)[:limit]

    def pending(self, now: float) -> list[Update]:
        """What is waiting, oldest first. The expired ones are dropped without a trace, as on the network."""
        self._pending = deque(update for update in self._pending if update.expires_at >= now)
        return list(self._pending)

    def to_post(self, now: float) -> list[Update]:
        """What a webhook is to be sent: repeats come first."""
        return self._repeats + self.pending(now)

    def remove(self, update: Update) -> None:
        """A webhook took this update, or it was given up."""
        if update in self._repeats:
            self._repeats.remove(update)
        elif update in self._pending:
            self._pending.remove(update)
            self.confirmed_offset = max(self.confirmed_offset, update.id + 1)

    def clear(self) -> None:
        """`drop_pending_updates`, and what an outage beyond an update's life leaves."""
        self._pending.clear()
        self._repeats.clear()

    def repeat(self, update_id: int) -> None:
        """Deliver an update once more, whatever was confirmed. Raises KeyError for one nobody remembers."""
        found = next((update for update in self._history if update.id == update_id), None)
        if found is None:
            raise KeyError(update_id)
        self._repeats.append(found)

    def arrange(self, update_ids: Sequence[int]) -> None:
        """Deliver what waits in another order. Raises KeyError unless these are just the waiting ones."""
        waiting = {update.id: update for update in self._pending}
        if sorted(update_ids) != sorted(waiting):
            raise KeyError(tuple(waiting))
        self._pending = deque(waiting[update_id] for update_id in update_ids)

    def skip(self, count: int) -> None:
        """Leave a gap: so many ids are never given to anything."""
        self.next_id += count
