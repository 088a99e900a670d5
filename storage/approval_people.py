"""Who decides, and who is behind what is decided about: people, however many accounts they come with.

Somebody of a chat network who is linked to a user is that user. Whether they may decide is judged elsewhere.
"""

from storage.approval_values import Ballot, Terms, Voter
from storage.engine import Reader, Row
from storage.queries import Queries
from storage.texts import from_text
from storage.values import Act

_SQL = Queries("approvals")


def principal_of(tx: Reader, org_id: str, actor_id: str, account: str | None = None) -> str:
    """The user whom an actor is linked to, or the actor; `account` None: over whatever account of the network."""
    channel, _, sender_id = actor_id.partition(":")
    if not sender_id:
        return actor_id
    user_id: str | None = tx.value(
        _SQL.user_of, org_id=org_id, channel=channel, sender_id=sender_id, account=account
    )
    return user_id or actor_id


def voter(tx: Reader, act: Act, role: str | None) -> Voter:
    """Whoever acts; `role` is that of the token they came with, else it is the user's own."""
    kind, _, account = act.via.partition(":")
    is_here = act.actor.id.startswith(f"{kind}:")
    principal_id = principal_of(tx, act.org_id, act.actor.id, account if is_here else None)
    known = tx.one(_SQL.principal, id=principal_id, org_id=act.org_id)
    own_role = role or (known["role"] if known is not None else None)
    links = tx.all(_SQL.links_of, user_id=principal_id, org_id=act.org_id)
    names = {act.actor.id, f"user:{principal_id}"}
    names |= {f"{link['channel']}:{link['sender_id']}" for link in links}
    if own_role is not None:
        names.add(f"role:{own_role}")
    is_disabled = known is not None and known["disabled_at"] is not None
    return Voter(principal_id, frozenset(names), is_disabled)


def ballot(tx: Reader, row: Row, voter: Voter, among: frozenset[str] | None, now_ms: int) -> Ballot:
    """All that a judge needs, as it is at `now_ms`: by the stored times, whether or not a timer went off."""
    escalate_at = row["escalate_at"]
    return Ballot(
        voter=voter,
        terms=terms_of(row),
        is_escalated=escalate_at is not None and escalate_at <= now_ms,
        requested_by=row["requested_by"],
        involved=_involved(tx, row),
        among=among,
    )


def terms_of(row: Row) -> Terms:
    """The terms an approval was asked under."""
    terms = from_text(row["terms"])
    groups = {name: tuple(terms.get(name, ())) for name in ("approvers", "escalate_to")}
    return Terms(**{**terms, **groups})


def _involved(tx: Reader, row: Row) -> frozenset[str]:
    authors = {row["requested_by"]}
    if row["run_id"] is not None:
        authors |= {found["author"] for found in tx.all(_SQL.authors_of_run, run_id=row["run_id"])}
    return frozenset(principal_of(tx, row["org_id"], author) for author in authors if author)
