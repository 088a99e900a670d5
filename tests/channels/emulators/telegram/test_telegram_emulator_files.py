"""Files both ways: what is uploaded, what people send, ids, captions, albums, links and caps."""

import json
import struct
import zlib

import pytest
from aiohttp import ClientSession
from telegram import Bot, InputMediaDocument, InputMediaPhoto, InputMediaVideo, MessageEntity
from telegram.error import BadRequest, NetworkError
from telegram_emulator_cast import FORUM, GATE, GROUP, NOSY, Clock, Connect

from channels.emulators.telegram import NO_FLOOD_LIMITS, ControlError, FileLimits, TelegramEmulator
from channels.emulators.telegram.images import image_size

ADA = 1001


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def ada_said_hello(emulator: TelegramEmulator) -> int:
    return emulator.say("hello").message_id


async def test_a_document_goes_up_and_comes_down_again(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    sent = await bot.send_document(
        ADA, b"%PDF-1.7 report", filename="report.pdf", caption="the report @gate_bot"
    )
    assert sent.document is not None
    assert (sent.document.file_name, sent.document.mime_type, sent.document.file_size) == (
        "report.pdf",
        "application/pdf",
        15,
    )
    assert (sent.caption, [one.type for one in sent.caption_entities]) == (
        "the report @gate_bot",
        ["mention"],
    )
    file = await bot.get_file(sent.document.file_id)
    assert bytes(await file.download_as_bytearray()) == b"%PDF-1.7 report"
    message = emulator.messages(ADA)[-1]
    assert message.content.media is not None and message.content.media.files[0].data == b"%PDF-1.7 report"
    async with http.get(f"{emulator.url}/control/chats/{ADA}/messages") as answer:
        media = (await answer.json())[-1]["media"]
    assert (media["kind"], media["file_name"], media["size"]) == ("document", "report.pdf", 15)
    async with http.get(f"{emulator.url}{media['url']}") as answer:
        assert await answer.read() == b"%PDF-1.7 report"
        assert answer.headers["Content-Disposition"] == "attachment"


async def test_a_photo_has_sizes_the_last_of_which_is_the_best(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.send_file("photo", png(1000, 500), caption="look")
    message = (await bot.get_updates())[-1].message
    assert message is not None and message.caption == "look"
    assert [(one.width, one.height) for one in message.photo] == [
        (90, 45),
        (320, 160),
        (800, 400),
        (1000, 500),
    ]
    assert len({one.file_id for one in message.photo}) == 4
    file = await bot.get_file(message.photo[-1].file_id)
    assert image_size(bytes(await file.download_as_bytearray())) == (1000, 500)


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("voice", {"duration": 3}),
        ("audio", {"duration": 60, "title": "Song", "performer": "Ada"}),
        ("video", {"duration": 5, "width": 640, "height": 360}),
        ("sticker", {"emoji": "👍"}),
        ("document", {}),
    ],
)
async def test_people_send_files_of_every_kind(
    bot: Bot, emulator: TelegramEmulator, kind: str, facts: dict[str, object]
) -> None:
    said = emulator.send_file(kind, b"some bytes", name="thing.bin", **facts)  # type: ignore[arg-type]
    update = (await bot.get_updates())[-1]
    assert update.update_id == said.update_id and update.message is not None
    media = getattr(update.message, kind)
    assert media.file_size == 10
    wire = media.to_dict()
    assert {name: wire[name] for name in facts} == facts
    file = await bot.get_file(media.file_id)
    assert bytes(await file.download_as_bytearray()) == b"some bytes"


async def test_an_album_arrives_as_messages_with_one_group_id(bot: Bot, emulator: TelegramEmulator) -> None:
    contents = [
        emulator.file("photo", png(50, 50), caption="two of them"),
        emulator.file("photo", png(60, 60)),
    ]
    said = emulator.send_files(contents)
    updates = (await bot.get_updates())[-2:]
    assert [update.update_id for update in updates] == [one.update_id for one in said]
    groups = {update.message.media_group_id for update in updates if update.message}
    assert len(groups) == 1 and None not in groups
    alone = emulator.send_file("photo", png(50, 50))
    assert (await bot.get_updates(offset=alone.update_id))[0].message.media_group_id is None  # type: ignore[union-attr]


