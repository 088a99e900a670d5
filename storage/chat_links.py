"""Chat links: somebody of a chat network is a user, said from both sides by codes that are stored as hashes.

The user is shown a code and types it in a direct message; the chat is shown another one, and the user gives that
back. Who holds only one of the two sides, or sees only one of the two codes, links nothing.
"""

import hashlib
import hmac
from typing import Final

from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.records import Actor, ActorKind, Role
from protocol.users import ChatLink, UserLinkResult
from storage import audit_log, audit_people
from storage.engine import Engine, Reader, Row, Transaction
from storage.idempotency import once
from storage.identity_values import NewLinkCode, WrongLinkCode
from storage.queries import Queries
from storage.values import Act

_SQL = Queries("chat_links")
_USERS = Queries("users")
ATTEMPTS_MAX: Final = 5
"""Wrong codes of the chat that a user may give before what they began is over: of 39 bits, nobody guesses one."""


class ChatLinks:
    """`storage.identity_ports.LinkStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def principal_of(
        self, org_id: str, channel: str, account: str, sender_id: str
    ) -> tuple[Actor, Role] | None:
        return await self._engine.read(principal_of, org_id, channel, account, sender_id)

    async def begin(self, act: Act, code: NewLinkCode) -> tuple[UserLinkResult, bool]:
        return await self._engine.write(_begin, act, code)

    async def finish(self, act: Act, code: str) -> ChatLink | WrongLinkCode:
        return await self._engine.write(_finish, act, code)

    async def forget_codes(self, now_ms: int) -> int:
        return await self._engine.write(lambda tx: tx.run(_SQL.forget_codes, now=now_ms))


# --- for other repositories, in their transactions ---------------------------------------------------


def principal_of(
    tx: Reader, org_id: str, channel: str, account: str, sender_id: str
) -> tuple[Actor, Role] | None:
    """The user that somebody of a chat network is, and their role."""
    row = tx.one(_SQL.principal, org_id=org_id, channel=channel, account=account, sender_id=sender_id)
    if row is None:
        return None
    return Actor(id=row["id"], kind=ActorKind(row["kind"]), name=row["name"]), Role(row["role"])


def of_user(tx: Reader, org_id: str, user_id: str) -> list[ChatLink]:
    """The chat identities of a user, the oldest first."""
    return [_link(row) for row in tx.all(_SQL.of_user, org_id=org_id, user_id=user_id)]


def unlink(tx: Transaction, act: Act, user_id: str, identity: tuple[str, str, str]) -> None:
    """Take a chat identity from a user. Raises Fault not_found."""
    channel, account, sender_id = identity
    place = {"org_id": act.org_id, "channel": channel, "account": account, "sender_id": sender_id}
    if not tx.run(_SQL.remove, **place, user_id=user_id):
        raise Fault(
            ErrorKind.NOT_FOUND, "No such chat identity is linked to them", hint="user.list shows which are"
        )
    audit_log.append(tx, act, "user.unlink", _subject(tx, act, user_id, channel, account, sender_id))


def answer(
    tx: Transaction, act: Act, channel: str, account: str, sender_id: str, name: str, code: str, reply: str
) -> bool:
    """Somebody typed a code in a chat: whether it is one, so that they are shown `reply`. It is used up by that."""
    row = _matching(tx.all(_SQL.open_codes, org_id=act.org_id, now=act.at_ms), "code_hash", code)
    is_taken = row is not None and row["reply_hash"] is not None
    subject = {"channel": f"{channel}:{account}"}  # who, says the actor
    if row is None or is_taken:
        audit_log.append(tx, act, "link.answer", subject, outcome="failure", reason="unknown_code")
        return False
    tx.run(
        _SQL.answer_code,
        org_id=act.org_id,
        id=row["id"],
        reply_hash=_code_hash(row["id"], reply),
        channel=channel,
        account=account,
        sender_id=sender_id,
        name=name,
    )
    audit_log.append(tx, act, "link.answer", {**subject, "user_id": row["user_id"]})
    return True


# --- what users do -----------------------------------------------------------------------------------


def _begin(tx: Transaction, act: Act, new: NewLinkCode) -> tuple[UserLinkResult, bool]:
    is_new = False

    def effect() -> UserLinkResult:
        nonlocal is_new
        user_id = _acting_user(tx, act)
        if len(tx.all(_SQL.open_codes_of, org_id=act.org_id, user_id=user_id, now=act.at_ms)) >= new.open_max:
            raise Fault(
                ErrorKind.INVALID_STATE,
                f"{new.open_max} codes of yours are open",
                hint="Use one of them, or wait until they have run out",
            )
        tx.run(
            _SQL.insert_code,
            id=new.id,
            org_id=act.org_id,
            user_id=user_id,
            code_hash=_code_hash(new.id, new.code),
            now=act.at_ms,
            expires_at=new.expires_at_ms,
        )
        audit_log.append(tx, act, "link.begin", {"user_id": user_id})
        is_new = True
        return UserLinkResult(state="begun", expires_at=to_instant(new.expires_at_ms))

    return UserLinkResult.model_validate_json(once(tx, act, effect)), is_new


def _finish(tx: Transaction, act: Act, code: str) -> ChatLink | WrongLinkCode:
    user_id = _acting_user(tx, act)
    rows = tx.all(_SQL.open_codes_of, org_id=act.org_id, user_id=user_id, now=act.at_ms)
    answered = [row for row in rows if row["reply_hash"] is not None]

    def effect() -> UserLinkResult:
        row = _matching(answered, "reply_hash", code)
        if row is None:
            raise _NoSuchCode
        return UserLinkResult(state="linked", link=_store_link(tx, act, user_id, row))

    try:
        link = UserLinkResult.model_validate_json(once(tx, act, effect)).link
    except _NoSuchCode:  # nothing was written yet; that it was tried is
        return _wrong(tx, act, user_id, answered)
    assert link is not None, "what is linked has a link"
    return link


class _NoSuchCode(Exception):
    """The code is none of those that wait."""


def _store_link(tx: Transaction, act: Act, user_id: str, row: Row) -> ChatLink:
    place = {name: row[name] for name in ("org_id", "channel", "account", "sender_id")}
    there = tx.one(_SQL.find, **place)
    if there is not None and there["user_id"] != user_id:
        raise Fault(
            ErrorKind.INVALID_STATE,
            "Who that is in the chat is linked to another user",
            hint="Somebody with user.write can unlink them (user.save)",
        )
    tx.run(_SQL.insert, **place, user_id=user_id, name=row["name"], now=act.at_ms)
    tx.run(_SQL.use_code, org_id=act.org_id, id=row["id"], now=act.at_ms)
    identity = (row["channel"], row["account"], row["sender_id"], row["name"])
    audit_log.append(tx, act, "user.link", _subject(tx, act, user_id, *identity))
    linked = tx.one(_SQL.find, **place)
    assert linked is not None, "it was inserted in this transaction"
    return _link(linked)


def _wrong(tx: Transaction, act: Act, user_id: str, answered: list[Row]) -> WrongLinkCode:
    """Count a wrong code against all that wait for one; who has guessed too often begins again."""
    left = 0
    for row in answered:
        tx.run(_SQL.count_attempt, org_id=act.org_id, id=row["id"])
        left = max(left, ATTEMPTS_MAX - row["attempts"] - 1)
        if row["attempts"] + 1 >= ATTEMPTS_MAX:
            tx.run(_SQL.use_code, org_id=act.org_id, id=row["id"], now=act.at_ms)
    audit_log.append(
        tx,
        act,
        "user.link",
        {"user_id": user_id},
        outcome="failure",
        reason="wrong_code",
        detail={"left": left},
    )
    return WrongLinkCode(left)


def _acting_user(tx: Reader, act: Act) -> str:
    row = tx.one(_USERS.find, org_id=act.org_id, id=act.actor.id)
    if row is None or row["kind"] != ActorKind.USER:
        raise Fault(
            ErrorKind.INVALID_STATE,
            "Only users have chat identities",
            hint="Use a token that speaks for a user: token.create with user_id makes one",
        )
    return act.actor.id


def _matching(rows: list[Row], column: str, code: str) -> Row | None:
    for row in rows:
        if hmac.compare_digest(row[column], _code_hash(row["id"], code)):
            return row
    return None


def _code_hash(code_id: str, code: str) -> str:
    # With the id, so that equal codes have different hashes and none can be looked up in a list made before.
    return hashlib.sha256(f"{code_id}:{code}".encode()).hexdigest()


def _subject(
    tx: Transaction, act: Act, user_id: str, channel: str, account: str, sender_id: str, name: str = ""
) -> dict[str, str]:
    person = audit_people.of_person(tx, act.org_id, f"{channel}:{sender_id}", name, act.at_ms)
    return {"user_id": user_id, "channel": f"{channel}:{account}", "person": person}


def _link(row: Row) -> ChatLink:
    return ChatLink(
        channel=row["channel"],
        account=row["account"],
        sender_id=row["sender_id"],
        name=row["name"],
        linked_at=to_instant(row["linked_at"]),
    )
