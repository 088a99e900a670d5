"""Intake: what an adapter delivers → durable message and run. The channels' way in.

One per account. Judging a delivery (is it for us, may this person speak) is pure and happens before the one
transaction that stores everything; the adapter acknowledges to its platform only after `commit` returns.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from channels.messages import Addressed, Cursor, Delivery, Ignored, Inbound, Verdict
from channels.port import Adapter
from gateway.clock import Clock
from gateway.crash_points import reached
from gateway.services.channels import freeze
from gateway.services.composing import Composer
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Origin
from storage.ports import InboxStore
from storage.values import DEFAULT_ORG, GATEWAY, Act, Delivered, Gap, Notice

HINT_INTERVAL_MS: Final = 10 * 60 * 1000
"""A stranger is told how to be allowed at most every ten minutes: two bots must not talk for ever."""

BUSY: Final = "I still have too many of your messages to answer, so I did not take the last one. Please wait."
"""What a room is told whose conversation has as many unfinished runs as it may."""

DmPolicy = Literal["pairing", "allowlist", "open"]


class Intake:
    """`channels.port.InboxSink` for one account."""

    def __init__(
        self,
        adapter: Adapter,
        inbox: InboxStore,
        composer: Composer,
        clock: Clock,
        *,
        dm_policy: DmPolicy,
        allow: frozenset[str],
    ) -> None:
        self._adapter = adapter
        self._inbox = inbox
        self._composer = composer
        self._clock = clock
        self._dm_policy = dm_policy
        self._allow = allow

    async def cursors(self) -> Mapping[str, Cursor]:
        kind, account = self._adapter.kind, self._adapter.account
        stored = await self._inbox.cursors(DEFAULT_ORG, kind, account)
        return {scope: Cursor(value, at_ms) for scope, (value, at_ms) in stored.items()}

    async def commit(self, batch: Sequence[Delivery], cursors: Mapping[str, str]) -> Sequence[Verdict]:
        deliveries = [self._judge(delivery) for delivery in batch]
        reached("inbox.before_commit")
        outcomes = await self._inbox.commit(
            DEFAULT_ORG, self._adapter.kind, self._adapter.account, deliveries, cursors, self._clock.now_ms()
        )
        reached("inbox.after_commit")
        return [Verdict(outcome.outcome == "accepted", outcome.says) for outcome in outcomes]

    async def gap(self, since_ms: int, until_ms: int, reason: str) -> None:
        kind, account = self._adapter.kind, self._adapter.account
        act = Act(DEFAULT_ORG, GATEWAY, f"{kind}:{account}", self._clock.now_ms())
        await self._inbox.report_gap(act, kind, account, Gap(since_ms, until_ms, reason))

    def _judge(self, delivery: Delivery) -> Delivered:
        if isinstance(delivery, Ignored):
            return Delivered(delivery.delivery_id, "ignored", delivery.reason, sender_id=None)
        if not isinstance(delivery, Inbound):
            return Delivered(delivery.delivery_id, "ignored", type(delivery).__name__.lower(), sender_id=None)
        if delivery.addressed is Addressed.AMBIENT:
            return self._not_taken(delivery, "ambient", "not addressed to the bot")
        if self._dm_policy != "open" and delivery.sender.id not in self._allow:
            return self._not_taken(delivery, "refused", "the sender is not allowed")
        return self._accepted(delivery)

    def _not_taken(self, delivery: Inbound, outcome: Literal["ambient", "refused"], reason: str) -> Delivered:
        hint = None
        if outcome == "refused" and delivery.is_direct and self._dm_policy == "pairing":
            hint = self._hint(delivery)
        return Delivered(
            delivery.delivery_id,
            outcome,
            reason,
            delivery.sender.id,
            room=delivery.room.room,
            topic=delivery.room.topic,
            hint=hint,
            hint_interval_ms=HINT_INTERVAL_MS,
        )

    def _hint(self, delivery: Inbound) -> Notice:
        markdown = (
            "You are not allowed to talk to this agent yet. Your id is "
            f"`{delivery.sender.id}`: ask an operator of this gateway to add it to `allow` of the channel "
            f"`{self._adapter.kind}:{self._adapter.account}`."
        )
        return self._notice(markdown, delivery)

    def _notice(self, markdown: str, delivery: Inbound) -> Notice:
        content = self._adapter.render(markdown, delivery.room)[0]
        return Notice(self._clock.new_id(IdPrefix.DELIVERY), freeze(content))

    def _accepted(self, delivery: Inbound) -> Delivered:
        kind, account = self._adapter.kind, self._adapter.account
        actor = Actor(id=f"{kind}:{delivery.sender.id}", kind=ActorKind.PERSON, name=delivery.sender.name)
        room, topic = delivery.room.room, delivery.room.topic
        origin = Origin(kind="channel", channel=kind, account=account, room=room, topic=topic)
        files = self._composer.arriving(kind, account, delivery.attachments)
        message = self._composer.message([delivery.text], origin, restore_archived=True, files=files)
        return Delivered(
            delivery.delivery_id,
            "accepted",
            None,
            delivery.sender.id,
            room=room,
            topic=topic,
            ref=delivery.message_ref,
            thread_key=delivery.thread_key,
            reply_to=delivery.reply_to,
            busy=self._notice(BUSY, delivery),
            hint_interval_ms=HINT_INTERVAL_MS,
            act=Act(DEFAULT_ORG, actor, f"{kind}:{account}", self._clock.now_ms()),
            message=message,
        )
