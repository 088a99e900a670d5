"""The methods `approval.*`, typed: what waits for people, and every way to decide it."""

from collections.abc import Mapping
from typing import Any

from threadgate_client import limits
from threadgate_client.approvals import Approval
from threadgate_client.groups import Group
from threadgate_client.listings import Listing


class Approvals(Group):
    """`approval.*`. Deciding raises InvalidState when it was decided otherwise, and Forbidden for whoever may not.

    `subject_hash` is that of what was looked at: with it, nobody decides about what was edited meanwhile.
    """

    def list(
        self,
        *,
        state: str | None = None,
        thread_id: str | None = None,
        mine: bool = False,
        granted: bool = False,
        limit: int = limits.PAGE_DEFAULT,
        cursor: str | None = None,
    ) -> Listing[Approval]:
        """Approvals, newest first; `mine` wait for the caller's vote, the grant of `granted` ones is alive."""
        return self._listing(
            "approval.list",
            "approvals",
            Approval.from_json,
            cursor,
            state=state,
            thread_id=thread_id,
            mine=mine or None,
            granted=granted or None,
            limit=limit,
        )

    async def get(self, approval_id: str) -> Approval:
        """Read one approval."""
        return await self._one("approval.get", "approval", Approval.from_json, approval_id=approval_id)

    async def approve(
        self,
        approval_id: str,
        *,
        reason: str = "",
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> Approval:
        """Let it happen."""
        return await self._decide(approval_id, "approve", reason, idempotency_key, subject_hash=subject_hash)

    async def deny(
        self, approval_id: str, *, reason: str = "", idempotency_key: str | None = None
    ) -> Approval:
        """Do not let it happen."""
        return await self._decide(approval_id, "deny", reason, idempotency_key)

    async def request_changes(
        self, approval_id: str, reason: str, *, idempotency_key: str | None = None
    ) -> Approval:
        """Neither: the agent is told what should be different."""
        return await self._decide(approval_id, "request_changes", reason, idempotency_key)

    async def edit(
        self,
        approval_id: str,
        arguments: Mapping[str, Any],
        *,
        reason: str = "",
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> Approval:
        """Let it happen with other arguments, and with exactly those."""
        return await self._decide(
            approval_id,
            "edit",
            reason,
            idempotency_key,
            arguments=dict(arguments),
            subject_hash=subject_hash,
        )

    async def grant(
        self,
        approval_id: str,
        *,
        scope: str = "thread",
        uses: int | None = None,
        ttl_s: int | None = None,
        reason: str = "",
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> Approval:
        """Let it happen, and the like of it: `uses` more times, for `ttl_s` seconds, or what ends first of both."""
        bounds = {name: bound for name, bound in (("uses", uses), ("ttl_s", ttl_s)) if bound is not None}
        return await self._decide(
            approval_id,
            "grant",
            reason,
            idempotency_key,
            grant={"scope": scope, **bounds},
            subject_hash=subject_hash,
        )

    async def revoke(
        self, approval_id: str, *, reason: str = "", idempotency_key: str | None = None
    ) -> Approval:
        """End the grant that was given with it."""
        return await self._decide(approval_id, "revoke", reason, idempotency_key)

    async def _decide(
        self, approval_id: str, decision: str, reason: str, key: str | None, **more: Any
    ) -> Approval:
        return await self._one(
            "approval.decide",
            "approval",
            Approval.from_json,
            approval_id=approval_id,
            decision=decision,
            reason=reason,
            idempotency_key=key,
            **more,
        )
