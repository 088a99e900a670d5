"""After downtime: what was said meanwhile is read back once, in order, politely; what is too much is reported."""

import pytest
from channel_stage import MemorySink, until
from slack_stage import TEAM, is_connected, make_adapter, room

from channels.emulators.slack import FaultKind, SlackEmulator
from channels.messages import Cursor, Edited, Inbound
from channels.slack.adapter import SlackAdapter


async def away(emulator: SlackEmulator, sink: MemorySink) -> None:
    """Run once, so that rooms are known, and be away while Slack gives up on everything."""
    adapter = make_adapter(emulator)
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    await until(lambda: emulator.undelivered() == [])
    await adapter.stop()
    await until(lambda: emulator.sockets == [])
    emulator.stop_redelivering()


async def gave_up(emulator: SlackEmulator) -> None:
    await until(lambda: emulator.undelivered() == [])
    emulator.stop_redelivering(stops=False)


async def test_messages_edits_and_replies_that_were_missed_are_read_back(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    before = emulator.say("before", channel=channel)
    direct = emulator.say("before, directly")
    await away(emulator, sink)
    emulator.say("missed", channel=channel)
    emulator.say("missed reply", channel=channel, thread_ts=before.ts)
    emulator.edit(channel, before.ts, "before, edited")
    emulator.say("missed, directly", thread_ts=direct.ts)
    await gave_up(emulator)
    await adapter.start(sink)
    wanted = {"before", "before, directly", "missed", "missed reply", "missed, directly"}
    await until(lambda: set(sink.texts) == wanted)
    await until(lambda: any(isinstance(one, Edited) for one in sink.stored.values()))
    assert len(sink.texts) == len(wanted)
    texts = [text for text in sink.texts if text in ("missed", "missed reply")]
    assert texts == ["missed", "missed reply"]
    (reply,) = [
        one for one in sink.stored.values() if isinstance(one, Inbound) and one.text == "missed reply"
    ]
    assert (reply.room, reply.reply_to) == (room(channel, before.ts), before.ts)
    newest = emulator.messages(channel)[-1].ts
    await until(lambda: sink.cursor_values[f"{TEAM}/{channel}"].value == newest)
    assert sink.gaps == []


async def test_what_comes_late_as_an_event_is_the_same_delivery(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    emulator.say("before", channel=channel)
    await away(emulator, sink)
    emulator.say("missed", channel=channel)
    await gave_up(emulator)
    missed = emulator.lost()[-1]
    await adapter.start(sink)
    await until(lambda: "missed" in sink.texts)
    emulator.redeliver(delivery_id=missed.id)
    await until(lambda: emulator.undelivered() == [])
    assert sink.texts == ["before", "missed"]


async def test_an_outage_while_running_is_caught_up_too(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    emulator.say("before")
    await until(lambda: sink.texts == ["before"])
    emulator.refuse_upgrades(10_000)
    emulator.drop_sockets()
    emulator.stop_redelivering()
    emulator.say("meanwhile")
    await until(lambda: emulator.undelivered() == [])
    assert sink.texts == ["before"]
    emulator.refuse_upgrades(0)
    await until(lambda: sink.texts == ["before", "meanwhile"])


async def test_a_rate_limit_and_a_failing_store_are_waited_out(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    emulator.say("before", channel=channel)
    await away(emulator, sink)
    emulator.say("missed", channel=channel)
    await gave_up(emulator)
    emulator.faults.add(FaultKind.RATE_LIMIT, "conversations.history", retry_after_s=1)
    emulator.faults.add(FaultKind.DROP, "conversations.history", count=2)
    sink.failures = [OSError("disk full")]
    await adapter.start(sink)
    await until(lambda: sink.texts == ["before", "missed"])


async def test_the_cursor_waits_for_what_is_not_read_yet(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    before = emulator.say("before", channel=channel)
    await away(emulator, sink)
    emulator.say("missed", channel=channel)
    await gave_up(emulator)
    emulator.faults.add(FaultKind.DROP, "conversations.history", count=1_000)
    await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    emulator.say("live", channel=channel)
    await until(lambda: "live" in sink.texts)
    assert sink.cursor_values[f"{TEAM}/{channel}"].value == before.ts
    assert "missed" not in sink.texts


async def test_rooms_that_are_gone_do_not_keep_the_others_from_being_read(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    emulator.say("before")
    await away(emulator, sink)
    sink.cursor_values[f"{TEAM}/C404"] = Cursor("1900000000.000001", 0)
    emulator.say("missed")
    await gave_up(emulator)
    await adapter.start(sink)
    await until(lambda: sink.texts == ["before", "missed"])


async def test_more_than_is_read_back_is_reported(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.slack.history.CATCH_UP_PAGES_MAX", 1)
    monkeypatch.setattr("channels.slack.reconciling.HISTORY_PAGE", 5)
    channel = emulator.open_channel("general")
    before = emulator.say("before", channel=channel)
    await away(emulator, sink)
    for number in range(20):
        emulator.say(f"missed {number}", channel=channel)
    await gave_up(emulator)
    await adapter.start(sink)
    await until(lambda: sink.gaps)
    ((since_ms, until_ms, reason),) = sink.gaps
    assert abs(since_ms - float(before.ts) * 1000) < 2 and until_ms >= since_ms
    assert channel in reason
    assert "missed 19" in sink.texts
