"""Tokens of principals. Only hashes of secrets are stored; they are 256 random bits. Principals are in `users.py`."""

from collections.abc import Mapping
from typing import Any

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Role, Token
from protocol.requests import TokenResult
from storage import audit_log, users
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import forget, once
from storage.identity_values import CredentialRefused, NewUser, TokenShortened
from storage.queries import Queries
from storage.values import Act, Bearer, NewToken, TokenRevoked

_SQL = Queries("identities")
_LAST_ID = "~"
"""Sorts after every id."""
FORGET_AT_ONCE = 500
"""Answers dropped in one transaction: a few milliseconds of the writer."""


class Identities:
    """`storage.identity_ports.IdentityStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def authenticate(self, secret_hash: str, now_ms: int) -> Bearer:
        return await self._engine.read(_authenticate, secret_hash, now_ms)

    async def create_token(self, act: Act, token: NewToken) -> tuple[Token, bool]:
        answer = await self._engine.write(_create, act, token)
        made = TokenResult.model_validate_json(answer).token
        return made, made.id == token.id

    async def find_token(self, org_id: str, token_id: str) -> Token:
        return await self._engine.read(lambda tx: _token(_find(tx, org_id, token_id)))

    async def list_tokens(
        self, org_id: str, limit: int, cursor: str | None
    ) -> tuple[list[Token], str | None]:
        return await self._engine.read(_list, org_id, limit, cursor or _LAST_ID)

    async def revoke_token(self, act: Act, token_id: str) -> RawJson:
        return await self._engine.write(_revoke, act, token_id)

    async def note_used(self, used: Mapping[str, int]) -> None:
        await self._engine.write(_note_used, used)

    async def forget_answers(self, before_ms: int) -> int:
        return await self._engine.write(forget, before_ms, FORGET_AT_ONCE)


def _authenticate(tx: Reader, secret_hash: str, now_ms: int) -> Bearer:
    row = tx.one(_SQL.token_by_secret, secret_hash=secret_hash)
    if row is None:
        raise _refused(None, "unknown")
    if row["revoked_at"] is not None:
        raise _refused(row, "revoked")
    if row["disabled_at"] is not None:
        raise _refused(row, "disabled")
    if row["expires_at"] is not None and row["expires_at"] <= now_ms:
        raise _refused(row, "expired")
    return Bearer(
        row["id"],
        row["org_id"],
        Actor(id=row["principal_id"], kind=ActorKind(row["principal_kind"]), name=row["principal_name"]),
        Role(row["role"]),
        row["expires_at"],
        row["agent_id"],
        Role(row["principal_role"]),
        tuple(row["networks"].split()),
        row["requests_per_s"],
    )


def _refused(row: Row | None, reason: str) -> CredentialRefused:
    """What is told is the same but for an expired one: its bearer must know to get another."""
    is_expired = reason == "expired"
    return CredentialRefused(
        ErrorKind.EXPIRED if is_expired else ErrorKind.UNAUTHORIZED,
        "The token has expired" if is_expired else "The token is not valid",
        hint="threadgate token create makes a new one" if is_expired else "threadgate token create makes one",
        reason=reason,
        org_id=row["org_id"] if row is not None else None,
        token_id=row["id"] if row is not None else None,
    )


def _create(tx: Transaction, act: Act, new: NewToken) -> RawJson:
    def effect() -> TokenResult:
        name = new.name or new.role.value
        if new.principal_kind is not None:
            users.insert(tx, act, NewUser(new.principal_id, new.principal_kind, name, new.role))
        elif users.find(tx, act.org_id, new.principal_id)["disabled_at"] is not None:
            raise Fault(ErrorKind.INVALID_STATE, "The user is disabled", hint="user.save lets them in again")
        if new.rotates is not None:
            _rotate(tx, act, new.rotates, new.overlap_until_ms)
        tx.run(
            _SQL.insert_token,
            id=new.id,
            org_id=act.org_id,
            principal_id=new.principal_id,
            name=name,
            role=new.role.value,
            secret_hash=new.secret_hash,
            now=act.at_ms,
            expires_at=new.expires_at_ms,
            agent_id=new.agent_id,
            networks=" ".join(new.networks),
            requests_per_s=new.requests_per_s,
            rotated_from=new.rotates,
        )
        audit_log.append(
            tx,
            act,
            "token.create",
            {"token_id": new.id, "principal_id": new.principal_id},
            detail=_detail(new),
            content={"name": name},
            about=new.principal_id,
        )
        return TokenResult(token=_token(_find(tx, act.org_id, new.id)))

    return once(tx, act, effect)


def _detail(new: NewToken) -> dict[str, Any]:
    detail: dict[str, Any] = {"role": new.role.value}
    if new.agent_id is not None:
        detail["agent_id"] = new.agent_id
    if new.rotates is not None:
        detail["rotates"] = new.rotates
    return detail


def _rotate(tx: Transaction, act: Act, token_id: str, until_ms: int) -> None:
    """The old token goes out of use when the overlap is over, or earlier if it would have anyway."""
    row = _find(tx, act.org_id, token_id)
    if row["revoked_at"] is not None or (row["expires_at"] is not None and row["expires_at"] <= act.at_ms):
        raise Fault(
            ErrorKind.INVALID_STATE, "The token is not valid any more", hint="Make a new one without rotates"
        )
    if tx.run(_SQL.shorten_token, org_id=act.org_id, id=token_id, expires_at=until_ms):
        tx.emit(TokenShortened(token_id, until_ms))


def _revoke(tx: Transaction, act: Act, token_id: str) -> RawJson:
    def effect() -> TokenResult:
        row = _find(tx, act.org_id, token_id)
        if row["revoked_at"] is None:
            tx.run(_SQL.revoke_token, org_id=act.org_id, id=token_id, now=act.at_ms)
            tx.emit(TokenRevoked(token_id))
            audit_log.append(tx, act, "token.revoke", {"token_id": token_id})
        return TokenResult(token=_token(_find(tx, act.org_id, token_id)))

    return once(tx, act, effect)


def _note_used(tx: Transaction, used: Mapping[str, int]) -> None:
    for token_id, used_at in used.items():
        tx.run(_SQL.note_used, id=token_id, used_at=used_at)


def _list(tx: Reader, org_id: str, limit: int, before: str) -> tuple[list[Token], str | None]:
    rows = tx.all(_SQL.page_tokens, org_id=org_id, before=before, limit=limit + 1)
    return [_token(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


def _find(tx: Reader, org_id: str, token_id: str) -> Row:
    row = tx.one(_SQL.find_token, org_id=org_id, id=token_id)
    if row is None:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such token", hint="token.list shows what there is")
    return row


def _token(row: Row) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        principal_id=row["principal_id"],
        agent_id=row["agent_id"],
        networks=row["networks"].split(),
        requests_per_s=row["requests_per_s"],
        rotated_from=row["rotated_from"],
        created_at=to_instant(row["created_at"]),
        expires_at=_instant(row["expires_at"]),
        revoked_at=_instant(row["revoked_at"]),
        last_used_at=_instant(row["last_used_at"]),
    )


def _instant(at_ms: int | None) -> str | None:
    return to_instant(at_ms) if at_ms is not None else None
