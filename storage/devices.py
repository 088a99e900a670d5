"""Devices: paired keys, their names, scopes and commands. How they ask to be paired is in `device_pairings.py`."""

from collections.abc import Sequence

from protocol.canonical import canonical
from protocol.device_identity import fingerprint_of
from protocol.device_requests import DeviceResult
from protocol.devices import Device, DeviceCommand
from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.scopes import Scope
from storage import audit_log, device_pairings
from storage.device_values import AskedPairing, DeviceChanged, DeviceOffer, KnownDevice, Standing
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act

_SQL = Queries("devices")
_LAST_NUMBER = 2**62
"""Comes after every number."""
ACTIVE_MAX = 500
"""Devices that are looked at together."""


class Devices:
    """`storage.device_ports.DeviceStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def standing(self, device_id: str, rejected_since_ms: int, now_ms: int) -> Standing:
        return await self._engine.read(_standing, device_id, rejected_since_ms, now_ms)

    async def ask(self, act: Act, offer: DeviceOffer) -> AskedPairing:
        return await self._engine.write(device_pairings.ask, act, offer)

    async def active(self, org_id: str) -> list[KnownDevice]:
        return await self._engine.read(_active, org_id)

    async def known(self, org_id: str, device_id: str) -> KnownDevice:
        return await self._engine.read(_known, org_id, device_id)

    async def get(self, org_id: str, device_id: str) -> Device:
        return await self._engine.read(_get, org_id, device_id)

    async def page(
        self, org_id: str, state: str | None, limit: int, cursor: str | None
    ) -> tuple[list[Device], str | None]:
        return await self._engine.read(_page, org_id, state, limit, cursor)

    async def revoke(self, act: Act, device_id: str) -> RawJson:
        return await self._engine.write(_revoke, act, device_id)

    async def rename(self, act: Act, device_id: str, name: str) -> RawJson:
        return await self._engine.write(_rename, act, device_id, name)

    async def declare(
        self, act: Act, device_id: str, commands: Sequence[DeviceCommand], client: str, platform: str
    ) -> None:
        await self._engine.write(_declare, act, device_id, commands, client, platform)

    async def rotate(self, act: Act, device_id: str, successor_id: str, public_key: str) -> KnownDevice:
        return await self._engine.write(_rotate, act, device_id, successor_id, public_key)

    async def seen(self, device_id: str, now_ms: int) -> None:
        await self._engine.write(_seen, device_id, now_ms)


# --- reading ---------------------------------------------------------------------------------------


def _standing(tx: Reader, device_id: str, rejected_since_ms: int, now_ms: int) -> Standing:
    row = tx.one(_SQL.known, id=device_id)
    pending = tx.one(_SQL.pairing_pending, device_id=device_id, now=now_ms)
    waiting = pending["id"] if pending is not None else None
    asked = frozenset(pending["scopes"].split()) if pending is not None else frozenset[str]()
    rejected_at = tx.value(_SQL.pairing_rejected, device_id=device_id, since=rejected_since_ms)
    if row is None:
        is_rejected = rejected_at is not None and waiting is None
        return Standing("rejected" if is_rejected else "unknown", None, rejected_at, waiting, asked)
    device = _device_of(row) if row["state"] == "active" else None
    return Standing(row["state"], device, rejected_at, waiting, asked)


def _active(tx: Reader, org_id: str) -> list[KnownDevice]:
    rows = tx.all(_SQL.page, org_id=org_id, state="active", before=_LAST_NUMBER, limit=ACTIVE_MAX)
    return [_device_of(row) for row in rows]


def _known(tx: Reader, org_id: str, device_id: str) -> KnownDevice:
    return _device_of(_usable(tx, org_id, device_id))


def _get(tx: Reader, org_id: str, device_id: str) -> Device:
    return _shown(_find(tx, org_id, device_id))


def _page(
    tx: Reader, org_id: str, state: str | None, limit: int, cursor: str | None
) -> tuple[list[Device], str | None]:
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
        raise Fault(ErrorKind.CONFLICT, "The cursor is not one of ours", hint="Use next_cursor as it came")
    before = int(cursor) if cursor is not None else _LAST_NUMBER
    rows = tx.all(_SQL.page, org_id=org_id, state=state, before=min(before, _LAST_NUMBER), limit=limit + 1)
    cursor = str(rows[limit - 1]["number"]) if len(rows) > limit else None
    return [_shown(row) for row in rows[:limit]], cursor


# --- changing --------------------------------------------------------------------------------------


def _revoke(tx: Transaction, act: Act, device_id: str) -> RawJson:
    def effect() -> DeviceResult:
        row = _find(tx, act.org_id, device_id)
        if row["state"] != "revoked":
            tx.run(_SQL.revoke, id=device_id, now=act.at_ms)
            tx.run(_SQL.supersede, device_id=device_id)
            tx.emit(DeviceChanged(device_id, "revoked"))
            audit_log.append(tx, act, "device.revoke", _subject(device_id), detail={"was": row["state"]})
        return DeviceResult(device=_get(tx, act.org_id, device_id))

    return once(tx, act, effect)


def _rename(tx: Transaction, act: Act, device_id: str, name: str) -> RawJson:
    def effect() -> DeviceResult:
        row = _usable(tx, act.org_id, device_id)
        if row["name"] != name:
            device_pairings.check_free(tx, act.org_id, name)
            tx.run(_SQL.rename, id=device_id, name=name)
            names = {"was": row["name"], "name": name}
            audit_log.append(tx, act, "device.rename", _subject(device_id), content=names, about=device_id)
        return DeviceResult(device=_get(tx, act.org_id, device_id))

    return once(tx, act, effect)


def _declare(
    tx: Transaction,
    act: Act,
    device_id: str,
    commands: Sequence[DeviceCommand],
    client: str,
    platform: str,
) -> None:
    text = canonical([command.model_dump(mode="json") for command in commands])
    tx.run(_SQL.declare, id=device_id, commands=text, client=client, platform=platform)
    detail = {"commands": {command.name: command.risk for command in commands}}
    audit_log.append(tx, act, "device.declare", _subject(device_id), detail=detail)


def _rotate(tx: Transaction, act: Act, device_id: str, successor_id: str, public_key: str) -> KnownDevice:
    row = _usable(tx, act.org_id, device_id)
    if tx.one(_SQL.known, id=successor_id) is not None:
        raise Fault(ErrorKind.CONFLICT, "The new key is that of another device", hint="Make another key")
    tx.run(_SQL.replace, id=device_id, successor=successor_id, now=act.at_ms)
    tx.run(
        _SQL.insert,
        id=successor_id,
        org_id=act.org_id,
        name=row["name"],
        public_key=public_key,
        client=row["client"],
        platform=row["platform"],
        scopes=row["scopes"],
        commands=row["commands"],
        approved_by=row["approved_by"],
        now=act.at_ms,
        last_seen_at=act.at_ms,
    )
    tx.emit(DeviceChanged(device_id, "replaced"))
    subject = {"device_id": successor_id}
    audit_log.append(tx, act, "device.rotate", subject, detail={"was": device_id})
    return _known(tx, act.org_id, successor_id)


def _seen(tx: Transaction, device_id: str, now_ms: int) -> None:
    tx.run(_SQL.seen, id=device_id, now=now_ms)


# --- rows ------------------------------------------------------------------------------------------


def _find(tx: Reader, org_id: str, device_id: str) -> Row:
    row = tx.one(_SQL.find, org_id=org_id, id=device_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such device", hint="device.list shows what there is")
    return row


def _usable(tx: Reader, org_id: str, device_id: str) -> Row:
    row = _find(tx, org_id, device_id)
    if row["state"] == "replaced":
        raise Fault(
            ErrorKind.INVALID_STATE,
            "The device has another key now",
            hint=f"It is {row['replaced_by']}",
            replaced_by=row["replaced_by"],
        )
    if row["state"] != "active":
        raise Fault(ErrorKind.INVALID_STATE, "The device was revoked", hint="Pair it again, with another key")
    return row


def _subject(device_id: str) -> dict[str, str]:
    return {"device_id": device_id}


def _commands(row: Row) -> list[DeviceCommand]:
    return [DeviceCommand.model_validate(command) for command in from_text(row["commands"])]


def _device_of(row: Row) -> KnownDevice:
    known = {scope.value for scope in Scope}
    return KnownDevice(
        id=row["id"],
        org_id=row["org_id"],
        name=row["name"],
        client=row["client"],
        platform=row["platform"],
        scopes=frozenset(Scope(scope) for scope in row["scopes"].split() if scope in known),
        commands=tuple(_commands(row)),
    )


def _shown(row: Row) -> Device:
    return Device(
        id=row["id"],
        name=row["name"],
        state=row["state"],
        fingerprint=fingerprint_of(row["id"]),
        client=row["client"],
        platform=row["platform"],
        scopes=row["scopes"].split(),
        commands=_commands(row),
        connected=False,
        created_at=to_instant(row["created_at"]),
        last_seen_at=to_instant(row["last_seen_at"]) if row["last_seen_at"] is not None else None,
        revoked_at=to_instant(row["revoked_at"]) if row["revoked_at"] is not None else None,
        replaced_by=row["replaced_by"],
    )
