"""A finding: what was looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only an error keeps the gateway from its work, or puts what it keeps at risk."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a stable name; `fix` is empty when all is well."""

    level: Level
    check: str
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """It works, but somebody should look at it."""
    return Finding(Level.WARNING, check, what, fix)


def error(check: str, what: str, fix: str) -> Finding:
    """It does not work, or not for long."""
    return Finding(Level.ERROR, check, what, fix)
