"""Organizations and their principals: users, service accounts, agents, devices. Their tokens are in `identities.py`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import ActorKind, Role
from protocol.users import User, UserResult
from storage import audit_log, chat_links
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.identity_values import NewUser, PrincipalChanged, UserChange
from storage.queries import Queries
from storage.values import Act

_SQL = Queries("users")
_LAST_ID = "~"
"""Sorts after every id."""


class Users:
    """`storage.identity_ports.UserStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def organizations(self) -> list[str]:
        return await self._engine.read(_organizations)

    async def get(self, org_id: str, user_id: str) -> User:
        return await self._engine.read(_get, org_id, user_id)

    async def page(
        self, org_id: str, kind: str | None, limit: int, cursor: str | None
    ) -> tuple[list[User], str | None]:
        return await self._engine.read(_page, org_id, kind, limit, cursor or _LAST_ID)

    async def create(self, act: Act, user: NewUser) -> RawJson:
        return await self._engine.write(_create, act, user)

    async def save(self, act: Act, change: UserChange) -> RawJson:
        return await self._engine.write(_save, act, change)


# --- for other repositories, in their transactions ---------------------------------------------------


def insert(tx: Transaction, act: Act, user: NewUser) -> None:
    """Make a principal; the entry is the caller's."""
    tx.run(
        _SQL.insert,
        id=user.id,
        org_id=act.org_id,
        kind=user.kind.value,
        name=user.name,
        role=user.role.value,
        now=act.at_ms,
    )


def find(tx: Reader, org_id: str, user_id: str) -> Row:
    """The row of a principal. Raises Fault not_found."""
    row = tx.one(_SQL.find, org_id=org_id, id=user_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such user", hint="user.list shows who there is")
    return row


def ensure_organizations(tx: Transaction, named: Mapping[str, str], now_ms: int) -> None:
    """Make the organizations that are not there yet, by id, and name all as they are named now."""
    for org_id, name in named.items():
        tx.run(_SQL.ensure_organization, id=org_id, name=name, now=now_ms)


# --- reading and changing ----------------------------------------------------------------------------


def _organizations(tx: Reader) -> list[str]:
    return [row["id"] for row in tx.all(_SQL.organizations)]


def _get(tx: Reader, org_id: str, user_id: str) -> User:
    return _user(tx, find(tx, org_id, user_id))


def _page(
    tx: Reader, org_id: str, kind: str | None, limit: int, before: str
) -> tuple[list[User], str | None]:
    rows = tx.all(_SQL.page, org_id=org_id, kind=kind, before=before, limit=limit + 1)
    return [_user(tx, row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


def _create(tx: Transaction, act: Act, user: NewUser) -> RawJson:
    def effect() -> UserResult:
        insert(tx, act, user)
        audit_log.append(
            tx,
            act,
            "user.create",
            {"user_id": user.id},
            detail={"kind": user.kind.value, "role": user.role.value},
            content={"name": user.name},
            about=user.id,
        )
        return UserResult(user=_get(tx, act.org_id, user.id))

    return once(tx, act, effect)


def _save(tx: Transaction, act: Act, change: UserChange) -> RawJson:
    def effect() -> UserResult:
        row = find(tx, act.org_id, change.user_id)
        if row["role"] != change.had_role:
            raise Fault(ErrorKind.CONFLICT, "The user was changed at the same time", hint="Try again")
        changed = _changes(row, change)
        if changed:
            _apply(tx, act, row, replace(change, unlink=None), changed)
        if change.unlink is not None:
            chat_links.unlink(tx, act, change.user_id, change.unlink)
        return UserResult(user=_get(tx, act.org_id, change.user_id))

    return once(tx, act, effect)


def _changes(row: Row, change: UserChange) -> dict[str, Any]:
    """What becomes another, for the audit log; what somebody is called is content there."""
    found: dict[str, Any] = {}
    if change.name is not None and change.name != row["name"]:
        found["renamed"] = True
    if change.role is not None and change.role != row["role"]:
        found["role"] = {"was": row["role"], "is": change.role.value}
    if change.is_disabled is not None and change.is_disabled != (row["disabled_at"] is not None):
        found["disabled"] = change.is_disabled
    return found


def _apply(tx: Transaction, act: Act, row: Row, change: UserChange, changed: dict[str, Any]) -> None:
    disabled_at = row["disabled_at"]
    if "disabled" in changed:
        disabled_at = act.at_ms if change.is_disabled else None
    tx.run(
        _SQL.change,
        org_id=act.org_id,
        id=row["id"],
        name=change.name if change.name is not None else row["name"],
        role=change.role.value if change.role is not None else row["role"],
        disabled_at=disabled_at,
        now=act.at_ms,
    )
    if "role" in changed or "disabled" in changed:
        tx.emit(PrincipalChanged(row["id"], is_disabled=disabled_at is not None))
    content = {"name": change.name} if "renamed" in changed else None
    subject = {"user_id": row["id"]}
    audit_log.append(tx, act, "user.update", subject, detail=changed, content=content, about=row["id"])


def _user(tx: Reader, row: Row) -> User:
    return User(
        id=row["id"],
        kind=ActorKind(row["kind"]),
        name=row["name"],
        role=Role(row["role"]),
        created_at=to_instant(row["created_at"]),
        disabled_at=to_instant(row["disabled_at"]) if row["disabled_at"] is not None else None,
        links=chat_links.of_user(tx, row["org_id"], row["id"]),
    )
