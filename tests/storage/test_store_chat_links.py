"""Chat links in the store: who of a chat network is which user."""

from store_stage import OTHER_ORG, Scene

from protocol.records import ActorKind, Role
from storage.engine import Transaction
from storage.values import DEFAULT_ORG

GRACE = {"channel": "slack", "account": "main", "sender_id": "U1"}


def _link(tx: Transaction, user_id: str) -> None:
    tx.run(
        "INSERT INTO principals (id, org_id, kind, name, role, created_at) "
        "VALUES (:id, :org_id, 'user', 'Grace', 'approver', 0)",
        id=user_id,
        org_id=DEFAULT_ORG,
    )
    tx.run(
        "INSERT INTO chat_links VALUES (:org_id, :channel, :account, :sender_id, :user_id, 'grace', 0)",
        org_id=DEFAULT_ORG,
        user_id=user_id,
        **GRACE,
    )


async def test_somebody_who_is_linked_is_the_user(scene: Scene) -> None:
    await scene.store.engine.write(_link, "prn_grace")
    found = await scene.store.links.principal_of(DEFAULT_ORG, **GRACE)
    assert found is not None
    actor, role = found
    assert (actor.id, actor.kind, actor.name, role) == ("prn_grace", ActorKind.USER, "Grace", Role.APPROVER)


async def test_somebody_else_is_nobody(scene: Scene) -> None:
    await scene.store.engine.write(_link, "prn_grace")
    for other in ({"sender_id": "U10"}, {"sender_id": ""}, {"account": "other"}, {"channel": "discord"}):
        assert await scene.store.links.principal_of(DEFAULT_ORG, **{**GRACE, **other}) is None
    assert await scene.store.links.principal_of(OTHER_ORG, **GRACE) is None


async def test_a_disabled_user_is_nobody(scene: Scene) -> None:
    await scene.store.engine.write(_link, "prn_grace")
    await scene.store.engine.write(lambda tx: tx.run("UPDATE principals SET disabled_at = 1"))
    assert await scene.store.links.principal_of(DEFAULT_ORG, **GRACE) is None
