"""Updates become inbound messages, or are ignored for a reason one can read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telegram import Update

from channels.messages import Addressed, Attachment, Edited, Ignored, Inbound, Pressed, RoomRef, Sender
from channels.telegram.inbound import BotIdentity, callback_to_answer, to_delivery

BOUNDED = settings(max_examples=200, derandomize=True, deadline=None, database=None)
PAYLOADS = Path(__file__).parent / "payloads"
NAMES = sorted(path.stem for path in PAYLOADS.glob("*.json"))
BOT = BotIdentity(42, "gate_bot")
FORUM = "-1001234567890"
NOW_MS = 1_800_000_100_000


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return loaded


def message(name: str) -> Inbound:
    inbound = to_delivery(payload(name), BOT, NOW_MS)
    assert isinstance(inbound, Inbound)
    return inbound


def test_a_private_message_with_everything_it_carries() -> None:
    assert message("private_text") == Inbound(
        delivery_id=str(payload("private_text")["update_id"]),
        room=RoomRef("1001"),
        message_ref="11",
        sender=Sender("1001", "Ada L."),
        text="hello 😀",
        addressed=Addressed.DIRECT,
        is_direct=True,
        occurred_at_ms=1_800_000_000_000,
        thread_key="1001",
    )


def test_a_group_message_with_everything_it_carries() -> None:
    assert message("group_reply_to_bot") == Inbound(
        delivery_id=str(payload("group_reply_to_bot")["update_id"]),
        room=RoomRef("-500"),
        message_ref="11",
        sender=Sender("1001", "Ada L."),
        text="go on",
        addressed=Addressed.REPLY,
        is_direct=False,
        occurred_at_ms=1_800_000_000_000,
        thread_key=None,
        reply_to="10",
        room_title="Team",
    )


@pytest.mark.parametrize(
    ("name", "addressed"),
    [
        ("private_command", Addressed.COMMAND),
        ("private_reply", Addressed.DIRECT),
        ("group_mention_start", Addressed.MENTION),
        ("group_mention_inside", Addressed.MENTION),
        ("group_mention_of_other", Addressed.AMBIENT),
        ("group_text_mention", Addressed.MENTION),
        ("group_text_mention_of_person", Addressed.AMBIENT),
        ("group_command_at_bot", Addressed.MENTION),
        ("group_command_for_nobody", Addressed.AMBIENT),
        ("group_reply_to_person", Addressed.AMBIENT),
        ("supergroup_reply_chain", Addressed.REPLY),
        ("forum_topic", Addressed.AMBIENT),
        ("forum_topic_reply_to_bot", Addressed.REPLY),
        ("forum_general", Addressed.MENTION),
    ],
)
def test_why_a_message_concerns_the_bot(name: str, addressed: Addressed) -> None:
    assert message(name).addressed is addressed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("private_command", "/start abc"),
        ("group_mention_start", "😀 what now"),
        ("group_mention_inside", "😀😀 ask @gate_bot please"),
        ("group_mention_only", "@gate_bot"),
        ("group_mention_of_other", "@gate_bot2 hi"),
        ("group_text_mention", "look"),
        ("group_command_at_bot", "/ask why"),
        ("forum_general", "hi"),
    ],
)
def test_a_leading_mention_of_the_bot_is_not_part_of_what_was_said(name: str, text: str) -> None:
    assert message(name).text == text


@pytest.mark.parametrize(
    ("name", "room", "thread_key", "reply_to"),
    [
        ("private_topic", RoomRef("1001", "77"), "1001/77", None),
        ("private_reply", RoomRef("1001"), "1001", "10"),
        ("group_mention_start", RoomRef("-500"), None, None),
        ("supergroup_reply_chain", RoomRef("-1009876543210"), None, "10"),
        ("forum_topic", RoomRef(FORUM, "77"), f"{FORUM}/77", None),
        ("forum_topic_reply_to_bot", RoomRef(FORUM, "77"), f"{FORUM}/77", "80"),
        ("forum_general", RoomRef(FORUM, "1"), f"{FORUM}/1", None),
    ],
)
def test_where_a_conversation_is(
    name: str, room: RoomRef, thread_key: str | None, reply_to: str | None
) -> None:
    inbound = message(name)
    assert (inbound.room, inbound.thread_key, inbound.reply_to) == (room, thread_key, reply_to)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ignored_anonymous_admin", "sent by a bot"),
        ("ignored_bot", "sent by a bot"),
        ("ignored_blocked", "the bot is kicked in private chat"),
        ("ignored_channel_post", "channel_post"),
        ("ignored_edited_by_bot", "sent by a bot"),
        ("ignored_join", "new_chat_members"),
        ("ignored_leave", "left_chat_member"),
        ("ignored_linked_channel", "sent in the name of a chat"),
        ("ignored_migration", "migrate_to_chat_id"),
        ("ignored_location", "no text"),
        ("ignored_new_topic", "forum_topic_created"),
        ("ignored_pressed_game", "a button that is not ours"),
        ("ignored_pressed_inline", "a button that is not ours"),
        ("ignored_reaction", "message_reaction"),
        ("ignored_removed", "the bot is left in group chat"),
        ("ignored_unknown_update", "brand_new_thing"),
    ],
)
def test_what_is_ignored_and_why(name: str, reason: str) -> None:
    update = payload(name)
    assert to_delivery(update, BOT, NOW_MS) == Ignored(str(update["update_id"]), reason)


def test_every_payload_is_expected_somewhere_here() -> None:
    source = Path(__file__).read_text()
    assert [name for name in NAMES if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_library_reads_what_we_read(name: str) -> None:
    """Updates reach us unread; that the SDK's types agree is how we notice that we misread the documentation."""
    update = payload(name)
    by_sdk = Update.de_json(update, None).to_dict()
    assert to_delivery(by_sdk, BOT, NOW_MS) == to_delivery(update, BOT, NOW_MS)


