"""The life of a run as a table. Everything that affects which state a run may take is in this file.

A run is queued when its message is accepted, and running while one owner holds its lease. It may wait (for a
person or a device) as data, without an owner. It ends exactly once. A restart of the gateway changes no
state: a running run whose owner is gone is taken over (same state, next attempt), or interrupted when its
agent cannot continue.

    queued ──START──▶ running ──COMPLETE──▶ completed
      │                │  ▲ │ ───FAIL─────▶ failed
      │            WAIT│  │ └─INTERRUPT───▶ interrupted
      │                ▼  │RESUME
      │              waiting
      └───────────────┴──CANCEL───────────▶ cancelled      (from queued, running and waiting)
"""

import enum
from typing import Final

from protocol.records import RunState
from storage.values import Move


class RunEvent(enum.Enum):
    """What can happen to a run."""

    START = enum.auto()
    WAIT = enum.auto()
    RESUME = enum.auto()
    COMPLETE = enum.auto()
    FAIL = enum.auto()
    CANCEL = enum.auto()
    INTERRUPT = enum.auto()


TRANSITIONS: Final[dict[RunEvent, Move]] = {
    RunEvent.START: Move(frozenset({RunState.QUEUED}), RunState.RUNNING),
    RunEvent.WAIT: Move(frozenset({RunState.RUNNING}), RunState.WAITING),
    RunEvent.RESUME: Move(frozenset({RunState.WAITING}), RunState.RUNNING),
    RunEvent.COMPLETE: Move(frozenset({RunState.RUNNING}), RunState.COMPLETED),
    RunEvent.FAIL: Move(frozenset({RunState.RUNNING, RunState.WAITING}), RunState.FAILED),
    RunEvent.CANCEL: Move(
        frozenset({RunState.QUEUED, RunState.RUNNING, RunState.WAITING}), RunState.CANCELLED
    ),
    RunEvent.INTERRUPT: Move(frozenset({RunState.RUNNING, RunState.WAITING}), RunState.INTERRUPTED),
}
"""Event → from which states, to which one. An event that is not possible is a Fault invalid_state."""

ENDED: Final = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED})
"""States no run leaves."""


def next_state(state: RunState, event: RunEvent) -> RunState | None:
    """The state after `event`, or None when the table has no such transition."""
    move = TRANSITIONS[event]
    return move.target if state in move.sources else None
