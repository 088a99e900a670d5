"""Requests of the gateway to whoever is connected: numbered, bounded, and answered or given up.

Used by the connections of agent processes and of devices. What is asked, and what a refusal means, is theirs.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from gateway.edge.send_queue import SendQueue
from gateway.hub.notes import text_frame
from protocol.frames import Response, encode_request
from protocol.records import Record

Refusal = Callable[[str, str], Exception]
"""Makes the exception of a request that was refused, from a kind and a message."""


class Asking:
    """The requests of one connection without an answer. `refusal` makes what `request` raises."""

    def __init__(self, queue: SendQueue, refusal: Refusal) -> None:
        self._queue = queue
        self._refusal = refusal
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._loop = asyncio.get_running_loop()
        self.is_closed = False

    async def request(self, method: str, params: Record, timeout_s: float) -> Mapping[str, Any]:
        """Ask, and wait for the answer.

        Raises a refusal: of the peer's kind, `timeout`, `gone`, or `stalled` when it reads so slowly that nothing was
        sent.
        """
        if self.is_closed or self._queue.is_closed:
            raise self._gone()
        number = next(self._numbers)
        if not self._queue.try_write(text_frame(encode_request(number, method, params))):
            raise self._refusal("stalled", "it reads too slowly")
        future: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self._asked[number] = future
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise self._refusal("timeout", f"no answer within {timeout_s:g} s") from None
        finally:
            del self._asked[number]

    def answered(self, response: Response) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        future = self._asked.get(response.id) if isinstance(response.id, int) else None
        if future is None or future.done():
            return
        if response.error is None:
            future.set_result(response.result or {})
            return
        data = response.error.get("data")
        kind = data.get("kind") if isinstance(data, dict) else None
        future.set_exception(self._refusal(str(kind or "internal"), str(response.error.get("message", ""))))

    def close(self) -> None:
        """The connection ends: nothing is answered any more. Idempotent."""
        self.is_closed = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(self._gone())

    def _gone(self) -> Exception:
        return self._refusal("gone", "its connection is closed")
