"""What Slack owes to apps: envelopes that wait, were sent, were acknowledged or are lost, and the retry ladder.

Pure: takes monotonic seconds as an argument and waits for nothing; `dispatching.py` carries it out. Events that
are not acknowledged in time are sent again with the same `event_id` in a new envelope; interactions and slash
commands are not (the person sees that the app did not respond).
https://docs.slack.dev/apis/events-api#retries, https://docs.slack.dev/interactivity/handling-user-interaction
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Self

from channels.emulators.slack.records import Json

EnvelopeKind = Literal["events_api", "interactive", "slash_commands"]
# Enough to look back on in a long test; an emulator left running must not grow.
FINISHED_MAX = 5_000
_AT_ONCE = 0.0
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient Slack is, in seconds. `retries_s` are the waits before the repetitions of an event.

    Three seconds to acknowledge and streams of about five minutes are documented or reported by many; the waits
    of 0, 60 and 300 s come from third parties.
    """

    ack_s: float = 3.0
    retries_s: tuple[float, ...] = (0.0, 60.0, 300.0)
    stream_s: float = 300.0
    ping_s: float = 10.0

    def scaled(self, factor: float) -> Self:
        """The same with the waits before repetitions and the time to acknowledge made shorter or longer."""
        return replace(
            self,
            ack_s=self.ack_s * factor,
            retries_s=tuple(wait_s * factor for wait_s in self.retries_s),
        )


class DeliveryState(StrEnum):
    """Where a delivery is."""

    HELD = "held"
    WAITING = "waiting"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    LOST = "lost"


@dataclass(slots=True)
class Delivery:
    """One envelope through all its attempts. `at` is when something happens to it next, in monotonic seconds."""

    id: int
    app_id: str
    kind: EnvelopeKind
    payload: Json
    event_id: str | None
    state: DeliveryState
    at: float = _AT_ONCE
    attempt: int = 0
    retry_reason: str = ""
    envelope_id: str = ""
    envelopes: list[str] = field(default_factory=list)
    answer: Json | None = None

    def envelope(self) -> Json:
        """The frame of the current attempt (https://docs.slack.dev/apis/events-api/using-socket-mode)."""
        envelope: Json = {
            "envelope_id": self.envelope_id,
            "type": self.kind,
            "payload": self.payload,
            "accepts_response_payload": self.kind != "events_api",
        }
        if self.kind == "events_api":
            envelope |= {"retry_attempt": self.attempt, "retry_reason": self.retry_reason}
        return envelope

    def to_wire(self) -> Json:
        """As the control side shows it."""
        event = self.payload.get("event", self.payload)
        return {
            "id": self.id,
            "app_id": self.app_id,
            "kind": self.kind,
            "type": event.get("type", event.get("command", "")),
            "event_id": self.event_id,
            "state": self.state.value,
            "attempt": self.attempt,
            "retry_reason": self.retry_reason,
            "envelope_id": self.envelope_id,
            "sent_times": len(self.envelopes),
            "answer": self.answer,
            "payload": self.payload,
        }


@dataclass(slots=True)
class Tally:
    """How many deliveries ended how."""

    acknowledged: int = 0
    lost: int = 0
    repeated: int = 0


