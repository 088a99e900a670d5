"""Messages, edits and deletions -> what the core takes, from payloads in Discord's own spelling."""

import json
from pathlib import Path
from typing import Any

import pytest

from channels.discord.inbound import Reader, Scene, to_deleted, to_edited, to_inbound
from channels.discord.places import Place, PlaceKind
from channels.messages import Addressed, Ignored, Inbound, RoomRef

PAYLOADS = Path(__file__).parent / "payloads"
READER = Reader("940000000000000001")
GENERAL = Place("920000000000000001", PlaceKind.CHANNEL, "910000000000000001", title="general")
THREAD = Place("1440000000000000001", PlaceKind.THREAD, GENERAL.guild, GENERAL.id, "talk")
DIRECT = Place("1430000000000000009", PlaceKind.DIRECT)
IN_GENERAL = Scene(GENERAL, takes_threads=True, bot_role="950000000000000001")


def payload(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return content


def scene_of(message: dict[str, Any]) -> Scene:
    by_id = {GENERAL.id: IN_GENERAL, THREAD.id: Scene(THREAD), DIRECT.id: Scene(DIRECT)}
    return by_id[message["channel_id"]]


def read(name: str, reader: Reader = READER) -> Inbound:
    inbound = to_inbound(payload(name), scene_of(payload(name)), reader)
    assert isinstance(inbound, Inbound)
    return inbound


@pytest.mark.parametrize(
    ("name", "addressed", "text"),
    [
        ("guild_mention", Addressed.MENTION, "what about @bob?"),
        ("guild_mention_alone", Addressed.MENTION, "@Gate"),
        ("guild_role_mention", Addressed.MENTION, "hello"),
        ("guild_everyone", Addressed.AMBIENT, "@everyone hello"),
        ("guild_ambient", Addressed.AMBIENT, "lunch?"),
        ("guild_ambient_without_intent", Addressed.AMBIENT, ""),
        ("guild_reply_to_bot", Addressed.REPLY, "and why?"),
        ("guild_reply_to_person", Addressed.MENTION, "is that so?"),
        ("guild_reply_to_deleted", Addressed.AMBIENT, "what was that?"),
        ("thread_message", Addressed.AMBIENT, "go on"),
        ("direct_message", Addressed.DIRECT, "psst"),
        ("direct_forward", Addressed.DIRECT, "water is dry"),
        ("direct_voice", Addressed.DIRECT, ""),
    ],
)
def test_why_a_message_concerns_the_bot_and_what_it_says(name: str, addressed: Addressed, text: str) -> None:
    inbound = read(name)
    assert (inbound.addressed, inbound.text) == (addressed, text)
    assert inbound.delivery_id == f"m:{payload(name)['id']}"
    assert inbound.is_direct is (addressed is Addressed.DIRECT)


def test_people_are_known_by_id_and_shown_by_the_name_of_the_place() -> None:
    assert (read("guild_mention").sender.id, read("guild_mention").sender.name) == (
        "930000000000000001",
        "Countess",
    )
    assert read("direct_message").sender.name == "Ada"
    assert not read("guild_mention").sender.is_external


def test_a_mention_opens_a_thread_at_its_message() -> None:
    inbound = read("guild_mention")
    assert inbound.room == RoomRef(GENERAL.id, inbound.message_ref)
    assert inbound.thread_key == f"{GENERAL.id}/{inbound.message_ref}"
    assert inbound.room_title == "general"


def test_a_message_in_the_thread_of_a_mention_has_the_mentions_key() -> None:
    assert read("thread_message").room == RoomRef(GENERAL.id, THREAD.id)
    assert read("thread_message").thread_key == read("guild_mention").thread_key


@pytest.mark.parametrize(
    ("scene", "reader"),
    [
        (Scene(GENERAL, takes_threads=False), READER),
        (IN_GENERAL, Reader(READER.bot_id, reply_in_threads=False)),
    ],
)
def test_where_no_thread_is_wanted_or_allowed_the_answer_goes_to_the_channel(
    scene: Scene, reader: Reader
) -> None:
    inbound = to_inbound(payload("guild_mention"), scene, reader)
    assert isinstance(inbound, Inbound)
    assert (inbound.room, inbound.thread_key) == (RoomRef(GENERAL.id), None)


def test_a_reply_goes_on_where_the_answer_stands() -> None:
    inbound = read("guild_reply_to_bot")
    assert (inbound.room, inbound.thread_key) == (RoomRef(GENERAL.id), None)
    assert inbound.reply_to == "1439999999999999999"


def test_a_forward_is_no_reply() -> None:
    assert read("direct_forward").reply_to is None


def test_a_direct_chat_is_one_conversation() -> None:
    assert (read("direct_message").room, read("direct_message").thread_key) == (
        RoomRef(DIRECT.id),
        DIRECT.id,
    )


def test_times_are_those_of_the_ids() -> None:
    # 1440000000000000001 >> 22 is 343322753906 ms after 2015 began.
    assert read("guild_mention").occurred_at_ms == 1_420_070_400_000 + (1440000000000000001 >> 22)


def test_files_come_with_what_fetches_them() -> None:
    (attachment,) = read("direct_voice").attachments
    assert (attachment.name, attachment.media_type, attachment.size_bytes) == (
        "voice-message.ogg",
        "audio/ogg",
        4321,
    )
    assert attachment.key["url"].startswith("https://cdn.discordapp.com/attachments/")
    assert (attachment.key["channel"], attachment.key["message"]) == (DIRECT.id, "1440000000000000001")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ignored_sticker", "no text"),
        ("ignored_bot", "sent by a bot"),
        ("ignored_webhook", "sent through a webhook"),
        ("ignored_join", "message type 7"),
        ("ignored_thread_starter", "message type 21"),
        ("ignored_command_response", "sent through a webhook"),
        (
            "guild_reply_to_bot_without_intent",
            "no content: without the Message Content intent it is not told",
        ),
    ],
)
def test_what_is_no_message_of_a_person_is_ignored_with_a_reason(name: str, reason: str) -> None:
    message = payload(name)
    assert to_inbound(message, scene_of(message), READER) == Ignored(f"m:{message['id']}", reason)


