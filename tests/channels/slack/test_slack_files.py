"""Files both ways: sent in three steps, fetched with the token only where it belongs, never beyond the limit."""

import pytest
from channel_stage import MemorySink, until
from slack_stage import TEAM, room

from channels.emulators.slack import FaultKind, SlackEmulator
from channels.errors import AuthLost, ChannelError, Gone, Permanent, TooLarge, UnknownOutcome, Unreachable
from channels.messages import Attachment, Inbound, Operation, OutboundFile, Rendered
from channels.slack.adapter import SlackAdapter
from channels.slack.downloads import is_slacks
from channels.slack.uploads import shared_ts

OPERATION = Operation("dlv_1", 1)
FILE = OutboundFile("report.csv", "text/csv", b"a,b\n1,2\n")
CAPTION = Rendered("the numbers", blob_id="blb_1")


async def attachment_of(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink, data: bytes
) -> Attachment:
    """A file that a person sent."""
    await adapter.start(sink)
    emulator.upload("x.bin", data, text="look")
    await until(lambda: sink.texts)
    (inbound,) = [one for one in sink.stored.values() if isinstance(one, Inbound)]
    return inbound.attachments[0]


async def fetched(adapter: SlackAdapter, attachment: Attachment, limit_bytes: int = 10_000_000) -> bytes:
    return b"".join([piece async for piece in adapter.download(attachment, limit_bytes)])


async def test_a_file_arrives_in_its_thread_with_its_caption(
    emulator: SlackEmulator, adapter: SlackAdapter
) -> None:
    channel = emulator.open_channel("general")
    where = room(channel, emulator.say("hello", channel=channel).ts)
    receipt = await adapter.upload(OPERATION, where, CAPTION, FILE)
    message = emulator.messages(channel)[-1]
    assert (message.ts, message.thread_ts, message.text) == (receipt.ref, where.topic, "the numbers")
    assert [(file.name, file.content) for file in message.files] == [("report.csv", FILE.data)]


async def test_a_file_needs_no_caption(emulator: SlackEmulator, adapter: SlackAdapter) -> None:
    channel = emulator.open_channel("general")
    receipt = await adapter.upload(OPERATION, room(channel), Rendered("", blob_id="blb_1"), FILE)
    assert emulator.messages(channel)[-1].ts == receipt.ref


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.COMMIT_THEN_DROP])
async def test_before_the_completion_nothing_has_happened_for_certain(
    emulator: SlackEmulator, adapter: SlackAdapter, kind: FaultKind
) -> None:
    channel = emulator.open_channel("general")
    emulator.faults.add(kind, "files.getUploadURLExternal")
    with pytest.raises(Unreachable):
        await adapter.upload(OPERATION, room(channel), CAPTION, FILE)
    assert emulator.messages(channel) == []


async def test_a_lost_completion_is_unknown(emulator: SlackEmulator, adapter: SlackAdapter) -> None:
    channel = emulator.open_channel("general")
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "files.completeUploadExternal")
    with pytest.raises(UnknownOutcome):
        await adapter.upload(OPERATION, room(channel), CAPTION, FILE)
    assert len(emulator.messages(channel)) == 1


async def test_empty_files_and_gone_rooms_are_refused(emulator: SlackEmulator, adapter: SlackAdapter) -> None:
    channel = emulator.open_channel("general")
    with pytest.raises(Permanent):
        await adapter.upload(OPERATION, room(channel), CAPTION, OutboundFile("x", "text/plain", b""))
    with pytest.raises(Gone):
        await adapter.upload(OPERATION, room("C404"), CAPTION, FILE)


async def test_bytes_come_whole_and_within_the_limit(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    data = bytes(range(256)) * 1000
    attachment = await attachment_of(emulator, adapter, sink, data)
    assert await fetched(adapter, attachment, len(data)) == data
    with pytest.raises(TooLarge):
        await fetched(adapter, attachment, len(data) - 1)
    lying = Attachment(attachment.key, attachment.name, size_bytes=1)
    with pytest.raises(TooLarge):
        await fetched(adapter, lying, len(data) - 1)


async def test_a_file_without_an_address_is_asked_for(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    attachment = await attachment_of(emulator, adapter, sink, b"abc")
    key = {**attachment.key, "url": ""}
    assert await fetched(adapter, Attachment(key, "x")) == b"abc"
    with pytest.raises(Gone):
        await fetched(adapter, Attachment({**key, "id": "F404"}, "x"))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/files-pri/T1-F1/x",
        "http://files.slack.com/files-pri/T1-F1/x",
        "https://files.slack.com.evil.example/x",
        "https://evilslack.com/x",
        "https://slack.com@evil.example/x",
        "https://user@files.slack.com/x",
        "https://files.slack.com:8443/x",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "//files.slack.com/x",
        "https://[::1/x",
        "nonsense",
    ],
)
async def test_the_token_goes_nowhere_else(emulator: SlackEmulator, adapter: SlackAdapter, url: str) -> None:
    with pytest.raises(Permanent):
        await fetched(adapter, Attachment({"team": TEAM, "id": "F1", "url": url}, "x"))
    assert emulator.calls.select() == []


@pytest.mark.parametrize("host", ["slack.com", "files.slack.com", "a.b.slack.com", "slack-files.com"])
def test_slacks_own_addresses_are_known(host: str) -> None:
    assert is_slacks(f"https://{host}/files-pri/T1-F1/x")


async def test_a_redirect_is_not_followed(
    emulator: SlackEmulator, adapter: SlackAdapter, sink: MemorySink
) -> None:
    attachment = await attachment_of(emulator, adapter, sink, b"abc")
    emulator.remove_scope("files:read")
    with pytest.raises(ChannelError) as raised:
        await fetched(adapter, attachment)
    assert isinstance(raised.value, Permanent | AuthLost)


def test_where_a_file_was_shared() -> None:
    file = {"shares": {"public": {"C1": [{"ts": "1.000001"}]}, "private": {"G1": [{"ts": "2.000001"}]}}}
    assert (shared_ts(file, "C1"), shared_ts(file, "G1"), shared_ts(file, "C2")) == (
        "1.000001",
        "2.000001",
        None,
    )
    assert shared_ts({"id": "F1"}, "C1") is None
