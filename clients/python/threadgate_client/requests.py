"""The table of requests: numbered, sent within the gateway's limits, repeated after a reconnect. Pure.

Requests of the user survive the connection and are sent again, byte for byte, until they are answered or
forgotten: reads may be repeated, and everything else carries an idempotency key. Requests of the session
itself (`hello`, subscriptions) belong to one connection and die with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from threadgate_client.frames import encode_request


@dataclass(slots=True)
class Pending:
    """A request without an answer. `sent_at` is None until it left on the present connection."""

    id: int
    method: str
    frame: str
    size_bytes: int
    is_own: bool
    is_forgotten: bool = False
    sent_at: float | None = None


class RequestTable:
    """All requests without an answer, in the order they were made."""

    def __init__(self) -> None:
        self._pending: dict[int, Pending] = {}
        self._unsent: dict[int, Pending] = {}
        self._next_id = 1

    def add(self, method: str, params: Mapping[str, Any], *, is_own: bool = False) -> int:
        """Number a request. Raises ValueError or TypeError when the params are not JSON."""
        request_id = self._next_id
        frame = encode_request(request_id, method, params)
        self._next_id += 1
        pending = Pending(request_id, method, frame, len(frame.encode()), is_own)
        self._pending[request_id] = self._unsent[request_id] = pending
        return request_id

    def take(self, request_id: int, now: float) -> str:
        """Take one request out of its turn; the caller sends it."""
        pending = self._unsent.pop(request_id)
        pending.sent_at = now
        return pending.frame

    def put_own_first(self) -> None:
        """Let the session's own requests go before the user's, which may have been made after them."""
        own = {found.id: found for found in self._unsent.values() if found.is_own}
        self._unsent = own | self._unsent

    def larger_than(self, size_bytes: int) -> list[Pending]:
        """The requests that do not fit into a frame of that size."""
        return [found for found in self._pending.values() if found.size_bytes > size_bytes]

    def has_unsent(self, inflight_limit: int) -> bool:
        """Whether something may be sent now."""
        return bool(self._unsent) and len(self._pending) - len(self._unsent) < inflight_limit

    def take_unsent(self, inflight_limit: int, now: float) -> list[Pending]:
        """Take what may be sent now; the caller sends it."""
        room = max(inflight_limit - (len(self._pending) - len(self._unsent)), 0)
        taken = list(self._unsent.values())[:room]
        for pending in taken:
            pending.sent_at = now
            del self._unsent[pending.id]
        return taken

    def pop(self, request_id: int) -> Pending | None:
        """Remove a request that was answered or that nobody waits for; None when it is unknown."""
        self._unsent.pop(request_id, None)
        return self._pending.pop(request_id, None)

    def forget(self, request_id: int) -> None:
        """Nobody waits for the answer any more; one that left already is still answered and counted."""
        if request_id in self._unsent:
            self.pop(request_id)
        elif request_id in self._pending:
            self._pending[request_id].is_forgotten = True

    def connection_lost(self) -> None:
        """Own and forgotten requests are over, all others are to be sent again in their order."""
        kept = [found for found in self._pending.values() if not found.is_own and not found.is_forgotten]
        self._pending = {found.id: found for found in kept}
        for pending in self._pending.values():
            pending.sent_at = None
        self._unsent = dict(self._pending)

    def oldest_own_sent_at(self) -> float | None:
        """When the oldest own request without an answer was sent."""
        times = [
            found.sent_at for found in self._pending.values() if found.is_own and found.sent_at is not None
        ]
        return min(times, default=None)
