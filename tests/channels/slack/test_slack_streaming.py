"""Messages that grow: who may, what is shown, and how they end; and the status of a working agent."""

import time

import pytest
from slack_stage import make_adapter, room

from channels.emulators.slack import DEFAULT_USER, FaultKind, Message, SlackEmulator
from channels.errors import Gone, Permanent, RateLimited, StreamEnded, UnknownOutcome
from channels.messages import Finding, Operation, Receipt, Rendered, RoomRef
from channels.slack.adapter import SlackAdapter

OPERATION = Operation("dlv_1", attempt=1, recipient=DEFAULT_USER.id)


@pytest.fixture
def direct(emulator: SlackEmulator) -> RoomRef:
    return room(emulator.direct(), emulator.say("hello").ts)


@pytest.fixture
def thread(emulator: SlackEmulator) -> RoomRef:
    channel = emulator.open_channel("general")
    return room(channel, emulator.say("hello", channel=channel).ts)


def last(emulator: SlackEmulator, where: RoomRef) -> Message:
    return emulator.messages(where.room.partition("/")[2])[-1]


async def test_a_stream_grows_ends_and_becomes_the_answer(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    await adapter.append(direct, receipt.ref, "Hello ")
    await adapter.append(direct, receipt.ref, "**world**")
    message = last(emulator, direct)
    assert message.stream is not None and message.stream.is_open
    assert (message.ts, message.thread_ts) == (receipt.ref, direct.topic)
    assert "Hello **world**" in str(message.blocks)
    await adapter.close_stream(direct, receipt.ref)
    assert message.metadata is not None and message.metadata["event_payload"] == {"op": "dlv_1"}
    await adapter.close_stream(direct, receipt.ref)
    (content,) = adapter.render("Hello **world**!", direct)
    assert await adapter.edit(OPERATION, direct, receipt.ref, content) == Receipt(receipt.ref)
    assert last(emulator, direct).blocks[0]["text"] == "Hello **world**!"


async def test_in_a_channel_a_stream_is_for_somebody(
    emulator: SlackEmulator, adapter: SlackAdapter, thread: RoomRef
) -> None:
    with pytest.raises(Permanent):
        await adapter.open_stream(Operation("dlv_1", 1), thread)
    await adapter.open_stream(OPERATION, thread)
    message = last(emulator, thread)
    assert message.stream is not None and message.stream.recipient == DEFAULT_USER.id


async def test_a_stream_needs_a_thread(adapter: SlackAdapter, direct: RoomRef) -> None:
    with pytest.raises(Permanent):
        await adapter.open_stream(OPERATION, RoomRef(direct.room))


async def test_a_stream_that_is_over_takes_no_more_and_takes_edits(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    emulator.expire_streams()
    with pytest.raises(StreamEnded):
        await adapter.append(direct, receipt.ref, "more")
    await adapter.close_stream(direct, receipt.ref)
    await adapter.edit(OPERATION, direct, receipt.ref, Rendered("the answer"))
    assert last(emulator, direct).text == "the answer"


async def test_a_stream_that_a_person_stopped_takes_no_more(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    assert direct.topic is not None
    emulator.stop_session(direct.room.partition("/")[2], direct.topic)
    with pytest.raises(StreamEnded):
        await adapter.append(direct, receipt.ref, "more")
    await adapter.close_stream(direct, receipt.ref)


async def test_a_piece_that_is_too_long_ends_the_stream(adapter: SlackAdapter, direct: RoomRef) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    with pytest.raises(StreamEnded):
        await adapter.append(direct, receipt.ref, "x" * 12_001)


async def test_a_stream_left_open_by_a_crash_can_be_edited(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    after_restart = make_adapter(emulator)
    await after_restart.edit(OPERATION, direct, receipt.ref, Rendered("the answer"))
    message = last(emulator, direct)
    assert (message.text, message.metadata is not None) == ("the answer", True)
    await after_restart.stop()


async def test_nobody_is_called_by_a_stream_however_it_is_cut(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    receipt = await adapter.open_stream(OPERATION, direct)
    for piece in ("see <!chan", "nel> and <", "@U0ADA> and <#C1> and a<b"):
        await adapter.append(direct, receipt.ref, piece)
    await adapter.close_stream(direct, receipt.ref)
    assert last(emulator, direct).mentions == ()


async def test_failures_of_a_stream_are_typed(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, "chat.startStream", retry_after_s=5)
    with pytest.raises(RateLimited):
        await adapter.open_stream(OPERATION, direct)
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "chat.startStream")
    with pytest.raises(UnknownOutcome):
        await adapter.open_stream(OPERATION, direct)
    with pytest.raises(Gone):
        await adapter.append(direct, "1.000001", "more")


async def test_a_stream_whose_beginning_was_lost_is_found_and_finished(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    operation = Operation("dlv_1", 1, attempted_at_ms=time.time_ns() // 1_000_000, recipient=DEFAULT_USER.id)
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "chat.startStream")
    with pytest.raises(UnknownOutcome):
        await adapter.open_stream(operation, direct)
    found = await adapter.reconcile(operation, direct, Rendered("the answer"))
    assert found.finding is Finding.FOUND and found.receipt is not None
    await adapter.edit(operation, direct, found.receipt.ref, Rendered("the answer"))
    assert last(emulator, direct).text == "the answer"


async def test_the_status_shows_until_there_is_a_message(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    assert direct.topic is not None
    await adapter.show_typing(direct)
    place = emulator.channel(direct.room.partition("/")[2]).agent_threads[direct.topic]
    assert place.status == "is thinking…"
    await adapter.send(OPERATION, direct, Rendered("hi"))
    assert place.status == ""


async def test_a_status_that_slack_does_not_take_is_no_failure(
    emulator: SlackEmulator, adapter: SlackAdapter, direct: RoomRef
) -> None:
    await adapter.show_typing(RoomRef(direct.room))
    await adapter.show_typing(RoomRef(direct.room, "1.000001"))
    emulator.set_scopes({"im:history"})
    await adapter.show_typing(direct)
    await adapter.show_typing(direct)
    assert len(emulator.calls.select("assistant.threads.setStatus")) <= 3
