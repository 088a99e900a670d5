"""Updates become inbound messages, or are ignored for a reason one can read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telegram import Update

from channels.messages import Addressed, Ignored, Inbound, RoomRef, Sender
from channels.telegram.inbound import BotIdentity, to_inbound

BOUNDED = settings(max_examples=200, derandomize=True, deadline=None, database=None)
PAYLOADS = Path(__file__).parent / "payloads"
NAMES = sorted(path.stem for path in PAYLOADS.glob("*.json"))
BOT = BotIdentity(42, "gate_bot")
FORUM = "-1001234567890"


def payload(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return loaded


def message(name: str) -> Inbound:
    inbound = to_inbound(payload(name), BOT)
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
        ("ignored_callback_query", "callback_query"),
        ("ignored_channel_post", "channel_post"),
        ("ignored_edited", "edited_message"),
        ("ignored_join", "new_chat_members"),
        ("ignored_leave", "left_chat_member"),
        ("ignored_linked_channel", "sent in the name of a chat"),
        ("ignored_migration", "migrate_to_chat_id"),
        ("ignored_photo", "no text"),
        ("ignored_unknown_update", "brand_new_thing"),
        ("ignored_voice", "no text"),
    ],
)
def test_what_is_ignored_and_why(name: str, reason: str) -> None:
    update = payload(name)
    assert to_inbound(update, BOT) == Ignored(str(update["update_id"]), reason)


def test_every_payload_is_expected_somewhere_here() -> None:
    source = Path(__file__).read_text()
    assert [name for name in NAMES if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_library_hands_on_what_telegram_sent(name: str) -> None:
    """The adapter gets updates through the library's types; nothing we read may change on the way."""
    update = payload(name)
    handed_on = Update.de_json(update, None).to_dict()
    assert to_inbound(handed_on, BOT) == to_inbound(update, BOT)


def test_lone_surrogates_do_not_get_in() -> None:
    update = payload("group_mention_start")
    update["message"]["text"] = "@gate_bot, a\ud83d b"
    update["message"]["from"]["first_name"] = "A\udc00"
    update["message"]["chat"]["title"] = "T\ud83d"
    inbound = to_inbound(update, BOT)
    assert isinstance(inbound, Inbound)
    assert (inbound.text, inbound.sender.name, inbound.room_title) == ("a\ufffd b", "A\ufffd L.", "T\ufffd")


def test_a_message_that_cannot_be_read_is_accounted_for() -> None:
    update = payload("private_text")
    del update["message"]["chat"]
    assert to_inbound(update, BOT) == Ignored(str(update["update_id"]), "unreadable message: chat: missing")


def test_a_chat_of_a_kind_we_do_not_know_is_ignored() -> None:
    update = payload("private_text")
    update["message"]["chat"]["type"] = "channel"
    assert to_inbound(update, BOT) == Ignored(str(update["update_id"]), "chat type channel")


@pytest.mark.parametrize(("field", "reason"), [("from", "no sender"), ("text", "no text")])
def test_a_message_without_a_sender_or_text(field: str, reason: str) -> None:
    update = payload("private_text")
    del update["message"][field]
    assert to_inbound(update, BOT) == Ignored(str(update["update_id"]), reason)


def test_a_person_without_a_name_is_called_by_id() -> None:
    update = payload("private_text")
    update["message"]["from"] |= {"first_name": "", "last_name": ""}
    inbound = to_inbound(update, BOT)
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


@BOUNDED
@given(st.sampled_from(NAMES), st.sampled_from(["chat", "from", "text", "date", "entities", "x"]), JSON)
def test_a_damaged_update_never_stops_the_others(name: str, field: str, value: Any) -> None:
    update = payload(name)
    if "message" in update:
        update["message"][field] = value
    assert to_inbound(update, BOT).delivery_id == str(update["update_id"])


@BOUNDED
@given(st.text(st.characters(exclude_categories=()), max_size=20), ENTITIES)
def test_entities_outside_the_text_do_no_harm(text: str, entities: list[dict[str, Any]]) -> None:
    update = payload("group_mention_start")
    update["message"] |= {"text": text, "entities": entities}
    inbound = to_inbound(update, BOT)
    assert isinstance(inbound, Inbound) == bool(text)