async def test_bots_send_albums_with_attached_files(bot: Bot, emulator: TelegramEmulator) -> None:
    sent = await bot.send_media_group(
        ADA, [InputMediaPhoto(png(50, 50), caption="one"), InputMediaVideo(b"film", duration=2)]
    )
    assert [message.effective_attachment is not None for message in sent] == [True, True]
    assert len({message.media_group_id for message in sent}) == 1 and sent[0].media_group_id
    assert sent[1].video is not None and sent[1].video.duration.total_seconds() == 2
    with pytest.raises(BadRequest, match="specified type in the album"):
        await bot.send_media_group(ADA, [InputMediaPhoto(png(50, 50)), InputMediaDocument(b"text")])
    assert len(emulator.messages(ADA)) == 3


async def test_file_ids_are_good_for_the_same_bot_and_kind(
    bot: Bot, emulator: TelegramEmulator, connect: Connect
) -> None:
    sent = await bot.send_photo(ADA, png(50, 50))
    again = await bot.send_photo(ADA, sent.photo[-1].file_id, caption="again")
    assert again.photo[-1].file_unique_id == sent.photo[-1].file_unique_id
    with pytest.raises(BadRequest, match=r"(?i)can't use file of type photo as document"):
        await bot.send_document(ADA, sent.photo[-1].file_id)
    emulator.say("hello", bot="nosy_bot")
    other = await connect(emulator, NOSY)
    with pytest.raises(BadRequest, match=r"(?i)wrong remote file identifier"):
        await other.send_photo(ADA, sent.photo[-1].file_id)
    with pytest.raises(BadRequest, match=r"(?i)wrong remote file identifier"):
        await bot.get_file("nonsense")


async def test_voice_and_audio_go_up_with_what_the_bot_says_of_them(bot: Bot) -> None:
    voice = (await bot.send_voice(ADA, b"OggS", duration=4)).voice
    assert voice is not None and (voice.duration.total_seconds(), voice.mime_type) == (4, "audio/ogg")
    audio = (await bot.send_audio(ADA, b"ID3", title="Song", filename="song.mp3")).audio
    assert audio is not None and (audio.title, audio.mime_type) == ("Song", "audio/mpeg")


async def test_captions_are_limited_and_may_be_empty(bot: Bot) -> None:
    await bot.send_document(ADA, b"x", caption="😀" * 512)
    with pytest.raises(BadRequest, match=r"(?i)message caption is too long"):
        await bot.send_document(ADA, b"x", caption="😀" * 512 + "a")
    bold = MessageEntity("bold", 0, 4)
    sent = await bot.send_document(ADA, b"x", caption="bold", caption_entities=[bold])
    assert sent.caption_entities == (bold,)
    assert (await bot.send_document(ADA, b"x")).caption is None
    with pytest.raises(BadRequest, match="not emulated yet"):
        await bot.send_document(ADA, b"x", caption="*x*", parse_mode="Markdown")


async def test_captions_and_files_are_edited(bot: Bot, emulator: TelegramEmulator) -> None:
    sent = await bot.send_document(ADA, b"one", caption="first")
    edited = await bot.edit_message_caption(ADA, sent.message_id, caption="second")
    assert edited.caption == "second" and edited.document == sent.document  # type: ignore[union-attr]
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_caption(ADA, sent.message_id, caption="second ")
    with pytest.raises(BadRequest, match=r"(?i)there is no text in the message to edit"):
        await bot.edit_message_text("text", ADA, sent.message_id)
    await bot.edit_message_media(InputMediaDocument(b"two", caption="third"), ADA, sent.message_id)
    message = emulator.messages(ADA)[-1]
    assert message.content.media is not None and message.content.media.files[0].data == b"two"
    assert (message.text, [edit.text for edit in message.edits]) == ("third", ["first", "second"])
    plain = await bot.send_message(ADA, "text")
    with pytest.raises(BadRequest, match=r"(?i)there is no caption in the message to edit"):
        await bot.edit_message_caption(ADA, plain.message_id, caption="x")


