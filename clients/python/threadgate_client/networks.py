"""Chat networks as operators see them: the accounts, how they fare, and what is or was owed to their rooms.

Values like those of `records.py`, and read in the same way.
"""

from dataclasses import dataclass
from datetime import datetime

from threadgate_client.fields import Fields


@dataclass(frozen=True, slots=True)
class ChannelGap:
    """Between these instants messages of people may have been lost for ever."""

    since: datetime
    until: datetime
    reason: str

    @classmethod
    def from_json(cls, value: object) -> "ChannelGap":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "gap")
        return cls(wire.instant("since"), wire.instant("until"), wire.text("reason", ""))


@dataclass(frozen=True, slots=True)
class Channel:
    """One account of a chat network and how it fares. `breaker` is closed, open, half_open, or a newer word."""

    id: str
    kind: str
    account: str
    state: str
    detail: str | None = None
    last_event_at: datetime | None = None
    deliveries_waiting: int = 0
    deliveries_uncertain: int = 0
    deliveries_held: int = 0
    deliveries_failed: int = 0
    lag_ms: int | None = None
    missing: tuple[str, ...] = ()
    probed_at: datetime | None = None
    breaker: str = "closed"
    last_gap: ChannelGap | None = None

    @classmethod
    def from_json(cls, value: object) -> "Channel":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "channel")
        return cls(
            id=wire.text("id"),
            kind=wire.text("kind"),
            account=wire.text("account"),
            state=wire.text("state"),
            detail=wire.maybe_text("detail"),
            last_event_at=wire.maybe_instant("last_event_at"),
            deliveries_waiting=wire.number("deliveries_waiting", 0),
            deliveries_uncertain=wire.number("deliveries_uncertain", 0),
            deliveries_held=wire.number("deliveries_held", 0),
            deliveries_failed=wire.number("deliveries_failed", 0),
            lag_ms=wire.maybe_number("lag_ms"),
            missing=wire.many("missing", str),
            probed_at=wire.maybe_instant("probed_at"),
            breaker=wire.text("breaker", "closed"),
            last_gap=wire.maybe("last_gap", ChannelGap.from_json),
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One platform message that is or was owed to a room.

    `state` is idle, sending, unknown, held, sent, failed, or a newer one.
    """

    id: str
    channel_id: str
    room: str
    part: int
    state: str
    preview: str
    attempts: int
    uncertain: int
    created_at: datetime
    updated_at: datetime
    topic: str | None = None
    thread_id: str | None = None
    run_id: str | None = None
    ref: str | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Delivery":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "delivery")
        return cls(
            id=wire.text("id"),
            channel_id=wire.text("channel_id"),
            room=wire.text("room"),
            part=wire.number("part"),
            state=wire.text("state"),
            preview=wire.text("preview", ""),
            attempts=wire.number("attempts", 0),
            uncertain=wire.number("uncertain", 0),
            created_at=wire.instant("created_at"),
            updated_at=wire.instant("updated_at"),
            topic=wire.maybe_text("topic"),
            thread_id=wire.maybe_text("thread_id"),
            run_id=wire.maybe_text("run_id"),
            ref=wire.maybe_text("ref"),
            error=wire.maybe_text("error"),
            next_attempt_at=wire.maybe_instant("next_attempt_at"),
        )
