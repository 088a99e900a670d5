"""Files both ways against the emulator: as what they are sent, and what may be fetched."""

import pytest
from channel_stage import MemorySink, until
from telegram_stage import ADA, GATE, make_adapter

from channels.emulators.telegram import FaultKind, FileLimits, Message, TelegramEmulator
from channels.errors import AuthLost, ChannelError, Gone, Permanent, TooLarge, UnknownOutcome, Unreachable
from channels.messages import Attachment, Inbound, Operation, OutboundFile, Receipt, Rendered, RoomRef
from channels.telegram.adapter import TelegramAdapter

OPERATION = Operation("dlv_1", attempt=1)
NO_CAPTION = Rendered("")
LIMIT_BYTES = 1_000_000
FORUM = -1_000_000_000_500


@pytest.fixture(autouse=True)
def introduced(emulator: TelegramEmulator) -> None:
    """Bots cannot write first: a person has."""
    emulator.say("hello")


def from_bot(emulator: TelegramEmulator, chat_id: int = 1001) -> list[Message]:
    return [message for message in emulator.messages(chat_id) if message.sender == GATE]


def png(width: int, height: int) -> bytes:
    """As much of a PNG as says how large it is."""
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        + width.to_bytes(4, "big")
        + height.to_bytes(4, "big")
        + b"\x08\2\0\0\0"
    )


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (OutboundFile("plan.pdf", "application/pdf", b"%PDF-1.7"), "document"),
        (OutboundFile("view.png", "image/png", png(640, 480)), "photo"),
        (OutboundFile("note.ogg", "audio/ogg", b"OggS"), "voice"),
        (OutboundFile("song.mp3", "audio/mpeg", b"ID3"), "audio"),
        (OutboundFile("clip.mp4", "video/mp4", b"ftyp"), "video"),
    ],
)
async def test_a_file_arrives_with_its_caption(
    emulator: TelegramEmulator, adapter: TelegramAdapter, file: OutboundFile, kind: str
) -> None:
    (caption,) = adapter.render("**the** file", ADA)
    receipt = await adapter.upload(OPERATION, ADA, caption, file)
    (message,) = from_bot(emulator)
    assert receipt == Receipt(str(message.id))
    assert message.content.media is not None
    assert (message.content.media.kind, message.content.media.files[-1].data) == (kind, file.data)
    assert (message.text, message.entities) == ("the file", caption.payload["entities"])


async def test_a_file_goes_to_its_topic(emulator: TelegramEmulator, adapter: TelegramAdapter) -> None:
    emulator.say("@gate_bot hi", chat_id=FORUM, message_thread_id=77)
    await adapter.upload(
        OPERATION, RoomRef(str(FORUM), "77"), NO_CAPTION, OutboundFile("a.txt", "text/plain", b"a")
    )
    assert [message.thread_id for message in from_bot(emulator, FORUM)] == [77]


