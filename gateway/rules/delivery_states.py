"""The life of one delivery to a chat network as a table.

A delivery has a phase and, apart from it, a platform reference (once its message exists there) and a content
(once the answer is known). What is to be done follows from the three; see `decide`.

    idle ──send──▶ sending ──confirmed──▶ idle + ref  ──shown──▶ sent
      ▲              │  └───doubted──▶ unknown ──found──▶ idle + ref
      │              └─held (certainly not done)─┐  ├─absent──▶ idle
      └──────────────────────────────────────────┘  └─unknowable──▶ idle, counted as uncertain
    any of them ──refused──▶ failed

Only `sending` can leave something on the platform that we do not know of, so only a send goes through it, and
a crash turns it into `unknown`. An edit of a known message is idempotent and needs no phase of its own.
"""

import enum
from typing import Final

from channels.capabilities import Capabilities, Idempotency
from storage.values import DeliveryStep, OutboxRow

IDLE: Final = "idle"
SENDING: Final = "sending"
UNKNOWN: Final = "unknown"
SENT: Final = "sent"
FAILED: Final = "failed"

_ALIVE: Final = frozenset({IDLE, SENDING, UNKNOWN})

BEGIN_SEND: Final = DeliveryStep(frozenset({IDLE}), SENDING)
DOUBTED: Final = DeliveryStep(frozenset({SENDING}), UNKNOWN)
ABSENT: Final = DeliveryStep(frozenset({UNKNOWN}), IDLE)
UNKNOWABLE: Final = DeliveryStep(
    frozenset({UNKNOWN}), IDLE, uncertain=True, error="nobody can tell whether an earlier attempt arrived"
)
RETRACTED: Final = DeliveryStep(
    frozenset({IDLE}), IDLE, drop_ref=True, error="the message is gone on the platform"
)


class Todo(enum.Enum):
    """What the dispatcher does next for a row whose turn it is."""

    RECONCILE = enum.auto()
    RESERVE = enum.auto()
    SEND = enum.auto()
    EDIT = enum.auto()


def decide(row: OutboxRow, capabilities: Capabilities) -> Todo:
    """What to do for a row that has content.

    Where the platform cannot recognise a repeated send, the content never travels in a send: a placeholder is
    sent first and then edited, so that the only thing that can appear twice carries no answer.
    """
    if row.phase == UNKNOWN:
        return Todo.RECONCILE
    if row.ref is not None:
        return Todo.EDIT
    if capabilities.idempotency is Idempotency.NONE and capabilities.can_edit:
        return Todo.RESERVE
    return Todo.SEND


def confirmed(ref: str) -> DeliveryStep:
    """A placeholder stands on the platform."""
    return DeliveryStep(frozenset({SENDING}), IDLE, ref=ref)


def delivered(ref: str) -> DeliveryStep:
    """The content is on the platform, by a send or by an edit."""
    return DeliveryStep(frozenset({SENDING, IDLE}), SENT, ref=ref)


def found(ref: str) -> DeliveryStep:
    """Reconciliation found the message."""
    return DeliveryStep(frozenset({UNKNOWN}), IDLE, ref=ref)


def held(next_attempt_at_ms: int, error: str) -> DeliveryStep:
    """Certainly not done; try again later."""
    return DeliveryStep(_ALIVE - {UNKNOWN}, IDLE, next_attempt_at_ms=next_attempt_at_ms, error=error)


def refused(error: str) -> DeliveryStep:
    """It will never be delivered."""
    return DeliveryStep(_ALIVE, FAILED, error=error)
