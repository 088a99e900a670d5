"""Handlers of deliveries: what operators see of the outbox, and decide about it."""

from gateway.edge.dispatch import Call
from gateway.rules import delivery_states as states
from protocol import requests as wire
from protocol.errors import ErrorKind, Fault
from protocol.frames import Result
from storage.ports import DeliveryStore
from storage.values import DeliveryFilter


class Delivering:
    """What is done about deliveries."""

    def __init__(self, deliveries: DeliveryStore) -> None:
        self._deliveries = deliveries

    async def delivery_list(self, call: Call, params: wire.DeliveryListParams) -> Result:
        channel, account = _account(params.channel_id)
        wanted = DeliveryFilter(
            params.state.value if params.state else None, channel, account, params.thread_id
        )
        found, cursor = await self._deliveries.page(call.act.org_id, wanted, params.limit, params.cursor)
        return wire.DeliveryListResult(deliveries=found, next_cursor=cursor)

    async def delivery_retry(self, call: Call, params: wire.DeliveryParams) -> Result:
        return await self._deliveries.decide(call.act, params.delivery_id, states.RETRIED, "delivery.retry")

    async def delivery_settle(self, call: Call, params: wire.DeliveryParams) -> Result:
        return await self._deliveries.decide(call.act, params.delivery_id, states.SETTLED, "delivery.settle")


def _account(channel_id: str | None) -> tuple[str | None, str | None]:
    """A channel that was removed from the configuration may still owe something: it need not exist."""
    if channel_id is None:
        return None, None
    channel, colon, account = channel_id.partition(":")
    if not colon:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such channel", hint="channel.list shows what there is")
    return channel, account
