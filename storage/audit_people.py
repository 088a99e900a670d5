"""Who the people in audit entries are: opaque ids, and the one table that says whose they are.

Users, services, devices and agents have opaque ids of their own. Somebody of a chat network has not: `slack:U123` names
a person for good, so entries say `per_…`. What is about that person is erased with `forget`; entries stay as they are.
"""

import secrets
from collections.abc import Iterable

import orjson

from protocol.ids import RANDOM_BYTES, IdPrefix, make_id
from protocol.records import Actor, ActorKind
from storage.engine import Reader, Transaction
from storage.queries import Queries

_SQL = Queries("audit_people")


def opaque(tx: Transaction, org_id: str, actor: Actor, now_ms: int) -> str:
    """The id under which entries of this organization name the actor."""
    if actor.kind is not ActorKind.PERSON:
        return actor.id
    return of_person(tx, org_id, actor.id, actor.name, now_ms)


def of_person(tx: Transaction, org_id: str, actor_id: str, name: str, now_ms: int) -> str:
    """The opaque id of somebody of a chat network (`CHANNEL:ID`), made when they are seen first."""
    row = tx.one(_SQL.find, org_id=org_id, actor_id=actor_id)
    if row is None:
        person_id = make_id(IdPrefix.PERSON, now_ms, secrets.token_bytes(RANDOM_BYTES))
        tx.run(_SQL.insert, id=person_id, org_id=org_id, actor_id=actor_id, name=name, now=now_ms)
        return person_id
    if name and name != row["name"]:
        tx.run(_SQL.rename, id=row["id"], name=name)
    known_id: str = row["id"]
    return known_id


def known(tx: Reader, org_id: str, actor_id: str) -> str | None:
    """The opaque id of somebody of a chat network, if an entry ever named them."""
    person_id: str | None = tx.value(_SQL.id_of, org_id=org_id, actor_id=actor_id)
    return person_id


def names(tx: Reader, org_id: str, ids: Iterable[str]) -> dict[str, str]:
    """What these actors are called, people as well as principals; who is missing is not known (any more)."""
    rows = tx.all(_SQL.names_of, org_id=org_id, ids=orjson.dumps(sorted(ids)).decode())
    return {row["id"]: row["name"] for row in rows}


def forget(tx: Transaction, org_id: str, person_id: str) -> bool:
    """Delete the mapping of a person; whether there was one. Their content is `audit_content.shred`."""
    return bool(tx.run(_SQL.forget, org_id=org_id, id=person_id))
