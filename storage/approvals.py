"""Approvals: what people are asked to decide. Asking, reading, and the port.

How it is decided is in `approval_votes.py`, how it ends in `approval_ends.py`, what is due in `approval_times.py`, what
rooms show of it in `approval_cards.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from protocol.approvals import Approval, ApprovalState
from protocol.canonical import canonical
from protocol.errors import Fault
from protocol.events import EventKind
from protocol.frames import RawJson
from storage import (
    approval_cards,
    approval_ends,
    approval_grants,
    approval_people,
    approval_rows,
    approval_times,
    approval_votes,
    run_rows,
)
from storage.approval_ports import CardsOf, Editable
from storage.approval_values import CardEdit, Decide, Judge
from storage.engine import Engine, Reader, Row, Transaction
from storage.queries import Queries
from storage.texts import from_text, to_text
from storage.values import Act, ClaimedRun, NewApproval, OutboxChanged

_SQL = Queries("approvals")
_CHANNELS = Queries("channels")
_LAST_ID: Final = "~"
"""Sorts after every id."""


class Approvals:
    """`storage.approval_ports.ApprovalStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, org_id: str, approval_id: str) -> Approval:
        return await self._engine.read(_get, org_id, approval_id)

    async def editable(self, org_id: str, approval_id: str) -> Editable:
        return await self._engine.read(_editable, org_id, approval_id)

    async def by_code(self, org_id: str, code: str) -> list[Approval]:
        return await self._engine.read(_by_code, org_id, code)

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
        return await self._engine.read(
            _page, org_id, state, thread_id, limit, cursor or _LAST_ID, granted, now_ms
        )

    async def page_of_voter(
        self, act: Act, role: str, judge: Judge, limit: int, cursor: str | None
    ) -> tuple[list[Approval], str | None]:
        return await self._engine.read(_page_of_voter, act, role, judge, limit, cursor or _LAST_ID)

    async def ask(self, act: Act, new: NewApproval) -> Approval:
        return await self._engine.write(_ask, act, new)

    async def decide(self, act: Act, decide: Decide) -> RawJson:
        answer = await self._engine.write(approval_votes.decide, act, decide)
        if isinstance(answer, Fault):
            raise answer
        return answer

    async def consume(self, run: ClaimedRun, approval_id: str, step: str, now_ms: int) -> bool:
        return await self._engine.write(approval_ends.consume, run, approval_id, now_ms, step)

    async def is_released(self, org_id: str, agent_id: str, version: str) -> bool:
        return await self._engine.read(_is_released, org_id, agent_id, version)

    async def next_due_ms(self) -> int | None:
        return await self._engine.read(approval_times.next_due_ms)

    async def expire(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(approval_times.expire, now_ms, limit)

    async def escalate(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(approval_times.escalate, now_ms, limit)

    async def to_remind(self, now_ms: int, limit: int) -> list[CardsOf]:
        return await self._engine.read(approval_times.to_remind, now_ms, limit)

    async def remind(self, org_id: str, approval_id: str, notices: Sequence[CardEdit], now_ms: int) -> None:
        await self._engine.write(approval_times.remind, org_id, approval_id, notices, now_ms)

    async def stale_cards(self, limit: int) -> list[CardsOf]:
        return await self._engine.read(approval_cards.stale, limit)

    async def show(
        self, org_id: str, approval_id: str, revision: int, edits: Sequence[CardEdit], now_ms: int
    ) -> None:
        await self._engine.write(approval_cards.show, org_id, approval_id, revision, edits, now_ms)


# --- asking ----------------------------------------------------------------------------------------


def request(tx: Transaction, act: Act, run: ClaimedRun, row: Row, new: NewApproval) -> None:
    """Ask for one thing of a run: its event, its card in the room and its audit entry. The run is parked by `waits.py`.

    A grant that fits decides it at once.
    """
    before = tx.value(_SQL.last_unfit, run_id=run.id, kind=new.kind.value, name=new.name)
    asked = _insert(
        tx, act, new, row["requested_by"], run_id=run.id, thread_id=run.thread_id, supersedes=before
    )
    if approval_grants.use(tx, act, asked):
        return
    if new.card is not None:
        _post(tx, run, row, new, act.at_ms)
    _post_elsewhere(tx, act, new)


def _ask(tx: Transaction, act: Act, new: NewApproval) -> Approval:
    known = tx.one(_SQL.open_about, org_id=act.org_id, kind=new.kind.value, key=new.key)
    if known is not None:
        return approval_rows.record(tx, known)
    row = _insert(tx, act, new, act.actor.id)
    _post_elsewhere(tx, act, new)
    return approval_rows.record(tx, row)


def _insert(
    tx: Transaction,
    act: Act,
    new: NewApproval,
    requested_by: str,
    *,
    run_id: str | None = None,
    thread_id: str | None = None,
    supersedes: str | None = None,
) -> Row:
    tx.run(
        _SQL.insert,
        id=new.id,
        org_id=act.org_id,
        kind=new.kind.value,
        name=new.name,
        agent_id=new.agent_id,
        run_id=run_id,
        thread_id=thread_id,
        risk=new.risk,
        rule=new.rule,
        subject=canonical(new.subject),
        subject_hash=new.subject_hash,
        argument_schema=to_text(new.schema) if new.schema is not None else None,
        terms=to_text(asdict(new.terms)),
        request=to_text({"title": new.title, "body": new.body, "told": new.told}),
        created_at=act.at_ms,
        expires_at=new.expires_at_ms,
        remind_at=new.remind_at_ms,
        escalate_at=new.escalate_at_ms,
        requested_by=requested_by,
        key=new.key,
        supersedes=supersedes,
        shown=1 if new.card is not None or new.elsewhere else None,
    )
    row = approval_rows.find(tx, act.org_id, new.id)
    detail = {"kind": new.kind.value, "name": new.name, "subject_hash": new.subject_hash}
    if new.policy_version:
        detail |= {"rule": new.rule, "policy": new.policy_version}
    approval_rows.tell(tx, act, row, EventKind.APPROVAL_REQUESTED, "approval.request", detail)
    return row


def _post(tx: Transaction, run: ClaimedRun, row: Row, new: NewApproval, now_ms: int) -> None:
    assert new.card is not None and run.origin.channel is not None
    tx.run(
        _CHANNELS.insert_outbound,
        id=new.card.id,
        org_id=run.org_id,
        channel=run.origin.channel,
        account=run.origin.account,
        room=run.origin.room,
        topic=run.origin.topic,
        thread_id=run.thread_id,
        run_id=run.id,
        part=new.card.part,
        phase="idle",
        content=new.card.content,
        attempt=0,
        recipient=run_rows.recipient_of(row, run.origin.channel),
        approval_id=new.id,
        sending_since=None,
        now=now_ms,
    )
    assert run.origin.account is not None and run.origin.room is not None
    tx.emit(OutboxChanged(run.origin.channel, run.origin.account, run.origin.room))


def _post_elsewhere(tx: Transaction, act: Act, new: NewApproval) -> None:
    """Cards in rooms of their own. They belong to no thread: who replies to one does not write in the run's."""
    for card in new.elsewhere:
        tx.run(
            _CHANNELS.insert_outbound,
            id=card.delivery_id,
            org_id=act.org_id,
            channel=card.channel,
            account=card.account,
            room=card.room,
            topic=None,
            thread_id=None,
            run_id=None,
            part=1,
            phase="idle",
            content=card.content,
            attempt=0,
            recipient=None,
            approval_id=new.id,
            sending_since=None,
            now=act.at_ms,
        )
        tx.emit(OutboxChanged(card.channel, card.account, card.room))


# --- reading ---------------------------------------------------------------------------------------


def _get(tx: Reader, org_id: str, approval_id: str) -> Approval:
    return approval_rows.record(tx, approval_rows.find(tx, org_id, approval_id))


def _editable(tx: Reader, org_id: str, approval_id: str) -> Editable:
    row = approval_rows.find(tx, org_id, approval_id)
    schema = row["argument_schema"]
    edited = row["edited"]
    return Editable(
        approval_rows.record(tx, row),
        json.loads(row["subject"]) if edited is None else from_text(edited)["subject"],
        approval_rows.hash_of(row),
        from_text(schema) if schema is not None else None,
    )


def _by_code(tx: Reader, org_id: str, code: str) -> list[Approval]:
    if not code:
        return []
    known = tx.one(_SQL.find, org_id=org_id, id=code)
    rows = [known] if known is not None else tx.all(_SQL.by_hash, org_id=org_id, prefix=code)
    return [approval_rows.record(tx, row) for row in rows]


def _page(
    tx: Reader,
    org_id: str,
    state: ApprovalState | None,
    thread_id: str | None,
    limit: int,
    before: str,
    granted: bool = False,
    now_ms: int = 0,
) -> tuple[list[Approval], str | None]:
    rows = _rows(tx, org_id, state, thread_id, limit + 1, before, granted, now_ms)
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return [approval_rows.record(tx, row) for row in rows[:limit]], more


def _page_of_voter(
    tx: Reader, act: Act, role: str, judge: Judge, limit: int, before: str
) -> tuple[list[Approval], str | None]:
    voter = approval_people.voter(tx, act, role)
    rows = _rows(tx, act.org_id, ApprovalState.PENDING, None, limit + 1, before, False, act.at_ms)
    mine = []
    for row in rows[:limit]:
        may = judge(approval_people.ballot(tx, row, voter, None, act.at_ms)) is None
        said = {vote["principal_id"] for vote in approval_rows.votes(tx, row["id"])}
        if may and row["expires_at"] > act.at_ms and voter.principal_id not in said:
            mine.append(approval_rows.record(tx, row))
    return mine, rows[limit - 1]["id"] if len(rows) > limit else None


def _rows(
    tx: Reader,
    org_id: str,
    state: ApprovalState | None,
    thread_id: str | None,
    limit: int,
    before: str,
    granted: bool,
    now_ms: int,
) -> list[Row]:
    return tx.all(
        _SQL.page,
        org_id=org_id,
        state=state,
        thread_id=thread_id,
        limit=limit,
        before=before,
        granted=granted,
        now=now_ms,
    )


def _is_released(tx: Reader, org_id: str, agent_id: str, version: str) -> bool:
    return bool(tx.value(_SQL.is_released, org_id=org_id, agent_id=agent_id, version=version))
