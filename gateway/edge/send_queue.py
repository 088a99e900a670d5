"""The writing end of one connection: bounded, never blocking, watched for progress (PROTOCOL.md §8).

As long as the socket takes what is written, bytes go straight to the transport. When its buffer fills, notes
wait here, at most QUEUE_BYTES and QUEUE_FRAMES, and a timer moves them on as the socket drains. A socket that
takes nothing for STALL_TIMEOUT_S is given up. Idle connections cost no task and no timer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.hub.notes import Note
from protocol import limits

DIRECT_BYTES: Final = 64 * limits.KIB
"""The transport's own buffer is used up to here: enough for a burst, small against QUEUE_BYTES."""
DRAIN_POLL_S: Final = 0.02
"""How often a blocked connection looks whether its socket has drained; only blocked ones look."""


class SendQueue:
    """`gateway.hub.receiver.Receiver` over an asyncio transport.

    A note that is larger than the queue alone is taken when nothing else waits.
    """

    # Slots here and in what else an idle connection holds: a dictionary each would be a tenth of its memory.
    __slots__ = (
        "__weakref__",
        "_buffered",
        "_encode",
        "_is_closed",
        "_loop",
        "_on_stall",
        "_progress_at",
        "_room",
        "_timer",
        "_transport",
        "_waiting",
        "_waiting_bytes",
        "sent_at",
    )

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        encode: Callable[[Note], bytes],
        on_stall: Callable[[], None],
    ) -> None:
        self.sent_at = 0.0
        self._transport = transport
        self._encode = encode
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._progress_at = 0.0
        self._buffered = 0
        self._is_closed = False
        self._room: list[asyncio.Future[None]] = []

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be written any more."""
        return self._is_closed or self._transport.is_closing()

    @property
    def is_congested(self) -> bool:
        """Whether frames wait for the socket."""
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether more waits than may: answers go beyond the limits, so nobody should ask for new ones."""
        return len(self._waiting) >= limits.QUEUE_FRAMES or self._waiting_bytes >= limits.QUEUE_BYTES

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here, for metrics."""
        return self._waiting_bytes

    def offer(self, note: Note) -> bool:
        """Write or queue a note; False when that would exceed the limits."""
        return self._put(self._encode(note), must=False)

    def insist(self, note: Note) -> None:
        """Queue a note beyond the limits if need be."""
        self._put(self._encode(note), must=True)

    def try_write(self, data: bytes) -> bool:
        """Write or queue bytes; False when that would exceed the limits."""
        return self._put(data, must=False)

    def write(self, data: bytes) -> None:
        """Queue bytes that must go out (an answer, a ping), beyond the limits if need be."""
        self._put(data, must=True)

    def write_control(self, data: bytes) -> None:
        """Queue a frame that people's programs cannot see (a ping): it does not count as something sent."""
        sent_at = self.sent_at
        self._put(data, must=True)
        self.sent_at = sent_at

    async def has_room(self) -> None:
        """Return when nothing waits; at once after the close."""
        if self._waiting and not self.is_closed:
            room = self._loop.create_future()
            self._room.append(room)
            await room

    def close(self) -> None:
        """Drop what waits; nothing is written any more."""
        self._is_closed = True
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._make_room()

    def _put(self, data: bytes, *, must: bool) -> bool:
        if self.is_closed:
            return False
        if not self._waiting and self._transport.get_write_buffer_size() < DIRECT_BYTES:
            self._transport.write(data)
            self.sent_at = self._loop.time()
            return True
        if (
            self._waiting
            and not must
            and (
                len(self._waiting) >= limits.QUEUE_FRAMES
                or self._waiting_bytes + len(data) > limits.QUEUE_BYTES
            )
        ):
            return False
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._timer is None:
            self._progress_at = self._loop.time()
            self._buffered = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(DRAIN_POLL_S, self._drain)
        return True

    def _drain(self) -> None:
        self._timer = None
        if self.is_closed:
            self.close()
            return
        now = self._loop.time()
        size = self._transport.get_write_buffer_size()
        if size < self._buffered:
            self._progress_at = now
        elif now - self._progress_at >= limits.STALL_TIMEOUT_S:
            self._on_stall()
            return
        while self._waiting and size < DIRECT_BYTES:
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._transport.write(data)
            self.sent_at = now
            size = self._transport.get_write_buffer_size()
        self._buffered = size
        if self._waiting:
            self._timer = self._loop.call_later(DRAIN_POLL_S, self._drain)
        else:
            self._make_room()

    def _make_room(self) -> None:
        rooms, self._room = self._room, []
        for room in rooms:
            if not room.done():
                room.set_result(None)
