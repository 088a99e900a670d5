"""The params and results of `approval.*`. Shapes only; what an approval is, is in `approvals.py`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from protocol import limits
from protocol.approvals import Approval, ApprovalState
from protocol.records import LAX, Id, Record
from protocol.requests import Mutation, Page


class ApprovalListParams(Page):
    """Newest first. `mine`: those that wait for the caller's vote. `granted`: those whose grant is alive."""

    state: Annotated[ApprovalState, LAX] | None = None
    thread_id: Id | None = None
    mine: bool = False
    granted: bool = False


class ApprovalListResult(Record):
    """A page of approvals."""

    approvals: list[Approval]
    next_cursor: str | None = None


class ApprovalParams(Record):
    """Which approval."""

    approval_id: Id


class GrantWanted(Record):
    """Approve more than this once: in its thread, or wherever its agent works; so often, so long, or both."""

    scope: Literal["thread", "agent"] = "thread"
    uses: Annotated[int, Field(ge=1, le=limits.GRANT_USES)] | None = None
    ttl_s: Annotated[int, Field(ge=1, le=limits.GRANT_TTL_S)] | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.uses is None and self.ttl_s is None:
            raise ValueError("a grant needs `uses` or `ttl_s`: there is none without an end")
        return self


class ApprovalDecideParams(Mutation):
    """One person's decision; the same again is answered alike, another one after the end is `invalid_state`.

    approve, deny · request_changes: neither; `reason` goes back to the agent, which may ask for something else ·
    edit: approve it with `arguments` in place of those it was asked with · grant: approve it, and the like of it as
    `grant` says · revoke: end the grant that was given with it. With `subject_hash` it is refused when the approval is
    about something else by now: send that of what you have looked at.
    """

    approval_id: Id
    decision: Literal["approve", "deny", "request_changes", "edit", "grant", "revoke"]
    reason: Annotated[str, Field(max_length=limits.REASON_CHARS)] = ""
    subject_hash: str | None = None
    arguments: dict[str, Any] | None = None
    grant: GrantWanted | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.decision == "request_changes" and not self.reason.strip():
            raise ValueError("request_changes needs a reason: it says what should be different")
        if (self.decision == "edit") != (self.arguments is not None):
            raise ValueError("`arguments` belong to the decision edit, which needs them")
        if (self.decision == "grant") != (self.grant is not None):
            raise ValueError("`grant` belongs to the decision grant, which needs it")
        return self


class ApprovalResult(Record):
    """One approval."""

    approval: Approval
