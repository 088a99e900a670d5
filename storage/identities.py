"""Tokens and the principals they speak for. Only hashes of secrets are stored; they are 256 random bits."""

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Role, Token
from protocol.requests import TokenResult
from storage import audit_log
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import forget, once
from storage.queries import Queries
from storage.values import Act, Bearer, NewToken, TokenRevoked

_SQL = Queries("identities")
_LAST_ID = "~"
"""Sorts after every id."""
FORGET_AT_ONCE = 500
"""Answers dropped in one transaction: a few milliseconds of the writer."""


class Identities:
    """`storage.ports.IdentityStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def authenticate(self, secret_hash: str, now_ms: int) -> Bearer:
        return await self._engine.read(_authenticate, secret_hash, now_ms)

    async def create_token(self, act: Act, token: NewToken) -> tuple[Token, bool]:
        answer = await self._engine.write(_create, act, token)
        made = TokenResult.model_validate_json(answer).token
        return made, made.id == token.id

    async def list_tokens(
        self, org_id: str, limit: int, cursor: str | None
    ) -> tuple[list[Token], str | None]:
        return await self._engine.read(_list, org_id, limit, cursor or _LAST_ID)

    async def revoke_token(self, act: Act, token_id: str) -> RawJson:
        return await self._engine.write(_revoke, act, token_id)

    async def forget_answers(self, before_ms: int) -> int:
        return await self._engine.write(forget, before_ms, FORGET_AT_ONCE)


def _authenticate(tx: Reader, secret_hash: str, now_ms: int) -> Bearer:
    row = tx.one(_SQL.token_by_secret, secret_hash=secret_hash)
    if row is None or row["revoked_at"] is not None or row["disabled_at"] is not None:
        raise Fault(
            ErrorKind.UNAUTHORIZED, "The token is not valid", hint="threadgate token create makes one"
        )
    if row["expires_at"] is not None and row["expires_at"] <= now_ms:
        raise Fault(
            ErrorKind.EXPIRED, "The token has expired", hint="threadgate token create makes a new one"
        )
    actor = Actor(id=row["principal_id"], kind=ActorKind(row["principal_kind"]), name=row["principal_name"])
    return Bearer(row["id"], row["org_id"], actor, Role(row["role"]), row["expires_at"], row["agent_id"])


def _create(tx: Transaction, act: Act, new: NewToken) -> RawJson:
    def effect() -> TokenResult:
        name = new.name or new.role.value
        tx.run(
            _SQL.insert_principal,
            id=new.principal_id,
            org_id=act.org_id,
            kind=(ActorKind.AGENT if new.agent_id is not None else ActorKind.USER).value,
            name=name,
            role=new.role.value,
            now=act.at_ms,
        )
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
        )
        detail = {"role": new.role.value}
        if new.agent_id is not None:
            detail["agent_id"] = new.agent_id
        audit_log.append(
            tx,
            act,
            "token.create",
            {"token_id": new.id, "principal_id": new.principal_id},
            detail=detail,
            content={"name": name},
            about=new.principal_id,
        )
        return TokenResult(token=_token(_find(tx, act.org_id, new.id)))

    return once(tx, act, effect)


def _revoke(tx: Transaction, act: Act, token_id: str) -> RawJson:
    def effect() -> TokenResult:
        row = _find(tx, act.org_id, token_id)
        if row["revoked_at"] is None:
            tx.run(_SQL.revoke_token, id=token_id, now=act.at_ms)
            tx.emit(TokenRevoked(token_id))
            audit_log.append(tx, act, "token.revoke", {"token_id": token_id})
        return TokenResult(token=_token(_find(tx, act.org_id, token_id)))

    return once(tx, act, effect)


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
        agent_id=row["agent_id"],
        created_at=to_instant(row["created_at"]),
        expires_at=to_instant(row["expires_at"]) if row["expires_at"] is not None else None,
        revoked_at=to_instant(row["revoked_at"]) if row["revoked_at"] is not None else None,
    )
