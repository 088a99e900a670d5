"""Receiving over sockets against the emulator: stored before acknowledged, delivered again when not, nothing twice."""

import asyncio
import itertools
import time

import pytest
from channel_stage import MemorySink, until
from slack_stage import HASTY, TEAM, is_connected, make_adapter, make_emulator, room

from channels.emulators.slack import DEFAULT_USER, Person, SlackEmulator
from channels.messages import Addressed, Deleted, Edited, HealthState, Ignored, Inbound, Operation, Rendered
from channels.slack.adapter import SlackAdapter


def inbounds(sink: MemorySink) -> list[Inbound]:
    return [one for one in sink.stored.values() if isinstance(one, Inbound)]


async def test_what_a_person_writes_is_stored_and_then_acknowledged(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    said = emulator.say("hello")
    await until(lambda: sink.texts == ["hello"])
    (inbound,) = inbounds(sink)
    channel = emulator.direct()
    assert inbound.delivery_id == f"msg:{TEAM}:{channel}:{said.ts}"
    assert (inbound.addressed, inbound.is_direct) == (Addressed.DIRECT, True)
    assert (inbound.room, inbound.message_ref) == (room(channel, said.ts), said.ts)
    assert inbound.thread_key == f"{TEAM}/{channel}/{said.ts}"
    assert (inbound.sender.id, inbound.sender.name) == (DEFAULT_USER.id, "Ada")
    await until(lambda: emulator.undelivered() == [])
    assert sink.cursor_values[f"{TEAM}/{channel}"].value == said.ts
    health = adapter.health()
    assert health.state is HealthState.CONNECTED
    assert health.last_event_at_ms is not None and abs(health.last_event_at_ms - time.time() * 1000) < 60_000
    assert health.lag_ms is not None and 0 <= health.lag_ms < 60_000


async def test_nothing_is_acknowledged_while_it_is_being_stored(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    await adapter.start(sink)
    emulator.say("hello")
    await until(lambda: sink.attempts)
    await asyncio.sleep(0.05)
    assert emulator.tally.acknowledged == 0
    sink.gate.set()
    await until(lambda: emulator.tally.acknowledged == 1)


async def test_a_failed_commit_is_not_acknowledged_and_the_message_comes_again(
    sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_emulator(timing=HASTY) as emulator:
        adapter = make_adapter(emulator)
        sink.failures = [OSError("disk full"), OSError("disk full")]
        await adapter.start(sink)
        await until(lambda: is_connected(adapter))
        said = emulator.say("hello")
        await until(lambda: adapter.health().state is HealthState.DEGRADED)
        assert "not acknowledged" in (adapter.health().detail or "")
        await until(lambda: sink.texts == ["hello"])
        await until(lambda: emulator.undelivered() == [])
        assert sink.attempts[:3] == [[f"msg:{TEAM}:{emulator.direct()}:{said.ts}"]] * 3
        assert emulator.lost() == []
        await until(lambda: is_connected(adapter))
        assert "disk full" in caplog.text
        await adapter.stop()


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1))))
@pytest.mark.parametrize("times", [1, 2])
async def test_a_mention_that_comes_twice_is_one_message_in_any_order(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, order: tuple[int, int], times: int
) -> None:
    channel = emulator.open_channel("general")
    await adapter.start(sink)
    emulator.hold_events()
    said = emulator.say("<@" + emulator.bot().user_id + "> hello", channel=channel)
    held = [one.id for one in emulator.undelivered()]
    assert [one.payload["event"]["type"] for one in emulator.undelivered()] == ["message", "app_mention"]
    emulator.release_events([held[place] for place in order[:times]])
    await until(lambda: emulator.tally.acknowledged == times)
    (inbound,) = inbounds(sink)
    assert (inbound.addressed, inbound.text) == (Addressed.MENTION, "hello")
    assert inbound.room == room(channel, said.ts)
    assert len(sink.stored) == 1


