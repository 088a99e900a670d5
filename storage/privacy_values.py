"""The plain values of retention, legal holds and erasure that go into the store and come out of it. No behaviour."""

from dataclasses import dataclass, field
from typing import Literal

RetentionClass = Literal["messages", "files", "journal", "usage", "audit_content"]
"""What is kept for a time of its own."""
HoldKind = Literal["thread", "person"]


Key = int | str
"""Names one thing of a class of data."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is over its time, among what one look saw, and how much of that a legal hold keeps.

    `place` is where the next look goes on; None: that was all.
    """

    due: tuple[Key, ...]
    held: int
    place: int | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A person whose data is erased: the ids under which they act, and the opaque one that takes their place."""

    person: str
    ids: tuple[str, ...]
    erasure_id: str = ""

    @property
    def pseudonym(self) -> str:
        """An id that means nobody."""
        return f"erased:{self.erasure_id}"


@dataclass(frozen=True, slots=True)
class Traces:
    """Threads of a person: those in which nobody else wrote, and the others."""

    alone: tuple[str, ...]
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Going:
    """An erasure that is not over: whose, since when, and what it came to so far."""

    id: str
    org_id: str
    person: str
    reason: str
    begun_at_ms: int
    counts: dict[str, int] = field(default_factory=dict)
