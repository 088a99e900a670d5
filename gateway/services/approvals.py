"""Approvals: what an agent asks for, shown as a card in its room, and decided by a button or a request.

Composes what the store records; who may press a button is said here, whoever comes through the protocol has
been let through by scope. The run waits in the store, not here.
"""

from dataclasses import replace
from typing import Final

from channels.messages import Action, Card, Pressed
from channels.port import Adapter
from gateway.agents.port import AgentAsk
from gateway.clock import Clock
from gateway.services.channels import Channels, freeze
from protocol import limits
from protocol.errors import Fault
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.records import Actor, Approval
from storage.ports import ApprovalStore, ThreadStore
from storage.values import Act, ClaimedRun, Decide, NewApproval, Outbound

EXPIRE_AT_ONCE: Final = 100
"""Approvals that expire in one transaction."""
_APPROVE, _DENY = "a", "d"


class Approvals:
    """Use cases of approvals."""

    def __init__(
        self, approvals: ApprovalStore, threads: ThreadStore, channels: Channels, clock: Clock
    ) -> None:
        self._approvals = approvals
        self._threads = threads
        self._channels = channels
        self._clock = clock

    def compose(self, run: ClaimedRun, ask: AgentAsk, life_s: float) -> NewApproval:
        """What is asked, with its card for the thread's room."""
        approval_id = self._clock.new_id(IdPrefix.APPROVAL)
        new = NewApproval(
            id=approval_id,
            key=ask.key,
            title=ask.title[: limits.TITLE_CHARS],
            body=ask.body,
            subject_hash=ask.subject_hash,
            expires_at_ms=self._clock.now_ms() + round(life_s * 1000),
            settle_id=self._clock.new_id(IdPrefix.DELIVERY),
        )
        place = self._channels.of(run.origin)
        if place is None:
            return new
        adapter, room = place

        def shown(outcome: str | None) -> str:
            return freeze(adapter.card(_card(approval_id, ask.title, ask.body, outcome), room))

        card = Outbound(self._clock.new_id(IdPrefix.DELIVERY), 1, shown(None))
        return replace(
            new,
            card=card,
            expired=shown("Expired: nobody decided in time."),
            cancelled=shown("Cancelled: the run ended."),
        )

    async def decide(self, act: Act, approval_id: str, approves: bool, reason: str) -> RawJson:
        """Decide through the protocol. Raises Fault not_found and invalid_state."""
        approval = await self._approvals.get(act.org_id, approval_id)
        origin = (await self._threads.get(act.org_id, approval.thread_id)).origin
        place = self._channels.of(origin)
        settled = None
        if place is not None:
            adapter, room = place
            outcome = _outcome(approves, act.actor.name, reason)
            settled = freeze(adapter.card(_settled(approval, outcome), room))
        return await self._approvals.decide(act, Decide(approval_id, approves, reason, settled))

    async def pressed(
        self, org_id: str, adapter: Adapter, approvers: frozenset[str], press: Pressed, actor: Actor
    ) -> Decide | None:
        """What pressing a button decides; None when it belongs to nothing. The store has the last word.

        Only `approvers` may decide, by their ids on the network; when there are none, whoever asked the agent.
        """
        approval_id, _, verb = press.value.partition(":")
        if verb not in (_APPROVE, _DENY):
            return None
        try:
            approval = await self._approvals.get(org_id, approval_id)
        except Fault:
            return None
        approves, reason = verb == _APPROVE, press.reason or ""
        outcome = _outcome(approves, actor.name, reason)
        settled = freeze(adapter.card(_settled(approval, outcome), press.room))
        may_decide = frozenset(f"{adapter.kind}:{sender_id}" for sender_id in approvers)
        return Decide(approval_id, approves, reason, settled, may_decide)

    async def expire(self) -> None:
        """Deny what nobody decided in time."""
        while await self._approvals.expire(self._clock.now_ms(), EXPIRE_AT_ONCE) == EXPIRE_AT_ONCE:
            pass


class Buttons:
    """The buttons of one account, as intake asks about them."""

    def __init__(
        self, approvals: Approvals, org_id: str, adapter: Adapter, approvers: frozenset[str]
    ) -> None:
        self._org_id = org_id
        self._approvals = approvals
        self._adapter = adapter
        self._approvers = approvers

    async def pressed(self, press: Pressed, actor: Actor) -> Decide | None:
        """See `Approvals.pressed`."""
        return await self._approvals.pressed(self._org_id, self._adapter, self._approvers, press, actor)


def _card(approval_id: str, title: str, body: str, outcome: str | None) -> Card:
    actions: tuple[Action, ...] = ()
    if outcome is None:
        actions = (
            Action(f"{approval_id}:{_APPROVE}", "Approve", "primary"),
            Action(f"{approval_id}:{_DENY}", "Deny", "danger", asks_reason=True),
        )
    return Card(title, body, actions, outcome)


def _settled(approval: Approval, outcome: str) -> Card:
    return _card(approval.id, approval.title, approval.body, outcome)


def _outcome(approves: bool, name: str, reason: str) -> str:
    said = f": {reason}" if reason else ""
    return f"{'Approved' if approves else 'Denied'} by {name}{said}"
