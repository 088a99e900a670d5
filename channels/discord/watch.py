"""How far each room was read, and which rooms must be read again before live messages may pass. Pure.

A room is watched from the first moment it is seen. When the gateway may have missed something, every watched
room is behind: its live messages are held until what was missed has been read back, so that order is kept and
no cursor skips what nobody stored. Messages shortly before the cursor are read again too: the gateway makes no
promise about order, and what is stored already vanishes by its delivery id.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from channels.discord.snowflakes import first_id_at, millis_of
from channels.messages import Cursor

OVERLAP_MS: Final = 5 * 60 * 1000
"""How far before its cursor a room is read again. Longer than a dispatch can be late, short enough to be cheap."""

_CLOSED: Final = "closed"


class Event(NamedTuple):
    """A dispatch of the gateway, or something read back that takes its place in the queue."""

    name: str
    data: Any


@dataclass(slots=True)
class _Room:
    """Ids: the room is watched from `since` on, and everything up to `last` was taken."""

    since: int
    last: int


@dataclass(slots=True)
class Watch:
    """All watched rooms of one bot."""

    generation: int = 0
    """Counts how often the thread was lost: what was read before the last time proves nothing."""
    held_count: int = 0
    _rooms: dict[str, _Room] = field(default_factory=dict)
    _behind: dict[str, None] = field(default_factory=dict)
    _unread: deque[str] = field(default_factory=deque)
    _held: dict[str, list[Event]] = field(default_factory=dict)
    _moves: dict[str, str] = field(default_factory=dict)
    _is_urgent: bool = False

    def load(self, cursors: Mapping[str, Cursor]) -> None:
        """Take the stored cursors; scopes that are no channel ids belong to others."""
        for scope, cursor in cursors.items():
            if scope.isdigit() and cursor.value != _CLOSED:
                since, _, last = cursor.value.partition("-")
                self._rooms[scope] = _Room(int(since), int(last))

    def lose_track(self) -> None:
        """Something may have been missed: every room is behind. Rooms with the newest messages come first."""
        self.generation += 1
        newest_first = sorted(self._rooms, key=lambda room: self._rooms[room].last, reverse=True)
        self._behind = dict.fromkeys(newest_first)
        self._unread = deque(newest_first)

    def begin(self, room: str, since: int, *, is_behind: bool) -> None:
        """Watch a room from a message id on; nothing happens when it is watched already."""
        if room in self._rooms:
            return
        self._rooms[room] = _Room(since, since)
        self._move(room)
        self._is_urgent = True
        if is_behind:
            self._behind[room] = None
            self._unread.append(room)

    def drop(self, room: str) -> None:
        """The room is gone, or nothing can be read there."""
        self._rooms.pop(room, None)
        self._moves[room] = _CLOSED

    def advance(self, room: str, message_id: int) -> None:
        """Everything up to this message was taken. Begins to watch an unknown room."""
        self.begin(room, message_id - 1, is_behind=False)
        known = self._rooms[room]
        if message_id > known.last:
            known.last = message_id
            self._move(room)

    def is_taken(self, room: str, message_id: int) -> bool:
        """Whether the cursor stands at this message or behind it."""
        return room in self._rooms and message_id <= self._rooms[room].last

    def last(self, room: str) -> int | None:
        """The id of the newest message taken."""
        return self._rooms[room].last if room in self._rooms else None

    # --- what is to be stored -----------------------------------------------------------------

    @property
    def has_new_room(self) -> bool:
        """Whether a cursor should be stored even without a message."""
        return self._is_urgent

    def moves(self) -> dict[str, str]:
        """The cursors that moved since they were stored last, by scope."""
        return dict(self._moves)

    def stored(self, moves: Mapping[str, str]) -> None:
        """These cursors are durable."""
        for scope, value in moves.items():
            if self._moves.get(scope) == value:
                del self._moves[scope]
        self._is_urgent = False

    # --- what is to be read -------------------------------------------------------------------

    @property
    def behind_count(self) -> int:
        """How many rooms are still to be read back."""
        return len(self._behind)

    def hold(self, room: str, event: Event) -> bool:
        """Keep an event of a room that is behind; False when it may pass. Such a room is read next."""
        if room not in self._behind:
            return False
        if room not in self._held and room in self._unread:
            self._unread.remove(room)
            self._unread.appendleft(room)
        self._held.setdefault(room, []).append(event)
        self.held_count += 1
        return True

    def next_unread(self) -> str | None:
        """Take the next room to read."""
        return self._unread.popleft() if self._unread else None

    def floor(self, room: str) -> int:
        """The id after which to read: a little before the cursor, never before watching began."""
        known = self._rooms.get(room)
        if known is None:
            return 0
        overlap = first_id_at(millis_of(str(known.last)) - OVERLAP_MS)
        return max(known.since, min(known.last, overlap))

    def caught_up(self, room: str, generation: int) -> list[Event]:
        """A room was read to its end. Its held events, unless the thread was lost again meanwhile."""
        if room not in self._behind:
            return []
        if generation != self.generation:
            if room not in self._unread:
                self._unread.append(room)
            return []
        del self._behind[room]
        held = self._held.pop(room, [])
        self.held_count -= len(held)
        return held

    def _move(self, room: str) -> None:
        known = self._rooms[room]
        self._moves[room] = f"{known.since}-{known.last}"


def newest(ids: Iterable[str | None]) -> int:
    """The largest of some ids; 0 for none."""
    return max((int(one) for one in ids if one), default=0)
