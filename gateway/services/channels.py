"""The channel accounts that run: finding an adapter for a thread's room, and how each account fares."""

from collections.abc import Sequence
from typing import Any

import orjson

from channels.messages import Rendered, RoomRef
from channels.port import Adapter
from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.records import Channel, ChannelState, Origin
from storage.ports import OutboxStore
from storage.values import DeliveryCounts


class Channels:
    """All configured adapters by (kind, account)."""

    def __init__(self, adapters: Sequence[Adapter], outbox: OutboxStore) -> None:
        self._adapters = {(adapter.kind, adapter.account): adapter for adapter in adapters}
        self._outbox = outbox

    def all(self) -> list[Adapter]:
        """Every adapter, in the order of the configuration."""
        return list(self._adapters.values())

    def find(self, kind: str, account: str) -> Adapter | None:
        """The adapter of an account; None when the configuration has it no longer."""
        return self._adapters.get((kind, account))

    def of(self, origin: Origin) -> tuple[Adapter, RoomRef] | None:
        """The adapter and room where a thread lives; None for a thread that began in a client."""
        if origin.channel is None or origin.account is None or origin.room is None:
            return None
        adapter = self.find(origin.channel, origin.account)
        return None if adapter is None else (adapter, RoomRef(origin.room, origin.topic))

    async def statuses(self) -> list[Channel]:
        """How every account fares."""
        counts = await self._outbox.counts()
        return [_status(adapter, counts) for adapter in self._adapters.values()]

    async def status(self, channel_id: str) -> Channel:
        """How one account fares. Raises Fault not_found."""
        for channel in await self.statuses():
            if channel.id == channel_id:
                return channel
        raise Fault(ErrorKind.NOT_FOUND, "There is no such channel", hint="channel.list shows what there is")


def freeze(content: Rendered) -> str:
    """A rendered message as the outbox keeps it."""
    return orjson.dumps({"text": content.text, "payload": dict(content.payload)}).decode()


def thaw(content: str) -> Rendered:
    """The inverse of `freeze`."""
    fields: dict[str, Any] = orjson.loads(content)
    return Rendered(text=fields["text"], payload=fields["payload"])


def _status(adapter: Adapter, counts: dict[tuple[str, str], DeliveryCounts]) -> Channel:
    health = adapter.health()
    mine = counts.get((adapter.kind, adapter.account), DeliveryCounts(0, 0))
    return Channel(
        id=f"{adapter.kind}:{adapter.account}",
        kind=adapter.kind,
        account=adapter.account,
        state=ChannelState(health.state.value),
        detail=health.detail,
        last_event_at=to_instant(health.last_event_at_ms) if health.last_event_at_ms is not None else None,
        deliveries_waiting=mine.waiting,
        deliveries_uncertain=mine.uncertain,
    )