@dataclass(slots=True)
class Deliveries:
    """All of them. `is_holding` keeps new ones back; without `is_repeating` a missed event is lost at once."""

    timing: Timing
    is_holding: bool = False
    is_repeating: bool = True
    tally: Tally = field(default_factory=Tally)
    _open: dict[int, Delivery] = field(default_factory=dict)
    _by_envelope: dict[str, Delivery] = field(default_factory=dict)
    _agenda: list[tuple[float, int]] = field(default_factory=list)
    _finished: deque[Delivery] = field(default_factory=lambda: deque(maxlen=FINISHED_MAX))
    _last_id: int = 0
    _last_envelope: int = 0

    def add(self, app_id: str, kind: EnvelopeKind, payload: Json, event_id: str | None = None) -> Delivery:
        """Owe something to an app."""
        self._last_id += 1
        state = DeliveryState.HELD if self.is_holding else DeliveryState.WAITING
        delivery = Delivery(self._last_id, app_id, kind, payload, event_id, state)
        self._open[delivery.id] = delivery
        self._schedule(delivery, _NEVER if self.is_holding else _AT_ONCE)
        return delivery

    def due(self, now: float) -> list[Delivery]:
        """What must be sent now, in order; what was not acknowledged in time is dealt with on the way."""
        ready: list[Delivery] = []
        while self._agenda and self._agenda[0][0] <= now:
            at, delivery_id = heapq.heappop(self._agenda)
            delivery = self._open.get(delivery_id)
            if delivery is None or delivery.at != at:
                continue  # it was acknowledged or put off since
            if delivery.state is DeliveryState.SENT:
                self.failed(delivery, now, "timeout")
            elif delivery.state is DeliveryState.WAITING:
                delivery.at = _NEVER
                ready.append(delivery)
        return ready

    def next_at(self) -> float | None:
        """When `due` has something to do, in monotonic seconds; None when nothing is planned."""
        return self._agenda[0][0] if self._agenda and self._agenda[0][0] < _NEVER else None

    def sent(self, delivery: Delivery, now: float) -> None:
        """An attempt begins: a new envelope, and the time to acknowledge it runs."""
        self._last_envelope += 1
        delivery.envelope_id = f"00000000-0000-4000-8000-{self._last_envelope:012x}"
        self._by_envelope[delivery.envelope_id] = delivery
        delivery.state = DeliveryState.SENT
        delivery.envelopes.append(delivery.envelope_id)
        self._schedule(delivery, now + self.timing.ack_s)

    def acknowledge(self, app_id: str, envelope_id: str, answer: Json | None) -> Delivery | None:
        """An app took it; None for an envelope that is unknown, of another app or over already."""
        delivery = self._by_envelope.get(envelope_id)
        if delivery is None or delivery.app_id != app_id:
            return None
        # An acknowledgement that comes late stops the repetitions as well.
        delivery.answer = answer
        self._finish(delivery, DeliveryState.ACKNOWLEDGED)
        self.tally.acknowledged += 1
        return delivery

    def failed(self, delivery: Delivery, now: float, reason: str, *, is_final: bool = False) -> None:
        """An attempt came to nothing: plan the next one, or give up."""
        retries_s = self.timing.retries_s
        if (
            delivery.kind != "events_api"
            or is_final
            or not self.is_repeating
            or delivery.attempt >= len(retries_s)
        ):
            self._finish(delivery, DeliveryState.LOST)
            self.tally.lost += 1
            return
        wait_s = retries_s[delivery.attempt]
        delivery.attempt += 1
        delivery.retry_reason = reason
        delivery.state = DeliveryState.WAITING
        self.tally.repeated += 1
        self._schedule(delivery, now + wait_s)

    def redeliver(self, original: Delivery) -> Delivery:
        """Send something again although it arrived: same event, new envelope, marked as a repetition."""
        delivery = self.add(original.app_id, original.kind, original.payload, original.event_id)
        delivery.attempt, delivery.retry_reason = original.attempt + 1, "timeout"
        return delivery

    def release(self, ids: Iterable[int] | None = None) -> list[Delivery]:
        """Let held ones go, in the order given; all of them, oldest first, without ids."""
        wanted = [one.id for one in self.open() if one.state is DeliveryState.HELD] if ids is None else ids
        released = [one for one in map(self._open.get, wanted) if one and one.state is DeliveryState.HELD]
        for place, delivery in enumerate(released):
            delivery.state = DeliveryState.WAITING
            # Negative times are the past of any clock and keep the order that was asked for.
            self._schedule(delivery, float(place - len(released)))
        return released

    def hurry(self) -> None:
        """Do not wait any longer before repetitions."""
        for delivery in self._open.values():
            if delivery.state is DeliveryState.WAITING:
                self._schedule(delivery, _AT_ONCE)

    def open(self) -> list[Delivery]:
        """What is neither acknowledged nor lost, oldest first."""
        return list(self._open.values())

    def finished(self) -> list[Delivery]:
        """The last ones that are over, oldest first."""
        return list(self._finished)

    def find(self, delivery_id: int) -> Delivery | None:
        """One delivery, open or among the last finished."""
        found = self._open.get(delivery_id)
        return found or next((one for one in self._finished if one.id == delivery_id), None)

    def _schedule(self, delivery: Delivery, at: float) -> None:
        delivery.at = at
        if at < _NEVER:
            heapq.heappush(self._agenda, (at, delivery.id))

    def _finish(self, delivery: Delivery, state: DeliveryState) -> None:
        delivery.state, delivery.at = state, _NEVER
        for envelope_id in delivery.envelopes:
            self._by_envelope.pop(envelope_id, None)
        if self._open.pop(delivery.id, None) is not None:
            self._finished.append(delivery)