async def test_a_message_in_a_channel_is_ambient_and_names_its_thread(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    await adapter.start(sink)
    root = emulator.say("to nobody", channel=channel)
    reply = emulator.say("a reply", channel=channel, thread_ts=root.ts)
    await until(lambda: len(inbounds(sink)) == 2)
    assert [one.addressed for one in inbounds(sink)] == [Addressed.AMBIENT] * 2
    assert {one.thread_key for one in inbounds(sink)} == {f"{TEAM}/{channel}/{root.ts}"}
    assert [(one.message_ref, one.reply_to) for one in inbounds(sink)] == [
        (root.ts, None),
        (reply.ts, root.ts),
    ]


async def test_messages_of_a_room_keep_their_order(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    await adapter.start(sink)
    await until(lambda: len(emulator.sockets) == 2)
    people = [Person(f"U{number:04}", f"p{number}") for number in range(10)]
    for number in range(100):
        emulator.say(f"message {number}", channel=channel, user=people[number % 10])
    await until(lambda: len(inbounds(sink)) == 100)
    # Slack spreads them over two sockets, so neighbours may swap; nothing is far from its place.
    places = [int(text.removeprefix("message ")) for text in sink.texts]
    assert sorted(places) == list(range(100))
    assert [place for at, place in enumerate(places) if at != place] == []
    newest = emulator.messages(channel)[-1].ts
    assert sink.cursor_values[f"{TEAM}/{channel}"].value == newest


async def test_a_redelivery_changes_nothing(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    emulator.say("hello")
    await until(lambda: emulator.tally.acknowledged == 1)
    emulator.redeliver(delivery_id=emulator.finished()[-1].id)
    await until(lambda: emulator.tally.acknowledged == 2)
    assert sink.texts == ["hello"]
    assert len(sink.attempts) == 2


async def test_an_old_message_that_comes_late_does_not_move_the_cursor_back(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.direct()
    await adapter.start(sink)
    emulator.hold_events()
    emulator.say("first")
    second = emulator.say("second")
    first_id, second_id = (one.id for one in emulator.undelivered())
    emulator.release_events([second_id])
    await until(lambda: sink.texts == ["second"])
    emulator.release_events([first_id])
    await until(lambda: sink.texts == ["second", "first"])
    assert sink.cursor_values[f"{TEAM}/{channel}"].value == second.ts


async def test_edits_and_deletions_are_told(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.direct()
    await adapter.start(sink)
    said = emulator.say("helo")
    emulator.edit(channel, said.ts, "hello")
    emulator.delete(channel, said.ts)
    await until(lambda: len(sink.stored) == 3)
    kinds = {type(one): one for one in sink.stored.values()}
    edited, deleted = kinds[Edited], kinds[Deleted]
    assert isinstance(edited, Edited) and (edited.message_ref, edited.text) == (said.ts, "hello")
    assert isinstance(deleted, Deleted) and deleted.message_ref == said.ts
    assert edited.room == deleted.room == room(channel, said.ts)


async def test_what_slack_gave_up_on_while_the_store_failed_is_read_back(sink: MemorySink) -> None:
    async with make_emulator(timing=HASTY) as emulator:
        adapter = make_adapter(emulator)
        await adapter.start(sink)
        await until(lambda: is_connected(adapter))
        sink.failures = [OSError("disk full")] * 4
        emulator.say("nearly lost")
        await until(emulator.lost)
        assert sink.texts == []
        emulator.say("later")
        await until(lambda: sorted(sink.texts) == ["later", "nearly lost"])
        await until(lambda: is_connected(adapter))
        await adapter.stop()


async def test_files_come_with_their_message(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    emulator.upload("notes.txt", b"some notes", text="look", mimetype="text/plain")
    await until(lambda: sink.texts == ["look"])
    (attachment,) = inbounds(sink)[0].attachments
    assert (attachment.name, attachment.media_type, attachment.size_bytes) == ("notes.txt", "text/plain", 10)
    pieces = [piece async for piece in adapter.download(attachment, 100)]
    assert b"".join(pieces) == b"some notes"


async def test_our_own_messages_come_back_and_say_nothing(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    channel = emulator.direct()
    receipt = await adapter.send(Operation("dlv_1", 1), room(channel), Rendered("hi"))
    await until(lambda: sink.stored)
    (echo,) = sink.stored.values()
    assert echo == Ignored(f"msg:{TEAM}:{channel}:{receipt.ref}", "our own message")


async def test_everything_else_is_acknowledged_as_ignored(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    channel = emulator.open_channel("general")
    await adapter.start(sink)
    said = emulator.say("hello", channel=channel)
    emulator.react(channel, said.ts, "eyes")
    emulator.join(channel, emulator.world.add_person(emulator.team(), Person("U9", "nine")).id)
    emulator.open_home(tab="home")
    await until(lambda: emulator.undelivered() == [])
    assert emulator.lost() == []
    reasons = {one.reason for one in sink.stored.values() if isinstance(one, Ignored)}
    assert reasons >= {"event reaction_added", "event member_joined_channel"}


async def test_a_stop_finishes_what_is_being_stored(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    sink.gate.clear()
    await adapter.start(sink)
    emulator.say("hello")
    await until(lambda: sink.attempts)
    stopping = asyncio.create_task(adapter.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    sink.gate.set()
    await stopping
    assert sink.texts == ["hello"]
    await until(lambda: emulator.tally.acknowledged == 1)
    assert adapter.health().state is HealthState.STOPPED


async def test_it_can_be_started_again(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    await adapter.start(sink)
    with pytest.raises(RuntimeError):
        await adapter.start(sink)
    await until(lambda: is_connected(adapter))
    await adapter.stop()
    await adapter.stop()
    await until(lambda: emulator.sockets == [])
    await adapter.start(sink)
    emulator.say("again")
    await until(lambda: sink.texts == ["again"])
