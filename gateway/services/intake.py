"""Intake: what an adapter delivers → durable message and run. The channels' way in.

One per account. Judging a delivery (is it for us, may this person speak) is pure and happens before the one
transaction that stores everything. What only the store knows (who was let in, which conversation goes on) it
decides there, between outcomes that were prepared here. The adapter acknowledges to its platform only after
`commit` returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol

from channels.messages import (
    Addressed,
    Cursor,
    Deleted,
    Delivery,
    Edited,
    Ignored,
    Inbound,
    Pressed,
    RoomRef,
    Sender,
    Verdict,
)
from channels.port import Adapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.rules.admission import Admitted, Policy, Refusal, Saying, judge, people
from gateway.rules.pace import Pace
from gateway.rules.routing import Arrival
from gateway.services import notices
from gateway.services.approvals import NOT_COUNTED
from gateway.services.budgets import Obstacles
from gateway.services.composing import TAKEN_BACK, Composer
from gateway.services.linking import Links, typed_code
from gateway.services.notices import RoomNotices
from gateway.services.pairings import LIFE_MS, PENDING_MAX, new_code
from gateway.services.stopping import Stops, is_stop
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin
from storage.approval_values import Decide
from storage.channel_values import EVERYBODY, Amendment, Delivered, Entry, Gap, PairingOffer, Telling
from storage.ports import InboxStore
from storage.values import GATEWAY, Act

NOTICE_INTERVAL_MS: Final = 10 * 60 * 1000
"""Somebody who is not taken is told so at most every ten minutes: two bots must not talk for ever."""


NOWHERE: Final = Origin(kind="client")
"""A run that never began has said nothing anywhere, so no room is told of its end."""
_OUTCOMES: Final[Mapping[Refusal, Literal["ambient", "ignored", "refused"]]] = {
    Refusal.BOT: "ignored",
    Refusal.AMBIENT: "ambient",
    Refusal.ROOM: "refused",
    Refusal.STRANGER: "refused",
}


class Decisions(Protocol):
    """What becomes of a pressed button or a typed decision: prepared here, and counted in the transaction."""

    async def pressed(self, press: Pressed) -> Decide | str:
        """What it decides, or what its sender is told instead."""
        ...

    async def typed(self, said: Inbound) -> Decide | str | None:
        """The same for a message; None when it decides nothing."""
        ...


class Intake:
    """`channels.port.InboxSink` for one account."""

    def __init__(
        self,
        adapter: Adapter,
        inbox: InboxStore,
        composer: Composer,
        clock: Clock,
        policy: Policy,
        pace: Pace,
        decisions: Decisions,
        stops: Stops,
        org_id: str,
        obstacles: Obstacles = Obstacles(),  # noqa: B008 - a value
    ) -> None:
        self._org_id = org_id
        self._adapter = adapter
        self._inbox = inbox
        self._composer = composer
        self._clock = clock
        self._policy = policy
        self._pace = pace
        self._decisions = decisions
        self._stops = stops
        self._obstacles = obstacles
        self._notices = RoomNotices(adapter, clock)
        self._links = Links(self._notices, clock)

    async def cursors(self) -> Mapping[str, Cursor]:
        kind, account = self._adapter.kind, self._adapter.account
        stored = await self._inbox.cursors(self._org_id, kind, account)
        return {scope: Cursor(value, at_ms) for scope, (value, at_ms) in stored.items()}

    async def commit(self, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> Sequence[Verdict]:
        deliveries = [await self._judge(delivery) for delivery in batch]
        reached("inbox.before_commit")
        outcomes = await self._inbox.commit(
            self._org_id, self._adapter.kind, self._adapter.account, deliveries, cursors, self._clock.now_ms()
        )
        reached("inbox.after_commit")
        return [Verdict(outcome.outcome == "accepted", outcome.says) for outcome in outcomes]

    async def gap(self, since_ms: int, until_ms: int, reason: str) -> None:
        kind, account = self._adapter.kind, self._adapter.account
        await self._inbox.report_gap(self._act(GATEWAY), kind, account, Gap(since_ms, until_ms, reason))

    # --- judging ------------------------------------------------------------------------------

    async def _judge(self, delivery: Delivery) -> Delivered:
        match delivery:
            case Ignored():
                return Delivered(delivery.delivery_id, "ignored", delivery.reason, sender_id=None)
            case Inbound() if (code := typed_code(delivery)) is not None:
                return self._link(delivery, code)
            case Inbound():
                judged = self._message(delivery)
                if judged.outcome in ("accepted", "ambient"):
                    decided = await self._decisions.typed(delivery)
                    if decided is not None:
                        return self._typed(delivery, judged, decided)
                is_heard = judged.outcome == "accepted" and is_stop(delivery)
                return await self._stop(delivery, judged) if is_heard else judged
            case Edited():
                return self._edit(delivery)
            case Deleted():
                return self._deletion(delivery)
            case Pressed():
                return await self._press(delivery)

    async def _press(self, press: Pressed) -> Delivered:
        decide = await self._decisions.pressed(press)
        if isinstance(decide, str):
            told = Telling(says=decide)
            return Delivered(press.delivery_id, "refused", "not open", press.sender.id, refused=told)
        act = self._act(self._person(press.sender))
        return Delivered(press.delivery_id, "accepted", None, press.sender.id, act=act, decide=decide)

    def _typed(self, said: Inbound, judged: Delivered, decide: Decide | str) -> Delivered:
        """A decision in words is no message. Who was not speaking to us is told nothing about what is none."""
        if isinstance(decide, str):
            if judged.outcome == "ambient":
                return judged
            return Delivered(
                said.delivery_id,
                "refused",
                "decides nothing",
                said.sender.id,
                room=said.room.room,
                topic=said.room.topic,
                refused=self._told(said, decide),
            )
        return Delivered(
            said.delivery_id,
            "accepted",
            "a decision",
            said.sender.id,
            room=said.room.room,
            topic=said.room.topic,
            ref=said.message_ref,
            act=self._act(self._person(said.sender)),
            decide=decide,
            undecided=self._told(said, NOT_COUNTED.format(id=decide.approval_id)),
        )

    async def _stop(self, said: Inbound, judged: Delivered) -> Delivered:
        """It ends what is running, however fast its sender writes; only then they may hear that nothing was."""
        nothing = self._told(said, notices.NOTHING_RUNS) if judged.message is not None else Telling()
        stop = await self._stops.prepare(
            self._org_id, self._adapter, said, self._person(said.sender), nothing
        )
        return replace(judged, message=None, stop=stop)

    def _link(self, said: Inbound, code: str) -> Delivered:
        """Who may be linked need not be let in: whose they are, the user says from the other side."""
        link = self._links.prepare(said, code)
        told = self._told(said, notices.LINK_TOO_OFTEN) if link is None else Telling()
        return Delivered(
            said.delivery_id,
            "accepted" if link is not None else "refused",
            None if link is not None else "too many codes",
            said.sender.id,
            room=said.room.room,
            topic=said.room.topic,
            act=self._act(self._person(said.sender)),
            link=link,
            refused=told,
            notice_interval_ms=NOTICE_INTERVAL_MS,
        )

    def _message(self, said: Inbound) -> Delivered:
        verdict = judge(
            self._policy,
            Saying(
                sender_id=said.sender.id,
                room=said.room.room,
                is_direct=said.is_direct,
                is_ambient=said.addressed is Addressed.AMBIENT,
                may_continue=said.thread_key is not None or said.reply_to is not None,
                is_bot=said.sender.is_bot,
                is_external=said.sender.is_external,
            ),
        )
        if isinstance(verdict, Admitted):
            return self._welcome(said, verdict)
        outcome = _OUTCOMES[verdict]
        refused = Telling(says=_to_command(said, notices.NOT_ALLOWED)) if outcome == "refused" else Telling()
        return Delivered(
            said.delivery_id, outcome, verdict.value, said.sender.id, room=said.room.room, refused=refused
        )

    def _welcome(self, said: Inbound, admitted: Admitted) -> Delivered:
        """A message that is taken if the store knows its sender as one of those it is taken from."""
        room, origin = said.room, self._origin(said.room)
        is_paced = self._pace.allows(room.room, said.sender.id, said.delivery_id, said.occurred_at_ms)
        is_offered = admitted.pairs
        not_yet = notices.ASKED if is_offered else self._not_let_in
        kind, account = self._adapter.kind, self._adapter.account
        message = None
        if is_paced:
            files = self._composer.arriving(kind, account, said.attachments)
            message = self._composer.message(
                [said.text], origin, self._arrival(said), restore_archived=True, files=files
            )
            message = replace(message, from_outside=said.sender.is_external)
        return Delivered(
            said.delivery_id,
            "accepted",
            None,
            said.sender.id,
            room=room.room,
            topic=room.topic,
            ref=said.message_ref,
            thread_key=said.thread_key,
            reply_to=said.reply_to,
            act=self._act(self._person(said.sender)),
            message=message,
            entry=admitted.entry,
            refused=Telling(says=_to_command(said, not_yet)),
            busy=self._told(said, notices.BUSY if is_paced else notices.TOO_FAST),
            too_long=self._told(said, notices.TOO_LONG),
            over_budget=self._all_told(said, self._obstacles.over_budget()),
            switched_off=self._all_told(said, self._obstacles.switched_off()),
            offer=self._offer(said) if is_offered else None,
            notice_interval_ms=NOTICE_INTERVAL_MS,
        )

    def _offer(self, said: Inbound) -> PairingOffer:
        code = new_code()
        return PairingOffer(
            id=self._clock.new_id(IdPrefix.PAIRING),
            name=said.sender.name,
            code=code,
            expires_at_ms=self._clock.now_ms() + LIFE_MS,
            pending_max=PENDING_MAX,
            told=Telling(
                says=_to_command(said, notices.ASKED),
                notice=self._notices.of(notices.OFFER, said.room, code),
            ),
            full=self._told(said, notices.FULL),
        )

    def _edit(self, edited: Edited) -> Delivered:
        sender = edited.sender
        taken_from = people(self._policy, sender.id, is_external=sender.is_external)
        if sender.is_bot or not taken_from:
            refusal = Refusal.BOT if sender.is_bot else Refusal.STRANGER
            return Delivered(edited.delivery_id, "ignored", refusal.value, sender.id)
        author = self._person(sender)
        change = Amendment(edited.text, edited.occurred_at_ms, author_id=author.id)
        return self._change(edited, sender.id, author, change, Entry(taken_from))

    def _deletion(self, deleted: Deleted) -> Delivered:
        ending = self._composer.cancelled(TAKEN_BACK, NOWHERE)
        change = Amendment(None, deleted.occurred_at_ms, cancel=ending)
        return self._change(deleted, None, GATEWAY, change, EVERYBODY)

    def _change(
        self, delivery: Edited | Deleted, sender_id: str | None, actor: Actor, change: Amendment, entry: Entry
    ) -> Delivered:
        return Delivered(
            delivery.delivery_id,
            "accepted",
            None,
            sender_id,
            room=delivery.room.room,
            ref=delivery.message_ref,
            act=self._act(actor),
            amendment=change,
            entry=entry,
        )

    # --- words --------------------------------------------------------------------------------

    @property
    def _not_let_in(self) -> str:
        return notices.NOT_YET if self._policy.dm_policy == "pairing" else notices.NOT_ALLOWED

    def _told(self, said: Inbound, text: str) -> Telling:
        """A command is answered to who gave it; a message, in its room."""
        if said.message_ref is None:
            return Telling(says=text)
        return Telling(notice=self._notices.of(text, said.room))

    def _all_told(self, said: Inbound, texts: Mapping[str, str]) -> dict[str, Telling]:
        return {name: self._told(said, text) for name, text in texts.items()}

    def _person(self, sender: Sender) -> Actor:
        return Actor(id=f"{self._adapter.kind}:{sender.id}", kind=ActorKind.PERSON, name=sender.name)

    def _origin(self, room: RoomRef) -> Origin:
        kind, account = self._adapter.kind, self._adapter.account
        return Origin(kind="channel", channel=kind, account=account, room=room.room, topic=room.topic)

    def _arrival(self, said: Inbound) -> Arrival:
        is_mention = said.addressed is Addressed.MENTION
        return Arrival(self._adapter.kind, self._adapter.account, said.room.room, is_mention=is_mention)

    def _act(self, actor: Actor) -> Act:
        via = f"{self._adapter.kind}:{self._adapter.account}"
        return Act(self._org_id, actor, via, self._clock.now_ms())


def _to_command(said: Inbound, text: str) -> str | None:
    """The answer that the network waits for after a command, and after nothing else."""
    return text if said.message_ref is None else None
