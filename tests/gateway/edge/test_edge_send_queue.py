"""PROTOCOL.md §8, the writing end of one connection: what waits, how much, how long, and who is told."""

import asyncio
from typing import Any, cast

import pytest
from gateway_stage import until

from gateway.edge import send_queue
from gateway.edge.send_queue import DIRECT_BYTES, SendQueue
from gateway.hub.notes import Note
from protocol import limits
from protocol.frames import RawJson


class Socket:
    """A transport whose peer reads only when the test says so."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.buffered = 0
        self.is_gone = False

    def write(self, data: bytes) -> None:
        self.taken.append(data)
        self.buffered += len(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.is_gone

    def reads(self, size: int | None = None) -> None:
        """The peer reads this much, or everything."""
        self.buffered -= self.buffered if size is None else min(size, self.buffered)


class Scene:
    def __init__(self) -> None:
        self.socket = Socket()
        self.stalls = 0
        self.queue = SendQueue(cast(Any, self.socket), lambda note: note.websocket, self._stall)

    def _stall(self) -> None:
        self.stalls += 1

    def clog(self) -> None:
        """Fill the socket's own buffer."""
        self.queue.write(b"=" * DIRECT_BYTES)
        assert not self.queue.is_congested

    async def drain(self) -> None:
        """The peer reads on until nothing waits."""
        while self.queue.is_congested:
            self.socket.reads()
            await asyncio.sleep(0.001)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(send_queue, "DRAIN_POLL_S", 0.001)
    monkeypatch.setattr(limits, "STALL_TIMEOUT_S", 0.05)
    return Scene()


def note(size: int, fill: bytes = b"x") -> Note:
    return Note("event", RawJson(b'"%b"' % (fill * size)))


async def test_a_reading_peer_gets_everything_at_once(scene: Scene) -> None:
    for number in range(100):
        assert scene.queue.offer(note(10, b"%d" % (number % 10)))
        scene.socket.reads()
    assert len(scene.socket.taken) == 100
    assert (scene.queue.is_congested, scene.queue.waiting_bytes) == (False, 0)


async def test_what_waits_goes_out_in_order_as_the_socket_drains(scene: Scene) -> None:
    scene.clog()
    notes = [note(10_000, b"%d" % number) for number in range(9)]
    assert all(scene.queue.offer(one) for one in notes)
    assert len(scene.socket.taken) == 1
    assert scene.queue.waiting_bytes == sum(len(one.websocket) for one in notes)
    await scene.drain()
    assert scene.socket.taken[1:] == [one.websocket for one in notes]
    assert scene.queue.waiting_bytes == 0


async def test_the_sockets_own_buffer_stays_small(scene: Scene) -> None:
    scene.clog()
    for _ in range(50):
        scene.queue.offer(note(10_000))
    most = 0
    while scene.queue.is_congested:
        scene.socket.reads(9_000)
        most = max(most, scene.socket.buffered)
        await asyncio.sleep(0.001)
    assert most <= DIRECT_BYTES + 11_000


async def test_at_most_1024_frames_wait(scene: Scene) -> None:
    scene.clog()
    assert sum(scene.queue.offer(note(1)) for _ in range(2000)) == limits.QUEUE_FRAMES
    assert scene.queue.is_full


async def test_at_most_a_mebibyte_waits(scene: Scene) -> None:
    scene.clog()
    taken = 0
    while scene.queue.offer(note(50_000)):
        taken += 1
    assert 0 < scene.queue.waiting_bytes <= limits.QUEUE_BYTES
    assert taken == limits.QUEUE_BYTES // len(note(50_000).websocket)


async def test_a_refused_note_is_not_queued(scene: Scene) -> None:
    scene.clog()
    while scene.queue.offer(note(50_000)):
        pass
    assert not scene.queue.offer(note(limits.QUEUE_BYTES, b"!"))
    await scene.drain()
    assert not any(b"!!" in data for data in scene.socket.taken)
    assert scene.queue.offer(note(1)), "there is room again"