@pytest.mark.parametrize(
    ("name", "text", "file"),
    [
        ("file_photo", "look at this", ("AgAC3", "photo.jpg", "image/jpeg", 90000)),
        ("file_photo_in_group", "what is this", ("AgAC2", "photo.jpg", "image/jpeg", 9000)),
        ("file_album_item", "", ("AgAC5", "photo.jpg", "image/jpeg", 50000)),
        ("file_document", "the plan", ("BQAC1", "plan.pdf", "application/pdf", 48211)),
        ("file_voice", "", ("BQAC2", "voice.ogg", "audio/ogg", 12000)),
        ("file_audio", "", ("BQAC3", "song.mp3", "audio/mpeg", 4000000)),
        ("file_video", "", ("BQAC4", "clip.mp4", "video/mp4", 900000)),
        ("file_video_note", "", ("BQAC5", "video.mp4", "video/mp4", 300000)),
        ("file_animation", "", ("BQAC6", "cat.mp4", "video/mp4", 70000)),
        ("file_sticker", "👍", ("BQAC7", "sticker.webp", "image/webp", 20000)),
        ("file_sticker_animated", "👍", ("BQAC8", "sticker.tgs", "application/x-tgsticker", 9000)),
        ("file_sticker_video", "👍", ("BQAC9", "sticker.webm", "video/webm", 90000)),
    ],
)
def test_a_file_comes_with_what_was_said_about_it(
    name: str, text: str, file: tuple[str, str, str, int]
) -> None:
    file_id, file_name, media_type, size = file
    inbound = message(name)
    assert inbound.text == text
    assert inbound.attachments == (Attachment({"file_id": file_id}, file_name, media_type, size),)


def test_a_caption_mentions_like_a_text() -> None:
    assert message("file_photo_in_group").addressed is Addressed.MENTION


def test_a_text_has_no_attachments() -> None:
    assert message("private_text").attachments == ()


@pytest.mark.parametrize(
    ("name", "room", "text"),
    [
        ("edited_text", RoomRef("1001"), "hello again"),
        ("edited_in_group", RoomRef("-500"), "rather this"),
        ("edited_caption", RoomRef("1001"), "look there"),
    ],
)
def test_an_edit_says_what_the_message_says_now(name: str, room: RoomRef, text: str) -> None:
    update = payload(name)
    assert to_delivery(update, BOT, NOW_MS) == Edited(
        delivery_id=str(update["update_id"]),
        room=room,
        message_ref="11",
        sender=Sender("1001", "Ada L."),
        text=text,
        occurred_at_ms=1_800_000_060_000,
    )


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("pressed", RoomRef("1001")),
        ("pressed_in_topic", RoomRef(FORUM, "77")),
        ("pressed_long_ago", RoomRef("-500")),
    ],
)
def test_a_button_carries_its_value_and_who_pressed_it(name: str, room: RoomRef) -> None:
    update = payload(name)
    assert to_delivery(update, BOT, NOW_MS) == Pressed(
        delivery_id=str(update["update_id"]),
        room=room,
        message_ref="12",
        sender=Sender("1001", "Ada L."),
        value="apr_1:a",
        occurred_at_ms=NOW_MS,
    )
    assert callback_to_answer(update) == "4300000000000000009"


