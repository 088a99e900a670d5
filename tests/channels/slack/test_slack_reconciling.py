"""After a lost answer: the message is found, or it is certain that there is none, and there is exactly one post."""

import time

import pytest
from channel_stage import MemorySink, until
from slack_stage import make_adapter, room

from channels.emulators.slack import FaultKind, SlackEmulator
from channels.errors import RateLimited, UnknownOutcome
from channels.messages import Finding, Operation, OutboundFile, Rendered, RoomRef
from channels.slack.adapter import SlackAdapter
from channels.slack.outbound import marker
from channels.slack.received import BotIdentity
from channels.slack.reconciling import find

CONTENT = Rendered("the answer")
BOT = BotIdentity("T1", "UBOT", "BBOT")
AT_MS = 1_800_000_000_000


def attempt(op: str = "dlv_1", ago_s: float = 0.0) -> Operation:
    return Operation(op, 1, attempted_at_ms=int((time.time() - ago_s) * 1000))


def posts(emulator: SlackEmulator, where: RoomRef) -> int:
    return len([one for one in emulator.messages(where.room.partition("/")[2]) if one.bot is not None])


@pytest.fixture(params=["thread", "channel"])
def where(emulator: SlackEmulator, request: pytest.FixtureRequest) -> RoomRef:
    channel = emulator.open_channel("general")
    said = emulator.say("hello", channel=channel)
    return room(channel, said.ts if request.param == "thread" else None)


async def deliver(adapter: SlackAdapter, operation: Operation, where: RoomRef) -> None:
    """What the core does: send; when in doubt look, and send again only what is certainly not there."""
    try:
        await adapter.send(operation, where, CONTENT)
    except UnknownOutcome:
        found = await adapter.reconcile(operation, where, CONTENT)
        if found.finding is Finding.ABSENT:
            await adapter.send(operation, where, CONTENT)


async def test_commit_then_drop_leaves_exactly_one_post(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "chat.postMessage")
    await deliver(adapter, attempt(), where)
    assert posts(emulator, where) == 1


async def test_a_send_that_never_happened_is_repeated_once(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    emulator.faults.add(FaultKind.DROP, "chat.postMessage")
    await deliver(adapter, attempt(), where)
    assert posts(emulator, where) == 1


async def test_it_is_found_after_a_restart_among_many(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    operation = attempt()
    receipt = await adapter.send(operation, where, CONTENT)
    for number in range(300):
        emulator.say(f"noise {number}", channel=where.room.partition("/")[2], thread_ts=where.topic)
    restarted = make_adapter(emulator)
    found = await restarted.reconcile(operation, where, CONTENT)
    assert (found.finding, found.receipt) == (Finding.FOUND, receipt)
    await restarted.stop()


async def test_what_is_not_there_is_absent(adapter: SlackAdapter, where: RoomRef) -> None:
    """One look: that it is looked for twice is the core's, for every network that reads back."""
    assert (await adapter.reconcile(attempt(), where, CONTENT)).finding is Finding.ABSENT


async def test_what_cannot_be_read_cannot_be_known(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    emulator.remove_scope("channels:history")
    assert (await adapter.reconcile(attempt(), where, CONTENT)).finding is Finding.UNKNOWABLE


async def test_a_rate_limit_puts_the_question_off(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    emulator.faults.add(FaultKind.RATE_LIMIT, retry_after_s=9)
    with pytest.raises(RateLimited):
        await adapter.reconcile(attempt(), where, CONTENT)


async def test_our_own_echo_answers_without_a_question(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, where: RoomRef
) -> None:
    await adapter.start(sink)
    operation = attempt()
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "chat.postMessage")
    with pytest.raises(UnknownOutcome):
        await adapter.send(operation, where, CONTENT)
    await until(lambda: operation.id in adapter._reconciler.echoes)
    assert "our own message" in {getattr(one, "reason", "") for one in sink.stored.values()}
    assert (await adapter.reconcile(operation, where, CONTENT)).finding is Finding.FOUND
    methods = {call.method for call in emulator.calls.select()}
    assert not methods & {"conversations.history", "conversations.replies"}


async def test_an_upload_whose_answer_was_lost_is_found_by_its_caption(
    emulator: SlackEmulator, adapter: SlackAdapter, where: RoomRef
) -> None:
    file = OutboundFile("a.txt", "text/plain", b"abc")
    first, second = attempt("dlv_1"), attempt("dlv_2")
    content = Rendered("your file", blob_id="blb_1")
    await adapter.upload(first, where, content, file)
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "files.completeUploadExternal")
    with pytest.raises(UnknownOutcome):
        await adapter.upload(second, where, content, file)
    found = await adapter.reconcile(second, where, content)
    newest = emulator.messages(where.room.partition("/")[2])[-1]
    assert found.receipt is not None and found.receipt.ref == newest.ts


def ours(ts: str, **more: object) -> dict[str, object]:
    return {"ts": ts, "user": "UBOT", "bot_id": "BBOT", "text": "the answer", **more}


def test_a_marker_decides() -> None:
    operation = Operation("dlv_1", 1, attempted_at_ms=AT_MS)
    messages = [
        ours("1800000001.000001", metadata=marker("dlv_2")),
        ours("1800000002.000001", metadata=marker("dlv_1")),
    ]
    assert find(messages, operation, CONTENT, BOT, lambda ts: False) == "1800000002.000001"
    assert find(messages[:1], operation, CONTENT, BOT, lambda ts: False) is None


@pytest.mark.parametrize(
    "message",
    [
        ours("1799999900.000001"),
        ours("1800000001.000001", files=[{"id": "F1"}]),
        ours("1800000001.000001", subtype="channel_join"),
        ours("1800000001.000001", user="UADA", bot_id=None),
    ],
)
def test_what_cannot_be_the_stream_is_not_taken_for_it(message: dict[str, object]) -> None:
    operation = Operation("dlv_1", 1, attempted_at_ms=AT_MS)
    assert find([message], operation, CONTENT, BOT, lambda ts: False) is None


def test_a_stream_of_another_operation_is_not_taken() -> None:
    operation = Operation("dlv_1", 1, attempted_at_ms=AT_MS)
    messages = [ours("1800000001.000001"), ours("1800000002.000001")]
    assert (
        find(messages, operation, CONTENT, BOT, lambda ts: ts.startswith("1800000001")) == "1800000002.000001"
    )
