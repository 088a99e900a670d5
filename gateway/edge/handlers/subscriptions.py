"""Handlers of subscriptions: they need a connection to notify."""

from collections.abc import Awaitable, Callable

from gateway.edge.dispatch import Call, Reply
from gateway.hub.hub import Hub
from gateway.hub.receiver import Receiver
from protocol import limits
from protocol import requests as wire
from protocol.errors import ErrorKind, Fault
from protocol.frames import Result


class Subscriptions:
    """Following threads and the inbox."""

    def __init__(self, hub: Hub, position: Callable[[], Awaitable[int]]) -> None:
        self._hub = hub
        self._position = position

    async def thread_subscribe(self, call: Call, params: wire.ThreadSubscribeParams) -> Reply:
        receiver = _receiver(call)
        if self._hub.count_besides(receiver, params.thread_id) >= limits.SUBSCRIPTIONS:
            raise Fault(
                ErrorKind.BUSY,
                f"A connection follows at most {limits.SUBSCRIPTIONS} threads",
                hint="Unsubscribe from some, or follow the inbox",
            )
        opening = await self._hub.subscribe(
            receiver,
            call.act.org_id,
            params.thread_id,
            params.from_,
            deltas=params.deltas,
            kinds=frozenset(params.kinds) if params.kinds is not None else None,
        )
        result = wire.ThreadSubscribeResult(
            epoch=self._hub.epoch, first_seq=opening.first_seq, head_seq=opening.head_seq
        )
        return Reply(result, then=opening.begin)

    async def thread_unsubscribe(self, call: Call, params: wire.ThreadParams) -> Result:
        self._hub.unsubscribe(_receiver(call), params.thread_id)
        return wire.EmptyResult()

    async def inbox_subscribe(self, call: Call, params: wire.InboxSubscribeParams) -> Reply:
        receiver = _receiver(call)
        offset = await self._position()
        after = params.after_offset if params.after_offset is not None else offset
        begin = self._hub.subscribe_inbox(receiver, call.act.org_id, after, offset)
        return Reply(wire.InboxSubscribeResult(epoch=self._hub.epoch, offset=offset), then=begin)

    async def inbox_unsubscribe(self, call: Call, params: wire.NoParams) -> Result:
        self._hub.unsubscribe_inbox(_receiver(call))
        return wire.EmptyResult()


def _receiver(call: Call) -> Receiver:
    if call.receiver is None:
        raise Fault(
            ErrorKind.INVALID_STATE,
            "A subscription needs a WebSocket connection",
            hint="Over HTTP, GET /v1/threads/{id}/events streams a thread",
        )
    return call.receiver
