"""Slack's places and times <-> the port's: rooms are `T…/C…`, topics are the `ts` of a thread's first message. Pure."""

from dataclasses import dataclass

from channels.messages import RoomRef


@dataclass(frozen=True, slots=True)
class Place:
    """Where in Slack: workspace, channel, and the thread's first message where there is a thread."""

    team: str
    channel: str
    thread_ts: str | None = None

    @property
    def is_direct(self) -> bool:
        """A direct conversation with one person; group conversations count as channels."""
        return is_direct(self.channel)


def is_direct(channel: str) -> bool:
    """Direct conversations have ids of their own kind (docs.slack.dev/reference/objects/conversation-object)."""
    return channel.startswith("D")


def room_name(team: str, channel: str) -> str:
    """The `room` of a RoomRef, and the scope of its cursor."""
    return f"{team}/{channel}"


def room_of(place: Place) -> RoomRef:
    """The port's word for a place."""
    return RoomRef(room_name(place.team, place.channel), place.thread_ts)


def place_of(room: RoomRef) -> Place:
    """The inverse of `room_of`. Raises ValueError for a room that is none of ours."""
    team, slash, channel = room.room.partition("/")
    if not (team and slash and channel):
        raise ValueError(f"{room.room!r} is not a room of Slack")
    return Place(team, channel, room.topic)


def thread_key(room: RoomRef) -> str | None:
    """The name of the conversation in a place; None where no thread has begun."""
    return None if room.topic is None else f"{room.room}/{room.topic}"


def milliseconds(ts: str) -> int:
    """A `ts` (seconds since 1970, a dot, six digits) as milliseconds. Raises ValueError."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1000 + int(fraction.ljust(6, "0")[:6]) // 1000


def later(one: str, other: str) -> bool:
    """Whether `one` is after `other`: a `ts` is compared by its numbers."""
    return order_of(one) > order_of(other)


def moved(ts: str, seconds: float) -> str:
    """The `ts` so much later, or earlier; never before 1970."""
    whole, micro = order_of(ts)
    total = max(0, whole * 1_000_000 + micro + round(seconds * 1_000_000))
    return f"{total // 1_000_000}.{total % 1_000_000:06d}"


def ts_at(at_ms: int) -> str:
    """The `ts` of an instant in milliseconds since 1970."""
    return f"{at_ms // 1000}.{at_ms % 1000:03d}000"


def order_of(ts: str) -> tuple[int, int]:
    """A `ts` as numbers that compare. Raises ValueError."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds), int(fraction.ljust(6, "0")[:6])
