"""Chat links: somebody of a chat network is a user, said from both sides by codes that are stored as hashes."""

from protocol.records import Actor, ActorKind, Role
from storage.engine import Engine, Reader
from storage.queries import Queries

_SQL = Queries("chat_links")


class ChatLinks:
    """`storage.identity_ports.LinkStore` on the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def principal_of(
        self, org_id: str, channel: str, account: str, sender_id: str
    ) -> tuple[Actor, Role] | None:
        return await self._engine.read(principal_of, org_id, channel, account, sender_id)


def principal_of(
    tx: Reader, org_id: str, channel: str, account: str, sender_id: str
) -> tuple[Actor, Role] | None:
    """The user that somebody of a chat network is, and their role; for use in a transaction, too."""
    row = tx.one(_SQL.principal, org_id=org_id, channel=channel, account=account, sender_id=sender_id)
    if row is None:
        return None
    return Actor(id=row["id"], kind=ActorKind(row["kind"]), name=row["name"]), Role(row["role"])
