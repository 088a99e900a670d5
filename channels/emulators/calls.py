"""The log of API calls: what was asked and how it was answered, bounded and without tokens."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

# Enough for a long test; an emulator left running must not grow.
CALLS_MAX = 5_000


@dataclass(slots=True)
class Call:
    """One call. `status` is the HTTP status that was meant; None while it runs or when it was never sent."""

    seq: int
    at: float
    bot: str
    method: str
    arguments: dict[str, str]
    fault: str | None = None
    status: int | None = None
    description: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """As the control side shows it."""
        return {
            "seq": self.seq,
            "at": self.at,
            "bot": self.bot,
            "method": self.method,
            "arguments": self.arguments,
            "fault": self.fault,
            "status": self.status,
            "description": self.description,
        }


@dataclass(slots=True)
class CallLog:
    """The last calls, oldest first."""

    _calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_MAX))
    _last_seq: int = 0

    def add(self, at: float, bot: str, method: str, arguments: dict[str, str]) -> Call:
        """Note a call that begins."""
        self._last_seq += 1
        call = Call(self._last_seq, at, bot, method, arguments)
        self._calls.append(call)
        return call

    def select(self, method: str | None = None, after: int = 0) -> list[Call]:
        """The calls with a higher `seq` than `after`, of one method or of all."""
        return [
            call
            for call in self._calls
            if call.seq > after and (method is None or call.method.lower() == method.lower())
        ]
