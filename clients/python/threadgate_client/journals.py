"""What operators see of runs: the steps of a journal, why an unfinished run is where it is, a run executed again.

Values like those of `records.py`, and read in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from threadgate_client.fields import Fields
from threadgate_client.records import Usage


@dataclass(frozen=True, slots=True)
class RunStep:
    """One step of a run. `outcome` is ok, error, unknown, skipped, or a newer word; None while it is open.

    `request` and `result` are JSON, or `{"sha256": …, "bytes": …}` where they are large.
    """

    step: int
    key: str
    kind: str
    name: str
    attempt: int
    repeatable: bool
    request: Any
    opened_at: datetime
    outcome: str | None = None
    result: Any = None
    closed_at: datetime | None = None
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def from_json(cls, value: object) -> "RunStep":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "step")
        known = value if isinstance(value, Mapping) else {}
        return cls(
            step=wire.number("step"),
            key=wire.text("key"),
            kind=wire.text("kind", ""),
            name=wire.text("name", ""),
            attempt=wire.number("attempt", 0),
            repeatable=wire.flag("repeatable"),
            request=known.get("request"),
            opened_at=wire.instant("opened_at"),
            outcome=wire.maybe_text("outcome"),
            result=known.get("result"),
            closed_at=wire.maybe_instant("closed_at"),
            usage=wire.maybe("usage", Usage.from_json) or Usage(),
        )


@dataclass(frozen=True, slots=True)
class RunFinding:
    """Why an unfinished run is where it is. `is_stuck`: nothing that is under way will ever move it."""

    run_id: str
    thread_id: str
    agent_id: str
    state: str
    is_stuck: bool
    reason: str
    since: datetime
    hint: str | None = None

    @classmethod
    def from_json(cls, value: object) -> "RunFinding":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "finding")
        return cls(
            run_id=wire.text("run_id"),
            thread_id=wire.text("thread_id", ""),
            agent_id=wire.text("agent_id", ""),
            state=wire.text("state"),
            is_stuck=wire.flag("is_stuck"),
            reason=wire.text("reason", ""),
            since=wire.instant("since"),
            hint=wire.maybe_text("hint"),
        )


@dataclass(frozen=True, slots=True)
class RunFindings:
    """Those that are stuck first; `more` says whether there are others."""

    findings: tuple[RunFinding, ...]
    more: bool

    @classmethod
    def from_json(cls, value: object) -> "RunFindings":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "findings")
        return cls(wire.many("findings", RunFinding.from_json), wire.flag("more"))


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded run that was executed again. `verified`: it said and did the same."""

    run_id: str
    verified: bool
    hash: str
    recorded_hash: str
    steps: int
    differences: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: object) -> "Replay":
        """Read the wire's form. Raises ProtocolViolation."""
        wire = Fields(value, "replay")
        return cls(
            run_id=wire.text("run_id"),
            verified=wire.flag("verified"),
            hash=wire.text("hash", ""),
            recorded_hash=wire.text("recorded_hash", ""),
            steps=wire.number("steps", 0),
            differences=wire.many("differences", str),
        )
