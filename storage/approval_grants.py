"""Grants: leave for more than once, given with an approval, used by later ones of the same sort, revocable, never
without an end. What is approved by one is decided in the transaction in which it is asked."""

from storage import approval_ends, approval_people, approval_rows, audit_log
from storage.approval_values import NewGrant
from storage.engine import Row, Transaction
from storage.queries import Queries
from storage.texts import to_text
from storage.values import Act

_SQL = Queries("approvals")


def give(tx: Transaction, act: Act, row: Row, new: NewGrant) -> None:
    """Make one with an approval that is being approved."""
    tx.run(
        _SQL.insert_grant,
        id=new.id,
        org_id=row["org_id"],
        approval_id=row["id"],
        agent_id=row["agent_id"],
        kind=row["kind"],
        name=row["name"],
        rule=row["rule"],
        thread_id=row["thread_id"] if new.scope == "thread" else None,
        uses_left=new.uses,
        expires_at=new.expires_at_ms,
        granted_by=to_text(act.actor.model_dump(mode="json")),
        now=act.at_ms,
    )
    detail = {"grant_id": new.id, "scope": new.scope, "uses": new.uses, "expires_at": new.expires_at_ms}
    audit_log.append(tx, act, "approval.grant", approval_rows.subject(row), detail=detail)


def use(tx: Transaction, act: Act, row: Row) -> bool:
    """Approve what was asked just now by a grant that fits; False when there is none."""
    if row["agent_id"] is None or not approval_people.terms_of(row).grants:
        return False
    given = tx.one(
        _SQL.fitting_grant,
        org_id=row["org_id"],
        agent_id=row["agent_id"],
        kind=row["kind"],
        name=row["name"],
        rule=row["rule"],
        thread_id=row["thread_id"],
        now=act.at_ms,
    )
    if given is None or not tx.run(_SQL.use_grant, id=given["id"], now=act.at_ms):
        return False
    return approval_ends.grant(tx, act, row, given)


def revoke(tx: Transaction, act: Act, row: Row) -> bool:
    """End the grant that was given with an approval; one that is revoked already stays so. False when there is none."""
    given = tx.one(_SQL.grant_of, approval_id=row["id"])
    if given is None:
        return False
    by = to_text(act.actor.model_dump(mode="json"))
    if tx.run(_SQL.revoke_grant, id=given["id"], now=act.at_ms, revoked_by=by):
        detail = {"grant_id": given["id"]}
        approval_rows.tell(tx, act, row, None, "approval.revoke", detail)
    return True
