"""The life of one delivery to a chat network as a table.

A delivery has a phase and, apart from it, a platform reference (once its message exists there) and a content
(once the answer is known). What is to be done follows from the three; see `decide`.

    idle ──send──▶ sending ──confirmed──▶ idle + ref  ──shown──▶ sent
      ▲              │  └───doubted──▶ unknown ──found──▶ idle + ref  (a file: arrived──▶ sent)
      │              └─postponed (certainly not done)─┐  ├─absent──▶ idle
      └───────────────────────────────────────────────┘  ├─unknowable──▶ idle, counted as uncertain
                                                          └─withheld──▶ held, counted as uncertain
    any of these ──refused──▶ failed
    held, failed ──retried (by an operator)──▶ idle
    held, failed, unknown ──settled (by an operator)──▶ sent

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
HELD: Final = "held"
SENT: Final = "sent"
FAILED: Final = "failed"

_ALIVE: Final = frozenset({IDLE, SENDING, UNKNOWN})

BEGIN_SEND: Final = DeliveryStep(frozenset({IDLE}), SENDING)
DOUBTED: Final = DeliveryStep(frozenset({SENDING}), UNKNOWN)
ABSENT: Final = DeliveryStep(frozenset({UNKNOWN}), IDLE)
_NOBODY_KNOWS: Final = "nobody can tell whether an earlier attempt arrived"
UNKNOWABLE: Final = DeliveryStep(frozenset({UNKNOWN}), IDLE, uncertain=True, error=_NOBODY_KNOWS)
"""`on_unknown = "repeat"`: it is sent again."""
WITHHELD: Final = DeliveryStep(frozenset({UNKNOWN}), HELD, uncertain=True, error=_NOBODY_KNOWS)
"""`on_unknown = "ask"`: an operator decides."""
RETRACTED: Final = DeliveryStep(
    frozenset({IDLE}), IDLE, drop_ref=True, error="the message is gone on the platform"
)
RETRIED: Final = DeliveryStep(frozenset({HELD, FAILED}), IDLE, starts_over=True)
"""An operator wants it sent (again)."""
SETTLED: Final = DeliveryStep(frozenset({HELD, FAILED, UNKNOWN}), SENT)
"""An operator has seen that it arrived."""


class Todo(enum.Enum):
    """What the dispatcher does next for a row whose turn it is."""

    RECONCILE = enum.auto()
    RESERVE = enum.auto()
    SEND = enum.auto()
    UPLOAD = enum.auto()
    EDIT = enum.auto()


def decide(row: OutboxRow, capabilities: Capabilities, *, is_file: bool = False) -> Todo:
    """What to do for a row that has content.

    Where the platform cannot recognise a repeated send, the content never travels in a send: a placeholder is
    sent first and then edited, so that the only thing that can appear twice carries no answer. A file cannot be
    edited into a message, so it always travels in its send.
    """
    if row.phase == UNKNOWN:
        return Todo.RECONCILE
    if is_file:
        return Todo.UPLOAD
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


def arrived(ref: str) -> DeliveryStep:
    """Reconciliation found a file: there is nothing to edit, so it is delivered."""
    return DeliveryStep(frozenset({UNKNOWN}), SENT, ref=ref)


def postponed(next_attempt_at_ms: int, error: str) -> DeliveryStep:
    """Certainly not done; try again later."""
    return DeliveryStep(_ALIVE - {UNKNOWN}, IDLE, next_attempt_at_ms=next_attempt_at_ms, error=error)


def undecided(next_attempt_at_ms: int, error: str) -> DeliveryStep:
    """Asking brought no answer to rely on; ask again later."""
    return DeliveryStep(frozenset({UNKNOWN}), UNKNOWN, next_attempt_at_ms=next_attempt_at_ms, error=error)


def refused(error: str) -> DeliveryStep:
    """It will never be delivered."""
    return DeliveryStep(_ALIVE, FAILED, error=error)
