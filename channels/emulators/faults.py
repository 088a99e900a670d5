"""Scriptable faults: what goes wrong with the next calls, in order.

Pure queue; each emulator's server carries the faults out. A fault applies to one method or to any, a number of
times. What a method is called is the emulator's choice (`sendMessage`, `chat.postMessage`, `POST /channels/*`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from channels.emulators.errors import ControlError

# More than any test waits; a mistyped value would otherwise hang a run.
DELAY_MAX_S = 600.0
COUNT_MAX = 1_000_000


class FaultKind(StrEnum):
    """What happens to a call.

    RATE_LIMIT answers 429 without an effect. ERROR answers `code` and `description` without an effect.
    COMMIT_THEN_DROP does the effect and closes the connection without an answer. DROP closes it before the
    effect. SLOW does the effect, waits `delay_s`, then answers. REFUSE resets the connection (RST) before the
    effect, as an overloaded proxy does.
    """

    RATE_LIMIT = "429"
    ERROR = "error"
    COMMIT_THEN_DROP = "commit_then_drop"
    DROP = "drop"
    SLOW = "slow"
    REFUSE = "refuse"


@dataclass(slots=True)
class Fault:
    """One entry of the script. `method` None means any method."""

    kind: FaultKind
    method: str | None = None
    count: int = 1
    retry_after_s: int = 1
    code: int = 500
    description: str = "Internal Server Error"
    delay_s: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """As the control side shows it."""
        return {
            "kind": self.kind.value,
            "method": self.method,
            "count": self.count,
            "retry_after_s": self.retry_after_s,
            "code": self.code,
            "description": self.description,
            "delay_s": self.delay_s,
        }


class FaultScript:
    """The faults still to happen, first in first out among those that match a call."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        kind: FaultKind | str,
        method: str | None = None,
        *,
        count: int = 1,
        retry_after_s: int = 1,
        code: int = 500,
        description: str = "Internal Server Error",
        delay_s: float = 0.0,
    ) -> Fault:
        """Append a fault; raises ControlError when a value is out of range."""
        try:
            known = FaultKind(kind)
        except ValueError:
            raise ControlError(f"kind must be one of {', '.join(FaultKind)}") from None
        if not 1 <= count <= COUNT_MAX:
            raise ControlError(f"count must be 1 to {COUNT_MAX}")
        if retry_after_s < 1:
            raise ControlError("retry_after_s must be at least 1")
        if not 400 <= code <= 599:
            raise ControlError("code must be an HTTP error, 400 to 599")
        if not 0 <= delay_s <= DELAY_MAX_S:
            raise ControlError(f"delay_s must be 0 to {DELAY_MAX_S:g}")
        fault = Fault(known, method, count, retry_after_s, code, description, delay_s)
        self._faults.append(fault)
        return fault

    def take(self, method: str) -> Fault | None:
        """The fault for this call, counted down; None when it goes well."""
        for fault in self._faults:
            if fault.method is None or fault.method.lower() == method.lower():
                fault.count -= 1
                if fault.count == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def pending(self) -> list[Fault]:
        """What is still to happen."""
        return list(self._faults)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()
