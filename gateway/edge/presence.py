"""Who is connected right now, by principal. Nothing durable."""

from dataclasses import dataclass, field

from protocol.devices import Present
from protocol.instants import to_instant
from protocol.records import Principal


@dataclass(slots=True)
class _Here:
    org_id: str
    principal: Principal
    since_ms: int
    connections: set[str] = field(default_factory=set)


class Presence:
    """The principals of all connections that have said hello."""

    def __init__(self) -> None:
        self._here: dict[tuple[str, str], _Here] = {}

    def joined(self, org_id: str, principal: Principal, connection_id: str, now_ms: int) -> None:
        """A connection of this principal said hello."""
        here = self._here.setdefault((org_id, principal.id), _Here(org_id, principal, now_ms))
        here.principal = principal
        here.connections.add(connection_id)

    def left(self, org_id: str, principal_id: str, connection_id: str) -> None:
        """That connection is over. Idempotent."""
        here = self._here.get((org_id, principal_id))
        if here is None:
            return
        here.connections.discard(connection_id)
        if not here.connections:
            del self._here[org_id, principal_id]

    def of(self, org_id: str, limit: int) -> tuple[list[Present], bool]:
        """Who of an organization is here, the longest first, and whether there are more."""
        found = [here for here in self._here.values() if here.org_id == org_id]
        return [
            Present(
                principal=here.principal,
                connections=len(here.connections),
                since=to_instant(here.since_ms),
            )
            for here in found[:limit]
        ], len(found) > limit
