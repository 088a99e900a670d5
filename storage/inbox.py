"""The inbox of channels: what a network delivered becomes durable together with what follows from it.

One batch is one transaction, with the account's cursor in it; only then may the adapter acknowledge. A
delivery seen before finds its row and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from protocol.records import ThreadStatus
from storage import (
    amendments,
    approval_votes,
    audit_log,
    budgets,
    chat_links,
    messages,
    notices,
    pairings,
    run_ends,
)
from storage.approval_values import Decide
from storage.budget_values import OverBudget
from storage.channel_values import (
    Amendment,
    Delivered,
    Gap,
    LinkTyped,
    Outcome,
    PairingOffer,
    Standing,
    Stop,
    Telling,
)
from storage.engine import Engine, Reader, Transaction
from storage.queries import Queries
from storage.values import Act, Notice

_SQL = Queries("channels")
_THREADS = Queries("threads")
_STRANGER = "the sender is not allowed"


class Inbox:
    """`storage.ports.InboxStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def cursors(self, org_id: str, channel: str, account: str) -> dict[str, tuple[str, int]]:
        return await self._engine.read(_cursors, org_id, channel, account)

    async def find_thread(
        self, org_id: str, channel: str, account: str, room: str, thread_key: str | None, reply_to: str | None
    ) -> str | None:
        place = _Account(org_id, channel, account)
        return await self._engine.read(_known_thread, place, room, thread_key, reply_to)

    async def commit(
        self,
        org_id: str,
        channel: str,
        account: str,
        deliveries: Sequence[Delivered],
        cursors: Mapping[str, str],
        now_ms: int,
    ) -> list[Outcome]:
        return await self._engine.write(
            _commit, _Account(org_id, channel, account), deliveries, cursors, now_ms
        )

    async def report_gap(self, act: Act, channel: str, account: str, gap: Gap) -> None:
        await self._engine.write(_report_gap, act, channel, account, gap)


class _Account(dict[str, str]):
    """The three columns that every statement about one account shares."""

    def __init__(self, org_id: str, channel: str, account: str) -> None:
        super().__init__(org_id=org_id, channel=channel, account=account)


def _cursors(tx: Reader, org_id: str, channel: str, account: str) -> dict[str, tuple[str, int]]:
    rows = tx.all(_SQL.cursors, org_id=org_id, channel=channel, account=account)
    return {row["scope"]: (row["cursor"], row["updated_at"]) for row in rows}


def _commit(
    tx: Transaction,
    account: _Account,
    deliveries: Sequence[Delivered],
    cursors: Mapping[str, str],
    now_ms: int,
) -> list[Outcome]:
    outcomes = []
    for delivery in deliveries:
        inserted = tx.run(
            _SQL.insert_delivery,
            **account,
            delivery_id=delivery.delivery_id,
            outcome=delivery.outcome,
            reason=delivery.reason,
            sender_id=delivery.sender_id,
            received_at=now_ms,
        )
        outcomes.append(
            _follow_up(tx, account, delivery, now_ms) if inserted else _again(tx, account, delivery)
        )
    for scope, cursor in cursors.items():
        tx.run(_SQL.set_cursor, **account, scope=scope, cursor=cursor, now=now_ms)
    return outcomes


def _report_gap(tx: Transaction, act: Act, channel: str, account: str, gap: Gap) -> None:
    place = _Account(act.org_id, channel, account)
    span = {"since": gap.since_ms, "until": gap.until_ms, "reason": gap.reason}
    if tx.run(_SQL.insert_gap, **place, **span, now=act.at_ms):
        audit_log.append(
            tx, act, "channel.gap", {"channel": f"{channel}:{account}"}, outcome="failure", detail=span
        )


def _again(tx: Reader, account: _Account, delivery: Delivered) -> Outcome:
    row = tx.one(_SQL.verdict, **account, delivery_id=delivery.delivery_id)
    assert row is not None, "it was inserted before"
    return Outcome(row["outcome"], row["says"], is_new=False)


def _follow_up(tx: Transaction, account: _Account, delivery: Delivered, now_ms: int) -> Outcome:
    """What a delivery that was not there before leads to."""
    if delivery.outcome == "refused":
        return _refuse(tx, account, delivery, delivery.reason, delivery.refused, now_ms)
    if delivery.outcome != "accepted":
        return Outcome(delivery.outcome, None, is_new=True)
    if delivery.decide is not None:
        return _press(tx, account, delivery, delivery.decide, now_ms)
    if delivery.link is not None:
        return _link(tx, account, delivery, delivery.link, now_ms)
    standing = pairings.standing(tx, account, delivery.sender_id)
    if delivery.amendment is not None:
        return _amend(tx, account, delivery, delivery.amendment, standing)
    thread_id = _known_thread(tx, account, delivery.room, delivery.thread_key, delivery.reply_to)
    if delivery.entry.needs_thread and not _is_active(tx, account, thread_id):
        return _set_aside(tx, account, delivery, "ambient", "not addressed to the bot")
    if standing not in delivery.entry.taken_from:
        if delivery.offer is not None and standing == "unknown":
            return _offer(tx, account, delivery, delivery.offer, now_ms)
        return _refuse(tx, account, delivery, _STRANGER, delivery.refused, now_ms)
    if delivery.stop is not None:
        return _stop(tx, account, delivery, delivery.stop, thread_id, now_ms)
    if delivery.message is None:
        return _refuse(tx, account, delivery, "too many messages at once", delivery.busy, now_ms)
    return _accept(tx, account, delivery, thread_id, now_ms)


def _press(tx: Transaction, account: _Account, delivery: Delivered, decide: Decide, now_ms: int) -> Outcome:
    """Count a decision. Who typed it is told in the room when it does not count; the card says it when it does."""
    assert delivery.act is not None, "somebody pressed, or typed"
    counts, says = approval_votes.press(tx, delivery.act, decide)
    if not counts and delivery.undecided is not None and delivery.undecided.notice is not None:
        _owe(tx, account, delivery, delivery.undecided.notice, now_ms)
    tx.run(_SQL.answer_delivery, **account, delivery_id=delivery.delivery_id, says=says)
    return Outcome(delivery.outcome, says, is_new=True)


# --- taken -----------------------------------------------------------------------------------------


def _accept(
    tx: Transaction, account: _Account, delivery: Delivered, thread_id: str | None, now_ms: int
) -> Outcome:
    assert delivery.message is not None and delivery.act is not None
    thread = tx.one(_THREADS.find, org_id=account["org_id"], id=thread_id) if thread_id is not None else None
    if thread is not None and messages.is_too_long(thread, delivery.message):
        told = delivery.too_long or delivery.busy
        return _refuse(tx, account, delivery, "the conversation is too long", told, now_ms)
    if thread is not None and messages.is_full(tx, thread, delivery.message):
        return _refuse(tx, account, delivery, "the conversation is busy", delivery.busy, now_ms)
    found = messages.obstacle(tx, delivery.act, delivery.message, thread)
    if isinstance(found, OverBudget):
        budgets.exceed(tx, now_ms, account["org_id"], found, thread_id)
        told = delivery.over_budget.get(found.counter.budget, Telling())
        return _refuse(tx, account, delivery, "a budget is used up", told, now_ms)
    if found is not None:
        told = delivery.switched_off.get(found["agent_id"], Telling())
        return _refuse(tx, account, delivery, "the agent is switched off", told, now_ms)
    answer = orjson.loads(
        bytes(messages.accept(tx, delivery.act, replace(delivery.message, thread_id=thread_id)))
    )
    if delivery.thread_key is not None:
        tx.run(_THREADS.link, **account, thread_key=delivery.thread_key, thread_id=answer["thread_id"])
    if delivery.ref is not None:
        tx.run(
            _THREADS.remember_said,
            **account,
            room=delivery.room,
            ref=delivery.ref,
            thread_id=answer["thread_id"],
            message_id=answer["message_id"],
            message_seq=answer["seq"],
        )
    return _accepted(tx, account, delivery, answer["thread_id"], answer["message_id"])


def _amend(
    tx: Transaction, account: _Account, delivery: Delivered, change: Amendment, standing: Standing
) -> Outcome:
    assert delivery.act is not None and delivery.ref is not None
    if change.author_id is not None and standing not in delivery.entry.taken_from:
        return _set_aside(tx, account, delivery, "ignored", _STRANGER)
    place = {**account, "room": delivery.room}
    found = amendments.amend(tx, delivery.act, place, delivery.ref, change)
    if isinstance(found, str):
        return _set_aside(tx, account, delivery, "ignored", found)
    return _accepted(tx, account, delivery, found["thread_id"], found["id"])


def _accepted(
    tx: Transaction, account: _Account, delivery: Delivered, thread_id: str, message_id: str
) -> Outcome:
    tx.run(
        _SQL.accept_delivery,
        **account,
        delivery_id=delivery.delivery_id,
        thread_id=thread_id,
        message_id=message_id,
    )
    return Outcome("accepted", None, is_new=True)


def _stop(
    tx: Transaction, account: _Account, delivery: Delivered, stop: Stop, thread_id: str | None, now_ms: int
) -> Outcome:
    """End what is running in the conversation; say so when that is nothing."""
    assert delivery.act is not None
    if thread_id is not None and run_ends.end_all(tx, delivery.act, thread_id, stop.ending):
        return _set_aside(tx, account, delivery, "accepted", "stopped what was running", stop.says)
    if stop.nothing.notice is not None:
        _owe(tx, account, delivery, stop.nothing.notice, now_ms)
    return _set_aside(tx, account, delivery, "accepted", "nothing was running", stop.nothing.says)


def _link(tx: Transaction, account: _Account, delivery: Delivered, typed: LinkTyped, now_ms: int) -> Outcome:
    """Somebody says by a code which user they are; they are shown the code that says so from the other side."""
    assert delivery.act is not None and delivery.sender_id is not None
    place = (account["channel"], account["account"], delivery.sender_id)
    is_known = chat_links.answer(tx, delivery.act, *place, typed.name, typed.code, typed.reply)
    told, says = (typed.told, typed.says) if is_known else (typed.unknown, typed.unknown_says)
    if told is not None:
        _owe(tx, account, delivery, told, now_ms)
    reason = "a code that links them to a user" if is_known else "an unknown code"
    outcome = _set_aside(tx, account, delivery, "accepted", reason)
    return replace(outcome, says=says)  # a code is not kept for redeliveries: it is stored as a hash alone


def _known_thread(
    tx: Reader, account: _Account, room: str, thread_key: str | None, reply_to: str | None
) -> str | None:
    """By its key, else by the message it answers: a thread that people open below an answer of ours."""
    thread_id: str | None = None
    if thread_key is not None:
        thread_id = tx.value(_THREADS.linked_thread, **account, thread_key=thread_key)
    if thread_id is None and reply_to is not None:
        thread_id = tx.value(_THREADS.thread_of_platform_message, **account, room=room, ref=reply_to)
    return thread_id


def _is_active(tx: Reader, account: _Account, thread_id: str | None) -> bool:
    """Whether a conversation goes on by itself: one that was put away waits until somebody calls the agent."""
    if thread_id is None:
        return False
    thread = tx.one(_THREADS.find, org_id=account["org_id"], id=thread_id)
    return thread is not None and thread["status"] == ThreadStatus.ACTIVE


# --- not taken -------------------------------------------------------------------------------------


def _offer(
    tx: Transaction, account: _Account, delivery: Delivered, offer: PairingOffer, now_ms: int
) -> Outcome:
    """Give a stranger a code, unless they hold one or too many wait already."""
    assert delivery.act is not None
    if pairings.has_pending(tx, account, delivery.sender_id, now_ms):
        return _refuse(tx, account, delivery, "the sender holds a code", delivery.refused, now_ms)
    if pairings.is_full(tx, account, offer, now_ms):
        return _refuse(tx, account, delivery, "too many wait to be let in", offer.full, now_ms)
    pairings.ask(tx, account, delivery.act, delivery, offer, now_ms)
    assert offer.told.notice is not None, "a code that nobody is told is of no use"
    _owe(tx, account, delivery, offer.told.notice, now_ms)
    reason, says = "the sender was given a code", offer.told.says
    return _set_aside(tx, account, delivery, "hinted", reason, says)


def _refuse(
    tx: Transaction, account: _Account, delivery: Delivered, reason: str | None, telling: Telling, now_ms: int
) -> Outcome:
    """Say why a message was not taken, but not again and again: two bots would talk for ever."""
    outcome = "refused"
    since = now_ms - delivery.notice_interval_ms
    if (
        telling.notice is not None
        and tx.one(_SQL.hinted_since, **account, sender_id=delivery.sender_id, since=since) is None
    ):
        _owe(tx, account, delivery, telling.notice, now_ms)
        outcome = "hinted"
    return _set_aside(tx, account, delivery, outcome, reason, telling.says)


def _owe(tx: Transaction, account: _Account, delivery: Delivered, notice: Notice, now_ms: int) -> None:
    org_id, channel, name = account["org_id"], account["channel"], account["account"]
    notices.owe(tx, org_id, channel, name, delivery.room, delivery.topic, notice, delivery.sender_id, now_ms)


def _set_aside(
    tx: Transaction,
    account: _Account,
    delivery: Delivered,
    outcome: str,
    reason: str | None,
    says: str | None = None,
) -> Outcome:
    if (outcome, reason, says) != (delivery.outcome, delivery.reason, None):
        tx.run(
            _SQL.refuse_delivery,
            **account,
            delivery_id=delivery.delivery_id,
            outcome=outcome,
            reason=reason,
            says=says,
        )
    return Outcome("refused" if outcome == "hinted" else outcome, says, is_new=True)