def test_what_cannot_be_read_is_ignored_and_says_where() -> None:
    message = payload("guild_mention") | {"author": {"username": "ada"}}
    ignored = to_inbound(message, IN_GENERAL, READER)
    assert ignored == Ignored("m:1440000000000000001", "unreadable message: author.id: missing")


def test_lone_surrogates_do_not_get_in() -> None:
    inbound = to_inbound(payload("direct_message") | {"content": "a\ud800b"}, Scene(DIRECT), READER)
    assert isinstance(inbound, Inbound) and inbound.text == "a\ufffdb"


def test_an_edit_names_its_time_so_that_a_second_one_is_another_delivery() -> None:
    edited = to_edited(payload("edited"), IN_GENERAL, READER)
    assert edited is not None
    assert edited.delivery_id == "e:1440000000000000001:2025-11-17T10:00:05.500000+00:00"
    assert (edited.text, edited.occurred_at_ms) == ("hello there", 1_763_373_605_500)


@pytest.mark.parametrize("name", ["unfolded_link", "ignored_bot", "ignored_webhook"])
def test_an_update_without_an_edit_of_a_person_is_no_delivery(name: str) -> None:
    update = payload(name)
    assert to_edited(update, IN_GENERAL, READER) is None
    if name != "unfolded_link":
        update["edited_timestamp"] = "2025-11-17T10:00:05.500000+00:00"
        assert to_edited(update, IN_GENERAL, READER) is None


def test_an_edit_whose_words_are_not_told_is_no_delivery() -> None:
    update = payload("edited") | {"content": "", "mentions": []}
    assert to_edited(update, IN_GENERAL, READER) is None


@pytest.mark.parametrize(
    ("place", "room"),
    [
        (GENERAL, RoomRef(GENERAL.id)),
        (THREAD, RoomRef(GENERAL.id, THREAD.id)),
        (DIRECT, RoomRef(DIRECT.id)),
    ],
)
def test_a_deletion_knows_only_the_id_and_the_place(place: Place, room: RoomRef) -> None:
    deleted = to_deleted("1440000000000000001", Scene(place), 5)
    assert (deleted.delivery_id, deleted.room, deleted.message_ref, deleted.occurred_at_ms) == (
        "d:1440000000000000001",
        room,
        "1440000000000000001",
        5,
    )
