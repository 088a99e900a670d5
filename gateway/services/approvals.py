"""Approvals: what agents and others ask for, and how people decide it, from a card, in words or by a request.

Composes what the store records, which has the last word; who may decide is judged by `rules/deciding.py`, in the
transaction of the decision. The run waits in the store, not here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

import structlog

from channels.messages import Inbound, Pressed, RoomRef
from channels.port import Adapter
from gateway.agents.port import AgentAsk
from gateway.agents.tools.arguments import BadArguments, check
from gateway.clock import Clock
from gateway.policy_settings import ApprovalTerms, Risk
from gateway.rules import deciding
from gateway.rules.policy import Verdict
from gateway.rules.visible import difference, pretty, visible
from gateway.services import approval_faces
from gateway.services.channels import Channels, freeze
from protocol import limits
from protocol.approval_requests import (
    ApprovalDecideParams,
    ApprovalListParams,
    ApprovalListResult,
    GrantWanted,
)
from protocol.approvals import Approval, ApprovalKind, ApprovalState
from protocol.canonical import digest
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import RawJson
from protocol.ids import IdPrefix
from protocol.instants import to_instant
from protocol.records import Origin, Role
from storage.approval_ports import ApprovalStore
from storage.approval_values import Decide, Edited, NewGrant, Terms
from storage.ports import ThreadStore
from storage.values import Act, ClaimedRun, Decided, NewApproval, Notice, Outbound, PostedElsewhere

log = structlog.get_logger()

NOTHING_OPEN: Final = (
    "Nothing that waits for a decision has this code. Look at the card again: what was edited has a new one."
)
TWO_OPEN: Final = (
    "Several things that wait for a decision have this code: use the id, from `threadgate approvals list`."
)
SAY_WHAT: Final = "Say what should be different: `changes {code} what should be different`."
NOT_COUNTED: Final = (
    "This decided nothing: it is decided already, or you are not among those who decide about it. "
    "`threadgate approvals show {id}` says more."
)
EditGuard: TypeAlias = Callable[[Approval, Origin], Verdict]
"""What the policies say, now, about what is asked, in a thread of that origin."""


class Approvals:
    """Use cases of approvals."""

    def __init__(
        self,
        approvals: ApprovalStore,
        threads: ThreadStore,
        channels: Channels,
        clock: Clock,
        guard: EditGuard,
    ) -> None:
        self._approvals = approvals
        self._threads = threads
        self._channels = channels
        self._clock = clock
        self._guard = guard

    # --- asking -------------------------------------------------------------------------------

    def compose(self, run: ClaimedRun, ask: AgentAsk, life_s: float) -> NewApproval:
        """What a run asks, with its card for the thread's room."""
        new = self._new(
            ask.key,
            ApprovalKind(ask.kind),
            ask.name,
            ask.subject,
            ask.title,
            ask.body,
            ask.terms or ApprovalTerms(),
            life_s,
            subject_hash=ask.subject_hash,
        )
        new = replace(
            new,
            agent_id=run.agent_id,
            schema=ask.schema,
            risk=ask.risk,
            rule=ask.rule,
            policy_version=ask.policy_version,
        )
        asked = _as_asked(new, run.requested_by, run.id, self._clock.now_ms())
        new = replace(new, elsewhere=self._elsewhere(run.org_id, ask.terms, asked, run.origin))
        # An answer that is asked about is not shown where it would be said.
        place = self._channels.of(run.origin) if ask.kind != "message" else None
        if place is None:
            return new
        content = freeze(approval_faces.shown(*place, asked))
        return replace(new, card=Outbound(self._clock.new_id(IdPrefix.DELIVERY), 1, content))

    async def ask(
        self,
        act: Act,
        kind: ApprovalKind,
        key: str,
        name: str,
        subject: Any,
        title: str,
        body: str,
        terms: ApprovalTerms,
        life_s: float,
        *,
        rule: str = "",
        policy_version: str = "",
        risk: Risk = "medium",
        told: Notice | None = None,
    ) -> Approval:
        """Ask for something that no run wants to do: a pairing, a release. `act` is who wants it.

        While one waits about the same `key`, that one is returned. It is in approval.list, and shown in the rooms of
        its terms.
        """
        new = self._new(key, kind, name, subject, title, body, terms, life_s)
        new = replace(new, rule=rule, policy_version=policy_version, risk=risk, told=told)
        asked = _as_asked(new, act.actor.id, None, act.at_ms)
        new = replace(new, elsewhere=self._elsewhere(act.org_id, terms, asked))
        return await self._approvals.ask(act, new)

    def _elsewhere(
        self, org_id: str, terms: ApprovalTerms | None, asked: Approval, origin: Origin | None = None
    ) -> tuple[PostedElsewhere, ...]:
        """Cards for the rooms of the terms; not for one that is asked anyhow, nor for an account of others."""
        cards = []
        for name in terms.rooms if terms is not None else ():
            kind, account, room = name.split(":", 2)
            adapter = self._channels.find(kind, account)
            if adapter is None or self._channels.policy(kind, account).org_id != org_id:
                log.warning("a room of a policy cannot be reached", action="approval_room", room=name)
                continue
            if origin is not None and (origin.channel, origin.account, origin.room) == (kind, account, room):
                continue
            content = freeze(approval_faces.shown(adapter, RoomRef(room), asked))
            delivery_id = self._clock.new_id(IdPrefix.DELIVERY)
            cards.append(PostedElsewhere(delivery_id, kind, account, room, content))
        return tuple(cards)

    def _new(
        self,
        key: str,
        kind: ApprovalKind,
        name: str,
        subject: Any,
        title: str,
        body: str,
        terms: ApprovalTerms,
        life_s: float,
        subject_hash: str | None = None,
    ) -> NewApproval:
        now_ms = self._clock.now_ms()

        def after(seconds: float | None) -> int | None:
            return now_ms + round(seconds * 1000) if seconds is not None else None

        expires_at_ms = after(terms.expires_s or life_s)
        assert expires_at_ms is not None
        return NewApproval(
            id=self._clock.new_id(IdPrefix.APPROVAL),
            key=key,
            title=_bounded(title, limits.TITLE_CHARS),
            body=_bounded(body, limits.TEXT_CHARS),
            subject_hash=subject_hash or digest([title, body, subject]),
            expires_at_ms=expires_at_ms,
            kind=kind,
            name=name,
            subject=subject,
            terms=Terms(
                terms.approvers,
                terms.quorum,
                terms.denials,
                terms.separation,
                terms.escalate_to,
                terms.grants,
            ),
            remind_at_ms=after(terms.remind_s),
            escalate_at_ms=after(terms.escalate_s),
        )

    async def use(self, run: ClaimedRun, decided: Decided) -> bool:
        """Use leave for an act that is told and not journalled (a program's call): once. Raises StoreUnavailable."""
        return await self._approvals.consume(run, decided.approval_id, decided.key, self._clock.now_ms())

    # --- through the protocol -----------------------------------------------------------------

    async def page(self, act: Act, role: Role, params: ApprovalListParams) -> ApprovalListResult:
        """A page, newest first."""
        if params.mine:
            found, cursor = await self._approvals.page_of_voter(
                act, role.value, deciding.judge, params.limit, params.cursor
            )
        else:
            found, cursor = await self._approvals.page(
                act.org_id,
                params.state,
                params.thread_id,
                params.limit,
                params.cursor,
                granted=params.granted,
                now_ms=act.at_ms,
            )
        return ApprovalListResult(approvals=found, next_cursor=cursor)

    async def decide(self, act: Act, role: Role, params: ApprovalDecideParams) -> RawJson:
        """Decide through the protocol.

        Raises Fault not_found, forbidden, policy_denied, invalid_params and invalid_state.
        """
        decision = params.decision
        wanted = Decide(
            params.approval_id,
            decision if decision in ("approve", "deny", "request_changes", "revoke") else "approve",
            params.reason,
            deciding.judge,
            among=None,
            seen_hash=params.subject_hash or "",
            role=role.value,
            grant=self._grant(params.grant) if params.grant is not None else None,
        )
        if params.arguments is not None:
            wanted = await self._edit(act, wanted, params.arguments)
        return await self._approvals.decide(act, wanted)

    def _grant(self, wanted: GrantWanted) -> NewGrant:
        life_ms = (wanted.ttl_s or limits.GRANT_TTL_S) * 1000
        return NewGrant(
            self._clock.new_id(IdPrefix.GRANT), wanted.scope, wanted.uses, self._clock.now_ms() + life_ms
        )

    async def _edit(self, act: Act, wanted: Decide, arguments: dict[str, Any]) -> Decide:
        """The decision about the action with other arguments: they must fit, and the policies have their say."""
        found = await self._approvals.editable(act.org_id, wanted.approval_id)
        if found.schema is None or not isinstance(found.subject, dict):
            raise Fault(
                ErrorKind.INVALID_STATE,
                "This cannot be edited: it has no arguments that the gateway knows",
                hint="Use request_changes: the agent is told what should be different",
                state=found.approval.state.value,
            )
        try:
            check(found.schema, arguments)
        except BadArguments as error:
            raise invalid_params([{"path": "arguments", "message": str(error)}]) from error
        subject = {**found.subject, "arguments": arguments}
        if len(pretty(subject)) > limits.TEXT_CHARS // 2:
            raise invalid_params([{"path": "arguments", "message": "They are too large to be shown"}])
        if wanted.seen_hash and not found.subject_hash.startswith(wanted.seen_hash):
            return wanted  # the store says what became of it
        if subject == found.subject:
            return replace(wanted, seen_hash=found.subject_hash)
        verdict = self._guard(found.approval, await self._origin(act.org_id, found.approval))
        if verdict.effect == "deny":
            raise Fault(
                ErrorKind.POLICY_DENIED,
                verdict.reason or "The policies do not allow it so",
                rule=verdict.rule,
            )
        edited = Edited(
            subject,
            digest([found.subject_hash, subject]),
            found.subject_hash,
            difference(found.subject.get("arguments"), arguments),
        )
        return replace(wanted, edited=edited)

    async def _origin(self, org_id: str, approval: Approval) -> Origin:
        if approval.thread_id is None:
            return Origin(kind="client")
        return (await self._threads.get(org_id, approval.thread_id)).origin

    # --- from a chat --------------------------------------------------------------------------

    async def pressed(
        self, org_id: str, adapter: Adapter, approvers: frozenset[str], press: Pressed
    ) -> Decide | str:
        """What pressing a button decides, or what its sender is told instead. The store has the last word."""
        approval_id, letter, seen = approval_faces.read_button(press.value)
        vote = {
            approval_faces.APPROVE: "approve",
            approval_faces.DENY: "deny",
            approval_faces.CHANGES: "request_changes",
        }.get(letter)
        if vote is None:
            return deciding.NO_LONGER_OPEN
        reason = (press.reason or "").strip()[: limits.REASON_CHARS]
        if vote == "request_changes" and not reason:
            found = await self._approvals.by_code(org_id, approval_id)
            return (
                SAY_WHAT.format(code=approval_faces.code_of(found[0])) if found else deciding.NO_LONGER_OPEN
            )
        return self._in_chat(adapter, approvers, approval_id, vote, reason, seen)

    async def typed(
        self, org_id: str, adapter: Adapter, approvers: frozenset[str], typed: deciding.Typed
    ) -> Decide | str:
        """The same for words."""
        found = await self._approvals.by_code(org_id, typed.code)
        if len(found) != 1:
            return TWO_OPEN if found else NOTHING_OPEN
        if typed.vote == "request_changes" and not typed.text:
            return SAY_WHAT.format(code=approval_faces.code_of(found[0]))
        seen = "" if typed.code.startswith(IdPrefix.APPROVAL) else typed.code
        reason = typed.text[: limits.REASON_CHARS]
        return self._in_chat(adapter, approvers, found[0].id, typed.vote, reason, seen)

    def _in_chat(
        self, adapter: Adapter, approvers: frozenset[str], approval_id: str, vote: Any, reason: str, seen: str
    ) -> Decide:
        among = frozenset(f"{adapter.kind}:{sender_id}" for sender_id in approvers)
        return Decide(approval_id, vote, reason, deciding.judge, among, seen_hash=seen)