@pytest.mark.parametrize("query", [None, 7, [], {}, {"id": 7}])
def test_a_query_without_an_id_cannot_be_answered(query: object) -> None:
    update = {"update_id": 1, "callback_query": query}
    assert callback_to_answer(update) is None
    assert isinstance(to_delivery(update, BOT, NOW_MS), Ignored)


def test_half_characters_do_not_get_in_by_files_and_buttons() -> None:
    update = payload("file_document")
    update["message"]["document"]["file_name"] = "a\ud83d.pdf"
    inbound = to_delivery(update, BOT, NOW_MS)
    assert isinstance(inbound, Inbound)
    assert inbound.attachments[0].name == "a\ufffd.pdf"
    update = payload("pressed")
    update["callback_query"]["data"] = "\udc00"
    pressed = to_delivery(update, BOT, NOW_MS)
    assert isinstance(pressed, Pressed)
    assert pressed.value == "\ufffd"


def test_lone_surrogates_do_not_get_in() -> None:
    update = payload("group_mention_start")
    update["message"]["text"] = "@gate_bot, a\ud83d b"
    update["message"]["from"]["first_name"] = "A\udc00"
    update["message"]["chat"]["title"] = "T\ud83d"
    inbound = to_delivery(update, BOT, NOW_MS)
    assert isinstance(inbound, Inbound)
    assert (inbound.text, inbound.sender.name, inbound.room_title) == ("a\ufffd b", "A\ufffd L.", "T\ufffd")


def test_a_message_that_cannot_be_read_is_accounted_for() -> None:
    update = payload("private_text")
    del update["message"]["chat"]
    assert to_delivery(update, BOT, NOW_MS) == Ignored(
        str(update["update_id"]), "unreadable message: chat: missing"
    )


def test_a_chat_of_a_kind_we_do_not_know_is_ignored() -> None:
    update = payload("private_text")
    update["message"]["chat"]["type"] = "channel"
    assert to_delivery(update, BOT, NOW_MS) == Ignored(str(update["update_id"]), "chat type channel")


@pytest.mark.parametrize(("field", "reason"), [("from", "no sender"), ("text", "no text")])
def test_a_message_without_a_sender_or_text(field: str, reason: str) -> None:
    update = payload("private_text")
    del update["message"][field]
    assert to_delivery(update, BOT, NOW_MS) == Ignored(str(update["update_id"]), reason)


def test_a_person_without_a_name_is_called_by_id() -> None:
    update = payload("private_text")
    update["message"]["from"] |= {"first_name": "", "last_name": ""}
    inbound = to_delivery(update, BOT, NOW_MS)
    assert isinstance(inbound, Inbound)
    assert inbound.sender == Sender("1001", "1001")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["mention", "bot_command", "text_mention", "bold"]),
            "offset": st.integers(-3, 20),
            "length": st.integers(-3, 20),
        }
    ),
    max_size=4,
)


FIELDS = [
    "chat",
    "from",
    "text",
    "date",
    "entities",
    "caption",
    "photo",
    "document",
    "sticker",
    "message",
    "data",
    "x",
]


@BOUNDED
@given(st.sampled_from(NAMES), st.sampled_from(FIELDS), JSON)
def test_a_damaged_update_never_stops_the_others(name: str, field: str, value: Any) -> None:
    update = payload(name)
    (kind,) = (key for key in update if key != "update_id")
    if isinstance(update[kind], dict):
        update[kind][field] = value
    assert to_delivery(update, BOT, NOW_MS).delivery_id == str(update["update_id"])


@BOUNDED
@given(st.text(st.characters(exclude_categories=()), max_size=20), ENTITIES)
def test_entities_outside_the_text_do_no_harm(text: str, entities: list[dict[str, Any]]) -> None:
    update = payload("group_mention_start")
    update["message"] |= {"text": text, "entities": entities}
    inbound = to_delivery(update, BOT, NOW_MS)
    assert isinstance(inbound, Inbound) == bool(text)