async def test_people_edit_their_captions(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.send_file("document", b"x", caption="helo")
    emulator.edit(ADA, said.message_id, "hello")
    update = (await bot.get_updates())[-1]
    assert update.edited_message is not None and update.edited_message.caption == "hello"
    assert update.edited_message.document is not None


async def test_in_groups_a_caption_counts_like_a_text(emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=GROUP)
    assert emulator.send_file("document", b"x", chat_id=GROUP).update_id is None
    assert emulator.send_file("document", b"x", caption="@gate_bot see", chat_id=GROUP).update_id is not None
    emulator.say("/go", chat_id=FORUM)
    said = emulator.send_file("document", b"x", caption="/see", chat_id=FORUM, message_thread_id=40)
    assert said.update_id is not None and said.message_id == 41


async def test_caps_are_the_networks_and_can_be_made_smaller(clock: Clock, connect: Connect) -> None:
    assert FileLimits() == FileLimits(upload_max=50 << 20, photo_max=10 << 20, download_max=20 << 20)
    limits = FileLimits(upload_max=1000, photo_max=200, download_max=500)
    async with TelegramEmulator(
        [GATE], clock=clock, flood_limits=NO_FLOOD_LIMITS, file_limits=limits
    ) as emulator:
        emulator.say("hello")
        bot = await connect(emulator)
        sent = await bot.send_document(ADA, b"x" * 1000)
        assert sent.document is not None
        with pytest.raises(BadRequest, match=r"(?i)file is too big"):
            await bot.get_file(sent.document.file_id)
        with pytest.raises(NetworkError, match="Request Entity Too Large"):
            await bot.send_document(ADA, b"x" * 1001)
        with pytest.raises(BadRequest, match=r"(?i)too big for a photo"):
            await bot.send_photo(ADA, png(100, 100) + b"\0" * 200)
        assert len(emulator.messages(ADA)) == 2


async def test_what_is_no_picture_is_no_photo(bot: Bot) -> None:
    with pytest.raises(BadRequest, match=r"(?i)image_process_failed"):
        await bot.send_photo(ADA, b"not a picture")
    with pytest.raises(BadRequest, match=r"(?i)photo_invalid_dimensions"):
        await bot.send_photo(ADA, png(2100, 100))
    with pytest.raises(BadRequest, match=r"(?i)file must be non-empty"):
        await bot.send_document(ADA, b"")
    with pytest.raises(BadRequest, match="not emulated yet"):
        await bot.send_photo(ADA, "https://example.org/a.png")
    with pytest.raises(BadRequest, match=r"(?i)there is no document in the request"):
        await bot.send_document(ADA, "attach://nothing")


async def test_links_end_after_an_hour_and_belong_to_a_token(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    sent = await bot.send_document(ADA, b"secret")
    assert sent.document is not None
    link = (await bot.get_file(sent.document.file_id)).file_path
    assert link is not None and link.startswith(f"{emulator.base_file_url}{GATE.token}/")
    async with http.get(link.replace(GATE.token, NOSY.token)) as answer:
        assert answer.status == 404
    emulator.advance(3600)
    async with http.get(link) as answer:
        assert (answer.status, await answer.read()) == (200, b"secret")
    emulator.advance(1)
    async with http.get(link) as answer:
        assert (answer.status, (await answer.json())["description"]) == (404, "Not Found")


async def test_downloads_can_fail_and_are_logged_without_the_token(
    bot: Bot, emulator: TelegramEmulator
) -> None:
    sent = await bot.send_document(ADA, b"bytes")
    assert sent.document is not None
    file = await bot.get_file(sent.document.file_id)
    emulator.faults.add("drop", "download")
    with pytest.raises(NetworkError):
        await file.download_as_bytearray()
    assert bytes(await file.download_as_bytearray()) == b"bytes"
    calls = emulator.calls.select("download")
    assert [call.status for call in calls] == [None, 200]
    upload = emulator.calls.select("sendDocument")[0].arguments["document"]
    assert upload.endswith("(5 bytes)")


async def test_files_are_sent_over_the_control_side(emulator: TelegramEmulator, http: ClientSession) -> None:
    ada = {"id": ADA, "first_name": "Ada"}
    body = {"user": ada, "files": [{"kind": "document", "data": "aGk=", "name": "a.txt", "caption": "hi"}]}
    async with http.post(f"{emulator.url}/control/files", json=body) as answer:
        (said,) = await answer.json()
    assert emulator.pending_updates()[-1].id == said["update_id"]
    assert emulator.pending_updates()[-1].payload["document"]["mime_type"] == "text/plain"
    for wrong in (
        {"kind": "hologram", "data": ""},
        {"kind": "photo", "data": "aGk="},
        {"kind": "voice", "data": "?"},
    ):
        async with http.post(f"{emulator.url}/control/files", json={"user": ada, "files": [wrong]}) as answer:
            assert answer.status == 400, json.dumps(wrong)
    with pytest.raises(ControlError, match="IMAGE_PROCESS_FAILED"):
        emulator.send_file("photo", b"hi")


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(7, 9), (7, 9)),
        (b"GIF89a\x07\0\x09\0" + b"\0" * 20, (7, 9)),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x09\0\x07" + b"\0" * 9, (7, 9)),
        (b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + b"\x06\0\0\x08\0\0", (7, 9)),
        (b"\xff\xd8\xff", None),
        (b"", None),
    ],
)
def test_sizes_of_pictures(data: bytes, size: tuple[int, int] | None) -> None:
    assert image_size(data) == size
