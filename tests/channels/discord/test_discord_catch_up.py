"""Reading back what the gateway did not bring: after restarts, lost sessions and lost events."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from channel_stage import MemorySink, until
from discord_stage import GATE, GUILD_ID, MENTION, is_connected, make_adapter

from channels.discord.adapter import DiscordAdapter
from channels.emulators.discord import (
    DEFAULT_CHANNEL,
    NO_RATE_LIMITS,
    ChannelSeed,
    DiscordEmulator,
    FaultKind,
    GuildSeed,
    Permission,
)
from channels.messages import Edited

ROOM = DEFAULT_CHANNEL.id
READ = "GET /channels/{c}/messages"


@pytest.fixture
async def once_connected(emulator: DiscordEmulator, sink: MemorySink) -> AsyncIterator[MemorySink]:
    """The sink of an adapter that was connected once, heard something, and is gone."""
    sink.now_ms = 1
    adapter = make_adapter(emulator)
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    emulator.say("before")
    await until(lambda: sink.texts == ["before"])
    sink.now_ms = int(emulator.world.now() * 1000)
    await until(lambda: "commands" in sink.cursor_values)
    emulator.say("before, too")
    await until(lambda: len(sink.texts) == 2)
    await adapter.stop()
    yield sink


async def connect(adapter: DiscordAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: is_connected(adapter) and adapter.health().detail is None)


async def test_a_restart_reads_what_was_said_meanwhile_and_takes_nothing_twice(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    sink = once_connected
    emulator.say(f"{MENTION} meanwhile")
    await connect(adapter, sink)
    await until(lambda: sink.texts == ["before", "before, too", "meanwhile"])
    emulator.say("after")
    await until(lambda: sink.texts[-1] == "after")


async def test_rooms_are_watched_before_anybody_has_said_anything_there(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    first = make_adapter(emulator)
    await connect(first, sink)
    await until(lambda: str(ROOM) in sink.cursor_values)
    await first.stop()
    emulator.say(f"{MENTION} the first words")
    second = make_adapter(emulator)
    await connect(second, sink)
    await until(lambda: sink.texts == ["the first words"])
    await second.stop()


async def test_what_was_said_before_the_bot_came_is_not_answered(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    emulator.say(f"{MENTION} long ago")
    for _ in range(2):
        adapter = make_adapter(emulator)
        await connect(adapter, sink)
        await until(lambda: str(ROOM) in sink.cursor_values)
        await adapter.stop()
    assert sink.texts == []


async def test_long_absences_are_read_page_by_page_in_order(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    texts = [f"message {number}" for number in range(230)]
    for text in texts:
        emulator.say(text)
    await connect(adapter, once_connected)
    await until(lambda: len(once_connected.texts) == 232)
    assert once_connected.texts[2:] == texts
    assert len(emulator.calls.select(READ)) >= 3


async def test_direct_messages_and_threads_are_read_back_too(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    first = make_adapter(emulator)
    await connect(first, sink)
    dm = emulator.dm()
    emulator.say("hello", channel_id=dm.id)
    starter = emulator.say("a thread begins")
    thread = emulator.start_thread("talk", message_id=starter.id)
    await until(lambda: len(sink.texts) == 2 and str(thread.id) in sink.cursor_values)
    await first.stop()
    emulator.say("anybody there?", channel_id=dm.id)
    emulator.say("in the thread", channel_id=thread.id)
    second = make_adapter(emulator)
    await connect(second, sink)
    await until(lambda: set(sink.texts[2:]) == {"anybody there?", "in the thread"})
    await second.stop()


async def test_rooms_made_meanwhile_are_read_from_their_beginning(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    channel = emulator.moderation.create_channel(GUILD_ID, "new-room")
    emulator.say(f"{MENTION} in the new room", channel_id=channel.id)
    thread = emulator.start_thread("new thread", channel_id=channel.id)
    emulator.say(f"{MENTION} in the new thread", channel_id=thread.id)
    await connect(adapter, once_connected)
    await until(lambda: {"in the new room", "in the new thread"} <= set(once_connected.texts))


async def test_an_edit_made_meanwhile_is_found(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    said = next(one for one in emulator.messages(ROOM) if one.content == "before, too")
    emulator.edit(ROOM, said.id, "before, edited")
    await connect(adapter, once_connected)
    await until(lambda: any(isinstance(one, Edited) for one in once_connected.stored.values()))
    (edited,) = [one for one in once_connected.stored.values() if isinstance(one, Edited)]
    assert (edited.message_ref, edited.text) == (str(said.id), "before, edited")


async def test_an_event_that_the_gateway_lost_is_found_after_the_next_start(
    emulator: DiscordEmulator, sink: MemorySink
) -> None:
    first = make_adapter(emulator)
    await connect(first, sink)
    emulator.say("one")
    await until(lambda: sink.texts == ["one"])
    emulator.gateway.lose(1, "MESSAGE_CREATE")
    emulator.say("two, lost")
    emulator.say("three")
    await until(lambda: sink.texts == ["one", "three"])
    await first.stop()
    second = make_adapter(emulator)
    await connect(second, sink)
    await until(lambda: sink.texts == ["one", "three", "two, lost"])
    await second.stop()


async def test_events_out_of_order_skip_nothing(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    emulator.gateway.hold()
    emulator.say("one")
    emulator.say("two")
    emulator.gateway.release([1, 0])
    await until(lambda: sorted(sink.texts) == ["one", "two"])


async def test_an_event_told_twice_is_one_delivery(
    emulator: DiscordEmulator, adapter: DiscordAdapter, sink: MemorySink
) -> None:
    await connect(adapter, sink)
    emulator.say("one")
    emulator.gateway.redeliver("MESSAGE_CREATE")
    emulator.say("two")
    await until(lambda: sink.texts == ["one", "two"])


async def test_live_messages_wait_until_their_room_is_read_back(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    sink = once_connected
    emulator.say("missed")
    emulator.faults.add(FaultKind.SLOW, READ, delay_s=0.2, count=1)
    await adapter.start(sink)
    await until(lambda: emulator.calls.select(READ))
    emulator.say("live")
    dm = emulator.dm()
    emulator.say("another room does not wait", channel_id=dm.id)
    await until(lambda: len(sink.texts) == 5)
    assert sink.texts[2:] == ["another room does not wait", "missed", "live"]


async def test_a_lost_session_is_read_back_while_calls_fail_at_first(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    emulator.say("missed")
    emulator.faults.add(FaultKind.RATE_LIMIT, READ, retry_after_s=1)
    emulator.faults.add(FaultKind.DROP, READ)
    await adapter.start(once_connected)
    await until(lambda: once_connected.texts[2:] == ["missed"])


async def test_a_mistake_in_one_part_begins_receiving_again_and_loses_nothing(
    emulator: DiscordEmulator,
    adapter: DiscordAdapter,
    once_connected: MemorySink,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator.say("missed")

    async def breaks(channel_id: str, after: int) -> Sequence[Mapping[str, Any]]:
        monkeypatch.undo()
        raise RuntimeError("a mistake")

    monkeypatch.setattr(adapter, "messages_after", breaks)
    await adapter.start(once_connected)
    await until(lambda: once_connected.texts[2:] == ["missed"])
    emulator.say("after")
    await until(lambda: once_connected.texts[3:] == ["after"])
    assert "a mistake" in caplog.text


async def test_a_room_that_is_gone_is_forgotten(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    emulator.moderation.delete_channel(ROOM)
    other = emulator.moderation.create_channel(GUILD_ID, "other")
    await connect(adapter, once_connected)
    emulator.say("elsewhere", channel_id=other.id)
    await until(lambda: once_connected.texts[2:] == ["elsewhere"])
    assert once_connected.cursor_values[str(ROOM)].value == "closed"
    assert adapter.health().missing == ()


async def test_history_that_may_not_be_read_is_a_gap_that_is_reported(
    emulator: DiscordEmulator, adapter: DiscordAdapter, once_connected: MemorySink
) -> None:
    emulator.say("missed")
    emulator.moderation.set_permissions(ROOM, deny=Permission.READ_MESSAGE_HISTORY)
    await connect(adapter, once_connected)
    await until(lambda: once_connected.gaps)
    ((since_ms, until_ms, reason),) = once_connected.gaps
    assert since_ms < until_ms and str(ROOM) in reason
    assert any("Read Message History" in one for one in adapter.health().missing)


async def test_only_the_configured_rooms_are_read_back(sink: MemorySink) -> None:
    other = ChannelSeed(920_000_000_000_000_002, "other")
    guild = GuildSeed(GUILD_ID, "Workshop", (DEFAULT_CHANNEL, other))
    async with DiscordEmulator([GATE], [guild], rate_limits=NO_RATE_LIMITS) as emulator:
        adapter = make_adapter(emulator, rooms=[str(other.id)])
        await connect(adapter, sink)
        await until(lambda: str(other.id) in sink.cursor_values)
        await adapter.stop()
    assert str(ROOM) not in sink.cursor_values
