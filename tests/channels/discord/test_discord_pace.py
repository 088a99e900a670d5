"""What the adapter waits for and what it does not: backoff, buckets, a receiver that is full."""

import asyncio
import time

import discord
import pytest
from channel_stage import MemorySink, until
from discord_stage import is_connected, make_adapter

from channels.discord.backoff import Backoff
from channels.discord.capabilities import QUEUE_MAX
from channels.discord.inbound import Reader
from channels.discord.places import Places
from channels.discord.receiver import Receiver
from channels.discord.rest import Bucket
from channels.discord.watch import Watch
from channels.emulators.discord import DiscordEmulator
from channels.messages import HealthState


@pytest.mark.parametrize(("failures", "bound_s"), [(1, 0.5), (2, 1.0), (4, 4.0), (9, 100.0), (10_000, 100.0)])
def test_waits_double_up_to_a_bound_and_vary_in_their_upper_half(failures: int, bound_s: float) -> None:
    backoff = Backoff(first_s=0.5, max_s=100.0)
    delays = [backoff.delay_s(failures) for _ in range(200)]
    assert bound_s / 2 <= min(delays) < max(delays) <= bound_s
    assert len(set(delays)) > 100


def test_nothing_is_waited_for_when_nothing_failed() -> None:
    assert Backoff().delay_s(0) == 0.0


def test_a_server_that_refuses_for_a_day_sees_fewer_identifies_than_it_allows() -> None:
    backoff = Backoff()
    waited_s, identifies = 0.0, 0
    while waited_s < 24 * 3600:
        identifies += 1
        waited_s += backoff.delay_s(identifies)
    assert identifies < 1000


def bucket(remaining: int, empty_for_s: float) -> Bucket:
    made = Bucket(30.0)
    made.limit, made.remaining = 5, remaining
    made.expires = asyncio.get_running_loop().time() + empty_for_s
    return made


async def test_an_empty_bucket_is_reported() -> None:
    with pytest.raises(discord.RateLimited) as limited:
        async with bucket(remaining=0, empty_for_s=20.0):
            pytest.fail("the call was let through")
    assert 19 < limited.value.retry_after <= 20


async def test_a_bucket_that_is_empty_for_a_moment_is_waited_for() -> None:
    began = time.monotonic()
    async with bucket(remaining=0, empty_for_s=0.1):
        assert 0.05 < time.monotonic() - began < 1.0


async def test_the_call_that_takes_the_last_token_is_not_held_back() -> None:
    began = time.monotonic()
    async with bucket(remaining=1, empty_for_s=20.0) as _:
        pass
    assert time.monotonic() - began < 1.0


async def test_calls_of_an_unknown_bucket_do_not_wait_for_one_another() -> None:
    made = Bucket(30.0)
    async with made, made, made:
        assert made.outgoing == 3


async def test_a_full_queue_leaves_the_socket_unread_and_loses_nothing(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    adapter = make_adapter(emulator)
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    sink.failures = [OSError("disk full")] * 5
    sink.gate.clear()
    count = QUEUE_MAX + 300
    for number in range(count):
        emulator.say(f"message {number}")
    await until(lambda: adapter.health().last_event_at_ms)
    sink.gate.set()
    await until(lambda: len(sink.texts) == count)
    assert sink.texts == [f"message {number}" for number in range(count)]
    assert adapter.health().state is HealthState.CONNECTED
    await adapter.stop()


async def test_a_full_receiver_lets_the_gateway_wait_until_something_was_stored(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    receiver = Receiver(
        account="gate",
        sink=sink,
        places=Places("1"),
        watch=Watch(),
        counter=make_adapter(emulator),
        reader=Reader("1"),
        rooms=frozenset(),
        backoff=Backoff(),
    )
    for number in range(QUEUE_MAX):
        await receiver.can_take()
        receiver.take("MESSAGE_DELETE", {"id": str(number), "channel_id": "7"})
    waiting = asyncio.create_task(receiver.can_take())
    await asyncio.sleep(0)
    assert not waiting.done()
    storing = asyncio.create_task(receiver.run(lambda: None))
    await waiting
    await until(lambda: len(sink.stored) == QUEUE_MAX)
    storing.cancel()
    await asyncio.wait({storing})
