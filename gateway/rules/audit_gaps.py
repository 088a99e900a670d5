"""Which entries of the audit log a receiver is missing: what sinks send has numbers without gaps. Pure.

Sinks send at least once and in order, so numbers may repeat; a number that never comes is a gap. A log that goes on
behind a restored store has a new epoch, in which numbers begin lower again.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Stretch = tuple[int, int]
"""First and last number of what came, or is missing, without a break."""


class NotALine(ValueError):
    """A line is nothing that a sink or an export writes."""


def place(line: bytes) -> tuple[str, int] | None:
    """The epoch and number of a line in either format; None for lines of an export that are no entries.

    The epoch is "" where the line does not say: it is that of the line before. Raises NotALine.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NotALine("is not JSON") from error
    if not isinstance(value, dict):
        raise NotALine("is not an object")
    if "export" in value or "checkpoint" in value:
        return None
    found: Mapping[str, Any] = value.get("unmapped", value) if "class_uid" in value else value
    seq, epoch = found.get("seq"), found.get("epoch", "")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise NotALine("has no seq")
    return str(epoch), seq


@dataclass(slots=True)
class Received:
    """What came of one epoch: stretches in order, few as long as little is missing."""

    stretches: list[list[int]] = field(default_factory=list)
    repeated: int = 0

    def add(self, seq: int) -> None:
        """Note a number."""
        if self.stretches and seq == self.stretches[-1][1] + 1:
            self.stretches[-1][1] = seq
            return
        at = bisect_left(self.stretches, [seq + 1])
        before = self.stretches[at - 1] if at else None
        if before is not None and before[0] <= seq <= before[1]:
            self.repeated += 1
            return
        joins_before = before is not None and before[1] == seq - 1
        joins_after = at < len(self.stretches) and self.stretches[at][0] == seq + 1
        if joins_before and joins_after:
            self.stretches[at - 1][1] = self.stretches.pop(at)[1]
        elif joins_before:
            self.stretches[at - 1][1] = seq
        elif joins_after:
            self.stretches[at][0] = seq
        else:
            self.stretches.insert(at, [seq, seq])

    @property
    def missing(self) -> list[Stretch]:
        """What is missing between the first and the last that came."""
        pairs = zip(self.stretches, self.stretches[1:], strict=False)
        return [(before[1] + 1, after[0] - 1) for before, after in pairs]