async def test_a_picture_telegram_refuses_arrives_as_a_document(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    await adapter.upload(OPERATION, ADA, NO_CAPTION, OutboundFile("line.png", "image/png", png(5000, 20)))
    (message,) = from_bot(emulator)
    assert message.content.media is not None and message.content.media.kind == "document"
    assert [call.method for call in emulator.calls.select() if call.method.startswith("send")] == [
        "sendPhoto",
        "sendDocument",
    ]


async def test_a_lost_answer_to_an_upload_leaves_one_file_and_an_unknown_outcome(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    emulator.faults.add(FaultKind.COMMIT_THEN_DROP, "sendPhoto")
    with pytest.raises(UnknownOutcome):
        await adapter.upload(OPERATION, ADA, NO_CAPTION, OutboundFile("view.png", "image/png", png(9, 9)))
    assert len(from_bot(emulator)) == 1


async def test_a_file_that_is_too_large_is_not_even_sent(
    emulator: TelegramEmulator, adapter: TelegramAdapter
) -> None:
    with pytest.raises(TooLarge):
        await adapter.upload(OPERATION, ADA, NO_CAPTION, OutboundFile("a", "text/plain", bytes(50_000_001)))
    assert emulator.calls.select("sendDocument") == []


async def test_a_file_the_server_finds_too_large_will_never_be_taken() -> None:
    limits = FileLimits(upload_max=10)
    async with TelegramEmulator([GATE], file_limits=limits) as emulator:
        emulator.say("hello")
        adapter = make_adapter(emulator.url)
        with pytest.raises(TooLarge):
            await adapter.upload(OPERATION, ADA, NO_CAPTION, OutboundFile("a.txt", "text/plain", bytes(11)))
        await adapter.stop()


async def received(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, data: bytes
) -> Attachment:
    """The attachment of a document that Ada sends."""
    emulator.send_file("document", data, name="data.bin", mime="application/octet-stream", caption="here")
    await adapter.start(sink)
    await until(lambda: "here" in sink.texts)
    (attachment,) = next(
        one.attachments for one in sink.stored.values() if isinstance(one, Inbound) and one.attachments
    )
    return attachment


async def fetched(adapter: TelegramAdapter, attachment: Attachment, limit_bytes: int = LIMIT_BYTES) -> bytes:
    return b"".join([piece async for piece in adapter.download(attachment, limit_bytes)])


async def test_what_somebody_sent_can_be_fetched(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    data = bytes(range(256)) * 1000
    attachment = await received(emulator, adapter, sink, data)
    assert (attachment.name, attachment.size_bytes) == ("data.bin", len(data))
    pieces = [piece async for piece in adapter.download(attachment, LIMIT_BYTES)]
    assert b"".join(pieces) == data
    assert len(pieces) > 1


async def test_what_is_larger_than_allowed_is_not_asked_for(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    attachment = await received(emulator, adapter, sink, bytes(100))
    with pytest.raises(TooLarge):
        await fetched(adapter, attachment, limit_bytes=99)
    assert emulator.calls.select("getFile") == []


@pytest.mark.parametrize("claimed", [None, 1])
async def test_the_limit_holds_whatever_was_claimed(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, claimed: int | None
) -> None:
    attachment = await received(emulator, adapter, sink, bytes(100))
    liar = Attachment(attachment.key, attachment.name, None, claimed)
    with pytest.raises(TooLarge):
        await fetched(adapter, liar, limit_bytes=99)
    assert emulator.calls.select("download") == []


async def test_a_body_that_is_longer_than_was_said_is_cut_off_while_it_comes(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment = await received(emulator, adapter, sink, bytes(300_000))
    ids = {"file_id": attachment.key["file_id"], "file_unique_id": "AQ"}
    monkeypatch.setattr("channels.emulators.telegram.file_methods.file_to_wire", lambda *_: ids)
    monkeypatch.setattr("channels.telegram.adapter.DOWNLOAD_MAX_BYTES", 100_000)
    arrived = 0
    liar = Attachment(attachment.key, attachment.name)
    with pytest.raises(TooLarge, match="100000"):
        async for piece in adapter.download(liar, LIMIT_BYTES):
            arrived += len(piece)
    assert arrived <= 100_000


async def test_what_is_beyond_the_20_megabytes_of_bots_is_too_large(sink: MemorySink) -> None:
    async with TelegramEmulator([GATE], file_limits=FileLimits(download_max=50)) as emulator:
        adapter = make_adapter(emulator.url)
        attachment = await received(emulator, adapter, sink, bytes(51))
        with pytest.raises(TooLarge, match="too big"):
            await fetched(adapter, attachment)
        await adapter.stop()


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        (FaultKind.DROP, 500, Unreachable),
        (FaultKind.COMMIT_THEN_DROP, 500, Unreachable),
        (FaultKind.ERROR, 500, Unreachable),
        (FaultKind.ERROR, 401, AuthLost),
        (FaultKind.ERROR, 404, Gone),
    ],
)
async def test_a_download_that_breaks_off_can_be_begun_again(
    emulator: TelegramEmulator,
    adapter: TelegramAdapter,
    sink: MemorySink,
    kind: FaultKind,
    code: int,
    error: type[ChannelError],
) -> None:
    attachment = await received(emulator, adapter, sink, b"data")
    emulator.faults.add(kind, "download", code=code)
    with pytest.raises(error) as raised:
        await fetched(adapter, attachment)
    assert GATE.token not in str(raised.value)
    assert await fetched(adapter, attachment) == b"data"


async def test_a_link_that_could_not_be_asked_for_can_be_asked_for_again(
    emulator: TelegramEmulator, adapter: TelegramAdapter, sink: MemorySink
) -> None:
    attachment = await received(emulator, adapter, sink, b"data")
    emulator.faults.add(FaultKind.DROP, "getFile")
    with pytest.raises(Unreachable):
        await fetched(adapter, attachment)


async def test_a_file_nobody_knows_is_refused_for_good(adapter: TelegramAdapter) -> None:
    with pytest.raises(Permanent):
        await fetched(adapter, Attachment({"file_id": "nothing"}, "x"))
