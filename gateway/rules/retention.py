"""Retention as a plan: which classes of data have a bound, and from when on they are older than it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.governance_settings import RetentionSettings
from storage.privacy_values import RetentionClass

DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Bound:
    """What is older than `cutoff_ms` (milliseconds since 1970) is over its time."""

    name: RetentionClass
    days: int
    cutoff_ms: int


def plan(settings: RetentionSettings, now_ms: int) -> Sequence[Bound]:
    """The bounds at a time, in the order in which they are enforced: a thread that goes takes its files with it."""
    days: dict[RetentionClass, int | None] = {
        "messages": settings.messages_days,
        "files": settings.files_days,
        "journal": settings.journal_days,
        "usage": settings.usage_days,
        "audit_content": settings.audit_content_days,
    }
    return [
        Bound(name, kept, max(0, now_ms - kept * DAY_MS)) for name, kept in days.items() if kept is not None
    ]
