"""Idempotency keys: the answer of a mutating request is stored in the transaction of its effect."""

import hashlib
from collections.abc import Callable

from protocol.errors import ErrorKind, Fault
from protocol.frames import RawJson, Result, to_json
from storage.engine import Reader, Transaction
from storage.queries import Queries
from storage.values import Act, Claim

_SQL = Queries("identities")


def once(tx: Transaction, act: Act, effect: Callable[[], Result]) -> RawJson:
    """Run `effect` and remember its answer under the act's claim, or return the answer remembered before.

    Raises Fault idempotency_conflict when the key was used with other params.
    """
    if act.claim is None:
        return to_json(effect())
    stored = answered(tx, act)
    if stored is not None:
        return stored
    answer = to_json(effect())
    tx.run(
        _SQL.store_answer,
        org_id=act.org_id,
        claim=claim_hash(act.org_id, act.claim),
        params_hash=act.claim.params_hash,
        result=answer.decode(),
        now=act.at_ms,
    )
    return answer


def answered(tx: Reader, act: Act) -> RawJson | None:
    """The answer remembered before, for what is done in more than one transaction.

    Raises Fault idempotency_conflict when the key was used with other params.
    """
    if act.claim is None:
        return None
    stored = tx.one(_SQL.stored_answer, claim=claim_hash(act.org_id, act.claim))
    if stored is None:
        return None
    if stored["params_hash"] != act.claim.params_hash:
        raise Fault(
            ErrorKind.IDEMPOTENCY_CONFLICT,
            "This idempotency key was used with other params",
            hint="Use a new key for a new request",
        )
    return RawJson(stored["result"].encode())


def claim_hash(org_id: str, claim: Claim) -> str:
    """One key for the four things that make a claim: an index over a short text is cheap to keep."""
    named = "\0".join((org_id, claim.principal_id, claim.method, claim.key))
    return hashlib.sha256(named.encode()).hexdigest()[:40]


def forget(tx: Transaction, before_ms: int, limit: int) -> int:
    """Drop at most `limit` answers older than `before_ms`, the oldest first; return how many."""
    old = [row["number"] for row in tx.all(_SQL.oldest_answers, limit=limit) if row["created_at"] < before_ms]
    return tx.run(_SQL.forget_answers, upto=old[-1], before=before_ms) if old else 0
