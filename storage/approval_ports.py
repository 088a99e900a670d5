"""What the gateway may ask of the store about approvals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from protocol.approvals import Approval, ApprovalState
from protocol.frames import RawJson
from storage.approval_values import CardEdit, Decide, Judge
from storage.values import Act, ClaimedRun, NewApproval, OutboxRow


@dataclass(frozen=True, slots=True)
class CardsOf:
    """An approval, which revision of it there is, and its cards that stand in rooms."""

    org_id: str
    approval: Approval
    revision: int
    cards: tuple[OutboxRow, ...]


@dataclass(frozen=True, slots=True)
class Editable:
    """An approval, the whole action as it is now with its hash, and the JSON Schema of its arguments: None when nobody
    may edit them."""

    approval: Approval
    subject: Any
    subject_hash: str
    schema: Any


class ApprovalStore(Protocol):
    """What people decide about."""

    async def get(self, org_id: str, approval_id: str) -> Approval:
        """One approval. Raises Fault not_found."""
        ...

    async def editable(self, org_id: str, approval_id: str) -> Editable:
        """What there is to edit of an approval. Raises Fault not_found."""
        ...

    async def by_code(self, org_id: str, code: str) -> list[Approval]:
        """The approval with that id, or those that wait whose hash begins so; at most two."""
        ...

    async def page(
        self,
        org_id: str,
        state: ApprovalState | None,
        thread_id: str | None,
        limit: int,
        cursor: str | None,
        *,
        granted: bool = False,
        now_ms: int = 0,
    ) -> tuple[list[Approval], str | None]:
        """A page, newest first; `granted`: those whose grant is alive."""
        ...

    async def page_of_voter(
        self, act: Act, role: str, judge: Judge, limit: int, cursor: str | None
    ) -> tuple[list[Approval], str | None]:
        """What waits for the vote of whoever acts. A page may be short and have another one behind it."""
        ...

    async def ask(self, act: Act, new: NewApproval) -> Approval:
        """Ask for something that no run wants to do; what waits about the same key already is returned instead."""
        ...

    async def decide(self, act: Act, decide: Decide) -> RawJson:
        """Count somebody's decision; the same again changes nothing. Returns an ApprovalResult.

        Raises Fault not_found, forbidden, and invalid_state when it was decided otherwise or is over.
        """
        ...

    async def consume(self, run: ClaimedRun, approval_id: str, step: str, now_ms: int) -> bool:
        """Use leave for something that has no step of its own in the journal: once, by the run that asked for it.

        False when it is used up, or was never given.
        """
        ...

    async def is_released(self, org_id: str, agent_id: str, version: str) -> bool:
        """Whether people released this version of an agent."""
        ...

    # --- in time ------------------------------------------------------------------------------

    async def next_due_ms(self) -> int | None:
        """When the next approval expires, is reminded of or escalated; None when none waits."""
        ...

    async def expire(self, now_ms: int, limit: int) -> int:
        """Deny what nobody decided in time, a bounded number at once; returns how many."""
        ...

    async def escalate(self, now_ms: int, limit: int) -> int:
        """Let the second group decide, a bounded number at once; returns how many."""
        ...

    async def to_remind(self, now_ms: int, limit: int) -> list[CardsOf]:
        """What people have to be reminded of."""
        ...

    async def remind(self, org_id: str, approval_id: str, notices: Sequence[CardEdit], now_ms: int) -> None:
        """Remind people once, in the rooms of these cards; nothing when it was done or is decided."""
        ...

    # --- cards --------------------------------------------------------------------------------

    async def stale_cards(self, limit: int) -> list[CardsOf]:
        """Approvals whose cards show something older."""
        ...

    async def show(
        self, org_id: str, approval_id: str, revision: int, edits: Sequence[CardEdit], now_ms: int
    ) -> None:
        """Owe the rooms what their cards should show; nothing when the approval has changed since."""
        ...
