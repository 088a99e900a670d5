"""The inbox of channels: what a network delivered becomes durable together with what follows from it.

One batch is one transaction, with the account's cursor in it; only then may the adapter acknowledge. A
delivery seen before finds its row and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from storage import approvals, audit_log, messages
from storage.engine import Engine, Reader, Transaction
from storage.queries import Queries
from storage.values import Act, Delivered, Gap, Notice, OutboxChanged, Outcome

_SQL = Queries("channels")
_THREADS = Queries("threads")
_RUNS = Queries("runs")


class Inbox:
    """`storage.ports.InboxStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def cursors(self, org_id: str, channel: str, account: str) -> dict[str, tuple[str, int]]:
        return await self._engine.read(_cursors, org_id, channel, account)

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
    if delivery.message is not None and delivery.act is not None:
        return _accept(tx, account, delivery, now_ms)
    if delivery.decide is not None and delivery.act is not None:
        says = approvals.press(tx, delivery.act, delivery.decide)
        tx.run(_SQL.answer_delivery, **account, delivery_id=delivery.delivery_id, says=says)
        return Outcome(delivery.outcome, says, is_new=True)
    if delivery.hint is not None:
        _tell_once(tx, account, delivery, delivery.hint, now_ms)
    return Outcome(delivery.outcome, None, is_new=True)


def _accept(tx: Transaction, account: _Account, delivery: Delivered, now_ms: int) -> Outcome:
    assert delivery.message is not None and delivery.act is not None
    thread_id = _known_thread(tx, account, delivery)
    if (
        thread_id is not None
        and tx.value(_RUNS.count_unfinished, thread_id=thread_id) >= delivery.message.queue_max
    ):
        tx.run(
            _SQL.refuse_delivery,
            **account,
            delivery_id=delivery.delivery_id,
            outcome="refused",
            reason="the conversation is busy",
        )
        if delivery.busy is not None:
            _tell_once(tx, account, delivery, delivery.busy, now_ms)
        return Outcome("refused", None, is_new=True)
    answer = orjson.loads(
        bytes(messages.accept(tx, delivery.act, replace(delivery.message, thread_id=thread_id)))
    )
    if delivery.thread_key is not None:
        tx.run(_THREADS.link, **account, thread_key=delivery.thread_key, thread_id=answer["thread_id"])
    if delivery.ref is not None:
        tx.run(
            _THREADS.remember_platform_message,
            **account,
            room=delivery.room,
            ref=delivery.ref,
            thread_id=answer["thread_id"],
            message_id=answer["message_id"],
        )
    tx.run(
        _SQL.settle_delivery,
        **account,
        delivery_id=delivery.delivery_id,
        outcome="accepted",
        thread_id=answer["thread_id"],
        message_id=answer["message_id"],
    )
    return Outcome("accepted", None, is_new=True)


def _known_thread(tx: Reader, account: _Account, delivery: Delivered) -> str | None:
    """By its key, else by the message it answers: a thread that people open below an answer of ours."""
    thread_id: str | None = None
    if delivery.thread_key is not None:
        thread_id = tx.value(_THREADS.linked_thread, **account, thread_key=delivery.thread_key)
    if thread_id is None and delivery.reply_to is not None:
        thread_id = tx.value(
            _THREADS.thread_of_platform_message, **account, room=delivery.room, ref=delivery.reply_to
        )
    return thread_id


def _tell_once(tx: Transaction, account: _Account, delivery: Delivered, notice: Notice, now_ms: int) -> None:
    """Say why a message was not taken, but not again and again: two bots would talk for ever."""
    since = now_ms - delivery.hint_interval_ms
    if tx.one(_SQL.hinted_since, **account, sender_id=delivery.sender_id, since=since) is not None:
        return
    tx.run(
        _SQL.settle_delivery,
        **account,
        delivery_id=delivery.delivery_id,
        outcome="hinted",
        thread_id=None,
        message_id=None,
    )
    tx.run(
        _SQL.insert_outbound,
        **account,
        id=notice.delivery_id,
        room=delivery.room,
        topic=delivery.topic,
        thread_id=None,
        run_id=None,
        part=1,
        phase="idle",
        content=notice.content,
        attempt=0,
        recipient=delivery.sender_id,
        approval_id=None,
        sending_since=None,
        now=now_ms,
    )
    tx.emit(OutboxChanged(account["channel"], account["account"], delivery.room))