async def test_a_note_larger_than_the_queue_still_goes_when_nothing_else_waits(scene: Scene) -> None:
    """An event may be larger than the queue; a subscription that could never pass it on would spin for ever."""
    scene.clog()
    assert scene.queue.offer(note(2 * limits.QUEUE_BYTES))
    assert not scene.queue.offer(note(1))
    await scene.drain()
    assert len(scene.socket.taken) == 2


async def test_what_must_go_out_is_queued_beyond_the_limits(scene: Scene) -> None:
    scene.clog()
    while scene.queue.offer(note(50_000)):
        pass
    scene.queue.insist(note(50_000, b"!"))
    scene.queue.write(b"answer")
    assert scene.queue.waiting_bytes > limits.QUEUE_BYTES
    await scene.drain()
    assert scene.socket.taken[-1] == b"answer"
    assert b"!!" in scene.socket.taken[-2]


async def test_nothing_overtakes_what_waits(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100, b"1"))
    scene.socket.reads()  # the socket is free, but the queue has not looked yet
    scene.queue.write(b"second")
    scene.queue.write_control(b"third")
    await scene.drain()
    assert scene.socket.taken[2:] == [b"second", b"third"]


async def test_room_is_there_at_once_when_nothing_waits(scene: Scene) -> None:
    async with asyncio.timeout(0.5):
        await scene.queue.has_room()


async def test_everybody_who_waits_for_room_is_told(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100))
    waiting = [asyncio.create_task(scene.queue.has_room()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    waiting[0].cancel()
    scene.socket.reads()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 1)
    assert not scene.queue.is_congested


async def test_a_socket_that_takes_nothing_is_given_up_once(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100))
    await until(lambda: scene.stalls)
    await asyncio.sleep(0.1)
    assert scene.stalls == 1


async def test_a_socket_that_takes_a_little_now_and_then_is_not_given_up(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100))
    for _ in range(15):
        scene.socket.reads(10)
        scene.socket.buffered = max(scene.socket.buffered, DIRECT_BYTES - 1000)
        scene.queue.write(b"x" * 2000)
        await asyncio.sleep(0.01)
    assert scene.stalls == 0


async def test_an_idle_connection_never_stalls_and_has_no_timer(scene: Scene) -> None:
    scene.queue.offer(note(10))
    assert scene.queue._timer is None
    await asyncio.sleep(0.1)
    assert scene.stalls == 0


async def test_after_the_close_nothing_is_written_and_nobody_waits(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100))
    waiting = asyncio.create_task(scene.queue.has_room())
    await asyncio.sleep(0)
    scene.queue.close()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(scene.queue.has_room(), 1)
    before = len(scene.socket.taken)
    assert not scene.queue.offer(note(1))
    scene.queue.insist(note(1))
    scene.queue.write(b"x")
    scene.socket.reads()
    await asyncio.sleep(0.02)
    assert (len(scene.socket.taken), scene.queue.waiting_bytes, scene.queue.is_closed) == (before, 0, True)
    assert scene.stalls == 0


async def test_a_peer_that_goes_away_while_frames_wait_closes_the_queue(scene: Scene) -> None:
    scene.clog()
    scene.queue.offer(note(100))
    waiting = asyncio.create_task(scene.queue.has_room())
    scene.socket.is_gone = True
    await asyncio.wait_for(waiting, 1)
    assert scene.queue.is_closed
    assert not scene.queue.offer(note(1))


async def test_pings_do_not_count_as_something_said(scene: Scene) -> None:
    scene.queue.offer(note(1))
    said_at = scene.queue.sent_at
    await asyncio.sleep(0.01)
    scene.queue.write_control(b"ping")
    assert scene.queue.sent_at == said_at
    scene.queue.write(b"answer")
    assert scene.queue.sent_at > said_at
