"""Pairing: strangers who asked to be let in, what was decided, and the standing that follows for a person.

What is different for devices is in `device_pairings.py`.

An approved or rejected pairing is the handle of the person: rejecting an approved one takes the access back,
approving a rejected one gives it. Codes are stored as hashes; a pending pairing expires by its time alone.
"""

import hmac

from protocol.device_requests import PairingResult
from protocol.devices import Pairing
from protocol.errors import ErrorKind, Fault, invalid_params
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import PairingState
from storage import audit_log, audit_people, device_pairings, notices
from storage.channel_values import Delivered, PairingKey, PairingOffer, PairingPlace, Standing
from storage.device_values import DeviceGrant
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.pairing_codes import code_hash
from storage.queries import Queries
from storage.values import Act, Notice

_SQL = Queries("pairings")
_LAST_ID = "~"
"""Sorts after every id."""


class Pairings:
    """`storage.ports.PairingStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, org_id: str, state: PairingState | None, limit: int, cursor: str | None, now_ms: int
    ) -> tuple[list[Pairing], str | None]:
        return await self._engine.read(_page, org_id, state, limit, cursor or _LAST_ID, now_ms)

    async def find(self, org_id: str, key: PairingKey, now_ms: int) -> Pairing:
        return await self._engine.read(_named, org_id, key, now_ms)

    async def place(self, org_id: str, key: PairingKey, now_ms: int) -> PairingPlace | None:
        return await self._engine.read(_place, org_id, key, now_ms)

    async def approve(
        self, act: Act, key: PairingKey, told: Notice | None, grant: DeviceGrant | None = None
    ) -> RawJson:
        return await self._engine.write(_approve, act, key, told, grant or DeviceGrant())

    async def reject(self, act: Act, key: PairingKey) -> RawJson:
        return await self._engine.write(_reject, act, key)


# --- strangers: called by the inbox, in its transaction ---------------------------------------------


def standing(tx: Reader, account: dict[str, str], sender_id: str | None) -> Standing:
    """What an operator decided about a person."""
    found: Standing | None = tx.value(_SQL.standing, **account, sender_id=sender_id)
    return found or "unknown"


def has_pending(tx: Transaction, account: dict[str, str], sender_id: str | None, now_ms: int) -> bool:
    """Whether the person holds a code that is still valid; what has run out is marked as such."""
    tx.run(_SQL.expire, org_id=account["org_id"], now=now_ms)
    return any(row["sender_id"] == sender_id for row in _pending_of(tx, account, now_ms))


def is_full(tx: Reader, account: dict[str, str], offer: PairingOffer, now_ms: int) -> bool:
    """Whether as many wait for a decision as may."""
    return len(_pending_of(tx, account, now_ms)) >= offer.pending_max


def ask(
    tx: Transaction, account: dict[str, str], act: Act, delivery: Delivered, offer: PairingOffer, now_ms: int
) -> None:
    """A stranger asks to be let in: the pairing and its audit entry."""
    tx.run(_SQL.forget_expired, **account, sender_id=delivery.sender_id)
    tx.run(
        _SQL.insert,
        **account,
        id=offer.id,
        sender_id=delivery.sender_id,
        room=delivery.room,
        topic=delivery.topic,
        name=offer.name,
        code_hash=code_hash(offer.id, offer.code),
        now=now_ms,
        expires_at=offer.expires_at_ms,
    )
    person = audit_people.opaque(tx, act.org_id, act.actor, now_ms)
    subject = _subject(offer.id, account["channel"], account["account"], person)
    audit_log.append(tx, act, "pairing.request", subject)


def _pending_of(tx: Reader, account: dict[str, str], now_ms: int) -> list[Row]:
    rows = tx.all(_SQL.pending, org_id=account["org_id"], now=now_ms)
    place = (account["channel"], account["account"])
    return [row for row in rows if (row["channel"], row["account"]) == place]


# --- decisions -------------------------------------------------------------------------------------


def _approve(tx: Transaction, act: Act, key: PairingKey, told: Notice | None, grant: DeviceGrant) -> RawJson:
    def effect() -> PairingResult:
        row = _find(tx, act.org_id, key, act.at_ms)
        state = _state(row, act.at_ms)
        if state is PairingState.EXPIRED:
            raise Fault(
                ErrorKind.EXPIRED, "The code has run out", hint="Ask them to write again: they get a new one"
            )
        if row["kind"] == "person" and grant != DeviceGrant():
            raise invalid_params([{"path": "scopes", "message": "Scopes and a name are given to devices"}])
        if state is not PairingState.APPROVED:
            _let_in(tx, act, row, told, grant)
        return PairingResult(pairing=_pairing(tx, _again(tx, row), act.at_ms))

    return once(tx, act, effect)


def settle(
    tx: Transaction,
    act: Act,
    key: PairingKey,
    wanted: PairingState,
    told: Notice | None,
    grant: DeviceGrant = DeviceGrant(),  # noqa: B008 - a frozen value
) -> None:
    """Do what people decided about a pairing by an approval; one that ran out, or is that already, stays so."""
    row = _find(tx, act.org_id, key, act.at_ms)
    if _state(row, act.at_ms) in (PairingState.EXPIRED, wanted):
        return
    if wanted is PairingState.APPROVED:
        _let_in(tx, act, row, told, grant)
    else:
        _shut_out(tx, act, row)


def _let_in(tx: Transaction, act: Act, row: Row, told: Notice | None, grant: DeviceGrant) -> None:
    if row["kind"] == "device":
        device_pairings.approve(tx, act, row, grant)
        return
    _decide(tx, act, row, PairingState.APPROVED, "allowed")
    if told is not None and row["room"] is not None:
        notices.owe(
            tx,
            act.org_id,
            row["channel"],
            row["account"],
            row["room"],
            row["topic"],
            told,
            row["sender_id"],
            act.at_ms,
        )


def _reject(tx: Transaction, act: Act, key: PairingKey) -> RawJson:
    def effect() -> PairingResult:
        row = _find(tx, act.org_id, key, act.at_ms)
        if row["state"] != PairingState.REJECTED:
            _shut_out(tx, act, row)
        return PairingResult(pairing=_pairing(tx, _again(tx, row), act.at_ms))

    return once(tx, act, effect)


def _shut_out(tx: Transaction, act: Act, row: Row) -> None:
    if row["kind"] == "device":
        device_pairings.reject(tx, act, row)
    else:
        _decide(tx, act, row, PairingState.REJECTED, "rejected")


def _decide(tx: Transaction, act: Act, row: Row, state: PairingState, standing: Standing) -> None:
    tx.run(_SQL.decide, id=row["id"], state=state.value, now=act.at_ms)
    tx.run(
        _SQL.decide_person,
        org_id=row["org_id"],
        channel=row["channel"],
        account=row["account"],
        sender_id=row["sender_id"],
        name=row["name"],
        state=standing,
        decided_by=act.actor.id,
        now=act.at_ms,
    )
    actor_id = f"{row['channel']}:{row['sender_id']}"
    person = audit_people.of_person(tx, row["org_id"], actor_id, row["name"], act.at_ms)
    action = "pairing.approve" if state is PairingState.APPROVED else "pairing.reject"
    subject = _subject(row["id"], row["channel"], row["account"], person)
    audit_log.append(tx, act, action, subject, detail={"was": row["state"]})


# --- reading ---------------------------------------------------------------------------------------


def _page(
    tx: Reader, org_id: str, state: PairingState | None, limit: int, before: str, now_ms: int
) -> tuple[list[Pairing], str | None]:
    rows = tx.all(_SQL.page, org_id=org_id, state=state, limit=limit + 1, before=before, now=now_ms)
    return [_pairing(tx, row, now_ms) for row in rows[:limit]], rows[limit - 1]["id"] if len(
        rows
    ) > limit else None


def _named(tx: Reader, org_id: str, key: PairingKey, now_ms: int) -> Pairing:
    return _pairing(tx, _find(tx, org_id, key, now_ms), now_ms)


def _place(tx: Reader, org_id: str, key: PairingKey, now_ms: int) -> PairingPlace | None:
    row = _lookup(tx, org_id, key, now_ms)
    if row is None or row["room"] is None:
        return None
    return PairingPlace(row["channel"], row["account"], row["room"], row["topic"])


def _find(tx: Reader, org_id: str, key: PairingKey, now_ms: int) -> Row:
    row = _lookup(tx, org_id, key, now_ms)
    if row is None:
        what = "pending pairing with this code" if key.id is None else "such pairing"
        raise Fault(ErrorKind.NOT_FOUND, f"There is no {what}", hint="pairing.list shows what there is")
    return row


def _lookup(tx: Reader, org_id: str, key: PairingKey, now_ms: int) -> Row | None:
    if key.id is not None:
        return tx.one(_SQL.find, org_id=org_id, id=key.id)
    assert key.code is not None, "a pairing is named by one of the two"
    for row in tx.all(_SQL.pending, org_id=org_id, now=now_ms):
        if hmac.compare_digest(row["code_hash"], code_hash(row["id"], key.code)):
            return row
    return None


def _again(tx: Reader, row: Row) -> Row:
    found = tx.one(_SQL.find, org_id=row["org_id"], id=row["id"])
    assert found is not None, "it was found in this transaction"
    return found


def _state(row: Row, now_ms: int) -> PairingState:
    state = PairingState(row["state"])
    is_over = state is PairingState.PENDING and row["expires_at"] <= now_ms
    return PairingState.EXPIRED if is_over else state


def _subject(pairing_id: str, channel: str, account: str, person: str) -> dict[str, str]:
    return {"pairing_id": pairing_id, "channel": f"{channel}:{account}", "person": person}


def _pairing(tx: Reader, row: Row, now_ms: int) -> Pairing:
    return Pairing(
        id=row["id"],
        kind=row["kind"],
        channel=row["channel"],
        account=row["account"],
        subject=row["device_id"] if row["kind"] == "device" else row["sender_id"],
        name=row["name"],
        state=_state(row, now_ms),
        created_at=to_instant(row["created_at"]),
        expires_at=to_instant(row["expires_at"]),
        decided_at=to_instant(row["decided_at"]) if row["decided_at"] is not None else None,
        device=device_pairings.request_of(tx, row) if row["kind"] == "device" else None,
    )
