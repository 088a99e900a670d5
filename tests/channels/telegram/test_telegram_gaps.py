"""Silence and loss: that we listen is noted, and what nobody can know any more is reported, once."""

import time

import pytest
from channel_stage import MemorySink, until
from telegram_stage import make_adapter

from channels.emulators.telegram import TelegramEmulator
from channels.messages import HealthState
from channels.telegram.adapter import TelegramAdapter

MINUTE_MS = 60 * 1000
DAY_MS = 24 * 60 * MINUTE_MS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def left_at(sink: MemorySink, ago_ms: int, value: str = "700000001") -> int:
    """Receiving stood at `value` so long ago; returns when that was."""
    at_ms = now_ms() - ago_ms
    sink.now_ms = at_ms
    sink.cursor_value = value
    sink.now_ms = now_ms()
    return at_ms


async def connected(adapter: TelegramAdapter, sink: MemorySink) -> None:
    await adapter.start(sink)
    await until(lambda: adapter.health().state is HealthState.CONNECTED)


async def test_that_we_listen_is_noted_every_few_minutes(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_at(sink, 6 * MINUTE_MS)
    await connected(adapter, sink)
    assert sink.attempts == [[]]
    assert sink.cursor_value == "700000001"
    assert sink.gaps == []
    await adapter.stop()
    await connected(adapter, sink)
    assert sink.attempts == [[]], "noted a moment ago"


async def test_it_is_noted_although_nobody_ever_wrote(
    emulator: TelegramEmulator, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.telegram.receiving.ALIVE_NOTE_MS", 0)
    adapter = make_adapter(emulator.url)
    await connected(adapter, sink)
    assert sink.cursor_value == "0"
    await adapter.stop()
    emulator.say("first")
    await adapter.start(sink)
    await until(lambda: sink.texts == ["first"])
    await adapter.stop()


async def test_nothing_is_noted_while_the_network_does_not_answer(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_at(sink, 6 * MINUTE_MS)
    emulator.faults.add("error", "getUpdates", count=100_000)
    await adapter.start(sink)
    await until(lambda: len(emulator.calls.select("getUpdates")) > 3)
    assert sink.attempts == []


async def test_more_than_a_day_of_silence_is_a_gap_and_told_once(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_ms = left_at(sink, DAY_MS + 60 * MINUTE_MS)
    emulator.faults.add("error", "getUpdates", count=3)
    await connected(adapter, sink)
    ((since_ms, until_ms, reason),) = sink.gaps
    assert since_ms == left_ms
    assert abs(until_ms - (now_ms() - DAY_MS)) < MINUTE_MS
    assert "longer than Telegram keeps messages" in reason
    await adapter.stop()
    await connected(adapter, sink)
    assert len(sink.gaps) == 1


async def test_a_day_of_silence_before_a_message_is_told_as_well(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_at(sink, 2 * DAY_MS)
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts)
    assert len(sink.gaps) == 1


@pytest.mark.parametrize("ago_ms", [0, DAY_MS - 10 * MINUTE_MS])
async def test_what_telegram_kept_is_no_gap(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, ago_ms: int
) -> None:
    left_at(sink, ago_ms)
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts)
    assert sink.gaps == []


async def test_updates_that_are_missing_among_others_are_a_gap(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    emulator.say("one")
    emulator.skip_update_ids(3)
    emulator.say("two")
    await adapter.start(sink)
    await until(lambda: sink.texts == ["one", "two"])
    ((_, _, reason),) = sink.gaps
    assert reason == "3 of the updates numbered 700000001 to 700000005 were never delivered"


async def test_updates_that_are_missing_between_two_batches_are_a_gap(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    emulator.say("one")
    await until(lambda: sink.texts == ["one"])
    emulator.skip_update_ids(1)
    sink.failures = [OSError("disk full")] * 3
    emulator.say("two")
    await until(lambda: sink.texts == ["one", "two"])
    ((since_ms, until_ms, reason),) = sink.gaps
    assert 0 <= until_ms - since_ms < MINUTE_MS
    assert reason.startswith("1 of the updates")


async def test_where_an_earlier_session_ended_tells_nothing(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    left_at(sink, MINUTE_MS)
    emulator.skip_update_ids(5)
    emulator.say("hello")
    await adapter.start(sink)
    await until(lambda: sink.texts)
    assert sink.gaps == []


async def test_an_update_that_comes_again_is_no_gap_and_sets_nothing_back(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    first = emulator.say("one")
    emulator.say("two")
    await until(lambda: sink.texts == ["one", "two"])
    assert first.update_id is not None
    emulator.redeliver(first.update_id)
    await until(lambda: sum(str(first.update_id) in attempt for attempt in sink.attempts) == 2)
    emulator.say("three")
    await until(lambda: sink.texts == ["one", "two", "three"])
    await until(lambda: emulator.pending_updates() == [])
    assert sink.gaps == []