class RoomDecisions:
    """The decisions of one account's rooms, as intake asks about them."""

    def __init__(
        self, approvals: Approvals, org_id: str, adapter: Adapter, approvers: frozenset[str]
    ) -> None:
        self._org_id = org_id
        self._approvals = approvals
        self._adapter = adapter
        self._approvers = approvers

    async def pressed(self, press: Pressed) -> Decide | str:
        """See `Approvals.pressed`."""
        return await self._approvals.pressed(self._org_id, self._adapter, self._approvers, press)

    async def typed(self, said: Inbound) -> Decide | str | None:
        """See `Approvals.typed`; None for a message that decides nothing."""
        typed = deciding.typed(said.text) if not said.attachments else None
        if typed is None:
            return None
        return await self._approvals.typed(self._org_id, self._adapter, self._approvers, typed)


def _bounded(text: str, chars: int) -> str:
    """The text with nothing hidden in it, as long as it may be."""
    text = visible(text)
    cut = " … [cut]"
    return text if len(text) <= chars else text[: chars - len(cut)] + cut


def _as_asked(new: NewApproval, requested_by: str, run_id: str | None, now_ms: int) -> Approval:
    """An approval as it will be, for its first card."""
    return Approval.model_validate(
        {
            "id": new.id,
            "kind": new.kind,
            "run_id": run_id,
            "title": new.title,
            "body": new.body,
            "subject_hash": new.subject_hash,
            "rules": {"quorum": new.terms.quorum},
            "state": ApprovalState.PENDING,
            "requested_by": requested_by,
            "created_at": to_instant(now_ms),
            "expires_at": to_instant(new.expires_at_ms),
        }
    )
