"""Pairings of devices: how one asks, what its approver sees, and the device that comes of it.

Everything runs in the transaction of its caller: `devices.py` for what a device asks, `pairings.py` for what somebody
decides.
"""

import re
from typing import Final

from protocol.canonical import canonical
from protocol.device_identity import fingerprint_of
from protocol.devices import CommandOutline, DeviceRequest
from protocol.errors import ErrorKind, Fault, invalid_params
from storage import audit_log
from storage.device_values import AskedPairing, DeviceChanged, DeviceGrant, DeviceOffer
from storage.engine import Reader, Row, Transaction
from storage.pairing_codes import code_hash
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act

_SQL = Queries("devices")
_PAIRINGS = Queries("pairings")
NAME_CHARS: Final = 28
"""Of a name made from a device's own word: a number still fits behind it."""
_FOREIGN: Final = re.compile(r"[^a-z0-9]+")
RETRY_MS: Final = 60_000
"""Hint when too many wait: an operator looks at such a list within minutes."""


def ask(tx: Transaction, act: Act, offer: DeviceOffer) -> AskedPairing:
    """See the port."""
    tx.run(_PAIRINGS.expire, org_id=act.org_id, now=act.at_ms)
    pending = tx.one(_SQL.pairing_pending, device_id=offer.device_id, now=act.at_ms)
    if pending is not None and frozenset(pending["scopes"].split()) == frozenset(offer.scopes):
        tx.run(_SQL.recode, id=pending["id"], code_hash=code_hash(pending["id"], offer.code))
        return AskedPairing(pending["id"], pending["expires_at"])
    if pending is not None:  # it asks for something else now
        tx.run(_SQL.supersede, device_id=offer.device_id)
    _check_room(tx, act, offer)
    tx.run(_SQL.forget_expired, device_id=offer.device_id)
    tx.run(
        _SQL.insert_pairing,
        id=offer.id,
        org_id=act.org_id,
        device_id=offer.device_id,
        public_key=offer.public_key,
        name=offer.name,
        platform=offer.platform,
        address=offer.address,
        commands=canonical(list(offer.commands)),
        scopes=" ".join(offer.scopes),
        code_hash=code_hash(offer.id, offer.code),
        now=act.at_ms,
        expires_at=offer.expires_at_ms,
    )
    detail = {"scopes": list(offer.scopes)}
    audit_log.append(tx, act, "pairing.request", _subject(offer.id, offer.device_id), detail=detail)
    return AskedPairing(offer.id, offer.expires_at_ms)


def approve(tx: Transaction, act: Act, row: Row, grant: DeviceGrant) -> None:
    """The device may connect, or may more than before. Raises Fault invalid_params, invalid_state, conflict."""
    device = tx.one(_SQL.known, id=row["device_id"])
    if device is not None and device["org_id"] != act.org_id:
        raise Fault(ErrorKind.INVALID_STATE, "The device belongs to another organization")
    if device is None:
        scopes = {scope.value for scope in grant.scopes or ()}
        name = _new_name(tx, act.org_id, row["name"], grant.name)
        tx.run(
            _SQL.insert,
            id=row["device_id"],
            org_id=row["org_id"],
            name=name,
            public_key=row["public_key"],
            client=row["name"],
            platform=row["platform"],
            scopes=" ".join(sorted(scopes)),
            commands="[]",
            approved_by=act.actor.id,
            now=act.at_ms,
            last_seen_at=None,
        )
    else:
        scopes, name = _widen(tx, act, device, grant), grant.name or device["name"]
    tx.run(_PAIRINGS.decide, id=row["id"], state="approved", now=act.at_ms)
    audit_log.append(
        tx,
        act,
        "pairing.approve",
        _subject(row["id"], row["device_id"]),
        detail={"was": row["state"], "scopes": sorted(scopes)},
        content={"name": name},
        about=row["device_id"],
    )


def reject(tx: Transaction, act: Act, row: Row) -> None:
    """The device may not connect, or not more than before. Raises Fault invalid_state for what was approved."""
    if row["state"] == "approved":
        raise Fault(
            ErrorKind.INVALID_STATE,
            "The device was approved",
            hint=f"device.revoke shuts it out: {row['device_id']}",
        )
    tx.run(_PAIRINGS.decide, id=row["id"], state="rejected", now=act.at_ms)
    subject = _subject(row["id"], row["device_id"])
    audit_log.append(tx, act, "pairing.reject", subject, detail={"was": row["state"]})


def request_of(tx: Reader, row: Row) -> DeviceRequest:
    """What the approver sees of a device's pairing."""
    device = tx.one(_SQL.known, id=row["device_id"])
    return DeviceRequest(
        device_id=row["device_id"],
        fingerprint=fingerprint_of(row["device_id"]),
        platform=row["platform"],
        address=row["address"],
        commands=[CommandOutline.model_validate(outline) for outline in from_text(row["commands"])],
        scopes=row["scopes"].split(),
        is_widening=device is not None and device["created_at"] < row["created_at"],
    )


def check_free(tx: Reader, org_id: str, name: str) -> None:
    """Raise Fault conflict when an active device is called so."""
    if tx.one(_SQL.named, org_id=org_id, name=name) is not None:
        raise Fault(ErrorKind.CONFLICT, f"Another device is called {name}", hint="Choose another name")


def _widen(tx: Transaction, act: Act, device: Row, grant: DeviceGrant) -> set[str]:
    if device["state"] != "active":
        raise Fault(ErrorKind.INVALID_STATE, "The device was revoked", hint="Pair it again, with another key")
    if grant.scopes is None:
        raise invalid_params(
            [{"path": "scopes", "message": "Name the scopes that the device is to have besides"}]
        )
    had = set(device["scopes"].split())
    scopes = had | {scope.value for scope in grant.scopes}
    if grant.name is not None and grant.name != device["name"]:
        check_free(tx, act.org_id, grant.name)
        tx.run(_SQL.rename, id=device["id"], name=grant.name)
    if scopes != had:
        tx.run(_SQL.grant, id=device["id"], scopes=" ".join(sorted(scopes)))
        tx.emit(DeviceChanged(device["id"], "access"))
    return scopes


def _check_room(tx: Reader, act: Act, offer: DeviceOffer) -> None:
    waiting = [row["address"] for row in tx.all(_SQL.pairings_pending, org_id=act.org_id, now=act.at_ms)]
    if len(waiting) >= offer.pending_max or waiting.count(offer.address) >= offer.address_max:
        raise Fault(
            ErrorKind.RATE_LIMITED,
            "Too many devices wait to be let in",
            hint="Approve or reject those that wait: threadgate pairing",
            retry_after_ms=RETRY_MS,
        )


def _new_name(tx: Reader, org_id: str, declared: str, given: str | None) -> str:
    """The name that was chosen, or one made from the device's own word that is not taken."""
    if given is not None:
        check_free(tx, org_id, given)
        return given
    base = _FOREIGN.sub("-", declared.lower()).strip("-")[:NAME_CHARS].strip("-") or "device"
    name, number = base, 1
    while tx.one(_SQL.named, org_id=org_id, name=name) is not None:
        number += 1
        name = f"{base}-{number}"
    return name


def _subject(pairing_id: str, device_id: str) -> dict[str, str]:
    return {"pairing_id": pairing_id, "device_id": device_id}
