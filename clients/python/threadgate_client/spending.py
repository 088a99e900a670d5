"""What was used, how budgets stand, and agents that are switched off, as the gateway tells them."""

from dataclasses import dataclass
from datetime import datetime

from threadgate_client.fields import Fields


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Usage of one group; what it was not told apart by is None. Money is in millionths of a US dollar."""

    runs: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    day: str | None = None
    agent: str | None = None
    person: str | None = None
    room: str | None = None
    token: str | None = None
    model: str | None = None
    tag: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "UsageGroup":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "usage")
        return cls(
            runs=wire.number("runs", 0),
            input_tokens=wire.number("input_tokens", 0),
            output_tokens=wire.number("output_tokens", 0),
            cost_microusd=wire.number("cost_microusd", 0),
            day=wire.maybe_text("day"),
            agent=wire.maybe_text("agent"),
            person=wire.maybe_text("person"),
            room=wire.maybe_text("room"),
            token=wire.maybe_text("token"),
            model=wire.maybe_text("model"),
            tag=wire.maybe_text("tag"),
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """One counter of a budget. `key` is whose; `reserved` is what may still be used by what is under way."""

    name: str
    of: str
    each: str
    key: str
    limit: int
    used: int
    reserved: int
    per: str | None = None
    resets_at: datetime | None = None

    @classmethod
    def from_json(cls, value: object) -> "Budget":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "budget")
        return cls(
            name=wire.text("name"),
            of=wire.text("of"),
            each=wire.text("each", ""),
            key=wire.text("key", ""),
            limit=wire.number("limit"),
            used=wire.number("used"),
            reserved=wire.number("reserved", 0),
            per=wire.maybe_text("per"),
            resets_at=wire.maybe_instant("resets_at"),
        )


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """An agent that somebody switched off, or with the id `*` all of them."""

    agent_id: str
    by: str
    at: datetime
    reason: str

    @classmethod
    def from_json(cls, value: object) -> "SwitchedOff":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "switched_off")
        return cls(wire.text("agent_id", ""), wire.text("by"), wire.instant("at"), wire.text("reason", ""))


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch did: what is off now, and how many runs were ended."""

    switches: tuple[SwitchedOff, ...]
    cancelled_runs: int

    @classmethod
    def from_json(cls, value: object) -> "Switched":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "answer")
        return cls(wire.many("switches", SwitchedOff.from_json), wire.number("cancelled_runs", 0))
