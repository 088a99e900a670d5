"""Rendered content becomes the Bot call's arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import MessageEntity
from telegram.constants import ReactionEmoji
from telegram_stage import ADA

from channels.capabilities import Capabilities, Idempotency, Rate, StreamMode, TextUnit
from channels.messages import Mark, Operation, OutboundFile, Rendered, RoomRef
from channels.telegram.capabilities import room_capabilities
from channels.telegram.outbound import (
    answer_arguments,
    draft_arguments,
    draft_id,
    edit_arguments,
    message_ref,
    reaction_arguments,
    send_arguments,
    typing_arguments,
    upload_arguments,
    upload_kind,
)
from channels.telegram.render import render_markdown
from channels.text import utf16_length

CONTENT = Rendered("ab", {"entities": [{"type": "text_link", "offset": 0, "length": 1, "url": "http://x"}]})


@pytest.mark.parametrize(
    ("room", "place"),
    [
        (RoomRef("1001"), {"chat_id": 1001}),
        (RoomRef("-500"), {"chat_id": -500}),
        (RoomRef("-1001", "77"), {"chat_id": -1001, "message_thread_id": 77}),
        # The General topic is addressed by naming none.
        (RoomRef("-1001", "1"), {"chat_id": -1001}),
    ],
)
def test_a_message_goes_to_its_room_and_topic(room: RoomRef, place: dict[str, int]) -> None:
    arguments = send_arguments(room, CONTENT)
    assert {key: arguments[key] for key in arguments if key in ("chat_id", "message_thread_id")} == place
    assert typing_arguments(room) == {**place, "action": "typing"}


def test_entities_and_text_are_passed_on_and_no_page_is_fetched_for_a_preview() -> None:
    arguments = send_arguments(RoomRef("1001"), CONTENT)
    assert arguments["text"] == "ab"
    assert arguments["entities"] == [MessageEntity("text_link", 0, 1, url="http://x")]
    assert arguments["link_preview_options"].is_disabled


def test_an_edit_names_the_message_and_no_topic() -> None:
    arguments = edit_arguments(RoomRef("-1001", "77"), "12", CONTENT)
    assert (arguments["chat_id"], arguments["message_id"], arguments["text"]) == (-1001, 12, "ab")
    assert "message_thread_id" not in arguments


def test_everything_the_renderer_makes_can_be_sent() -> None:
    (content,) = render_markdown("# h\n\n```py\nx\n```\n\n> [l](http://x) `c` ~~s~~ *i*")
    entities = send_arguments(RoomRef("1"), content)["entities"]
    assert [entity.to_dict() for entity in entities] == content.payload["entities"]


@pytest.mark.parametrize("room", ["-500", "-1001234567890"])
def test_groups_take_less_and_show_no_drafts(room: str) -> None:
    assert room_capabilities(RoomRef(room)) == Capabilities(
        text_max=4096,
        text_unit=TextUnit.UTF16,
        idempotency=Idempotency.NONE,
        can_edit=True,
        edit_interval_s=3.0,
        typing_refresh_s=4.0,
        stream=StreamMode.EDIT,
        stream_interval_s=3.0,
        room_rate=Rate(17 / 60, 3),
        account_rate=Rate(25.0, 5),
        file_max_bytes=50_000_000,
        reactions=True,
        actions_max=100,
    )


def test_private_chats_stream_by_drafts_where_the_server_has_them() -> None:
    limits = room_capabilities(ADA)
    assert (limits.stream, limits.stream_interval_s, limits.stream_max_s) == (StreamMode.DRAFT, 0.5, 30.0)
    without = room_capabilities(ADA, has_drafts=False)
    assert (without.stream, without.stream_interval_s, without.stream_max_s) == (StreamMode.EDIT, 1.0, None)
    assert limits.room_rate == without.room_rate == Rate(1.0, 3)


@pytest.mark.parametrize("room", [ADA, RoomRef("-500")])
def test_the_rates_keep_what_telegram_asks_for(room: RoomRef) -> None:
    limits = room_capabilities(room)
    assert limits.room_rate is not None and limits.account_rate is not None
    if room is not ADA:
        assert limits.room_rate.burst + 60 * limits.room_rate.per_s <= 20
    assert limits.account_rate.burst + limits.account_rate.per_s <= 30


def test_a_draft_of_an_operation_is_always_the_same_and_never_number_zero() -> None:
    ids = {draft_id(Operation(f"dlv_{number}", attempt=1)) for number in range(200)}
    assert len(ids) == 200
    assert all(0 < one < 2**31 for one in ids)
    assert draft_id(Operation("dlv_1", attempt=1)) == draft_id(Operation("dlv_1", attempt=7))


@pytest.mark.parametrize(("ref", "place"), [("12", (-500, 12)), ("-1001234567890/12", (-1001234567890, 12))])
def test_a_reference_may_name_the_chat_a_group_has_become(ref: str, place: tuple[int, int]) -> None:
    room = RoomRef("-500")
    arguments = edit_arguments(room, ref, CONTENT)
    assert (arguments["chat_id"], arguments["message_id"]) == place
    assert message_ref(room, *place) == ref


def test_a_keyboard_is_part_of_the_content_and_gone_without_it() -> None:
    keyboard = [[{"text": "Yes", "callback_data": "a:1", "style": "primary"}]]
    with_buttons = Rendered("ab", {"entities": [], "keyboard": keyboard})
    for arguments in (send_arguments(ADA, with_buttons), edit_arguments(ADA, "1", with_buttons)):
        assert arguments["reply_markup"].to_dict() == {"inline_keyboard": keyboard}
    assert "reply_markup" not in edit_arguments(ADA, "1", CONTENT)


@pytest.mark.parametrize(
    ("media_type", "size", "kind"),
    [
        ("image/jpeg", 1, "photo"),
        ("image/png", 10_000_001, "document"),
        ("image/gif", 1, "document"),
        ("audio/ogg", 1, "voice"),
        ("audio/mpeg", 1, "audio"),
        ("video/mp4", 1, "video"),
        ("application/pdf", 1, "document"),
    ],
)
def test_files_are_sent_as_what_they_are(media_type: str, size: int, kind: str) -> None:
    file = OutboundFile("name", media_type, b"x" * size)
    assert upload_kind(file) == kind


def test_a_file_has_a_name_with_an_extension() -> None:
    arguments = upload_arguments(ADA, Rendered(""), OutboundFile("plan", "application/pdf", b"x"), "document")
    assert (arguments["filename"], arguments["document"], arguments["caption"]) == ("plan.pdf", b"x", None)


def test_a_caption_that_is_too_long_is_cut_with_its_entities() -> None:
    bold = {"type": "bold", "offset": 1000, "length": 100}
    late = {"type": "italic", "offset": 1100, "length": 5}
    content = Rendered("x" * 2000, {"entities": [bold, late]})
    arguments = upload_arguments(ADA, content, OutboundFile("a.txt", "text/plain", b"x"), "document")
    assert arguments["caption"] == "x" * 1023 + "…"
    assert [one.to_dict() for one in arguments["caption_entities"]] == [{**bold, "length": 23}]


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=60))
def test_nothing_that_breaks_a_network_goes_out(text: str) -> None:
    file = OutboundFile(text, "text/plain", b"x")
    keyboard = [[{"text": text, "callback_data": "a"}]]
    content = Rendered(text * 40, {"keyboard": keyboard})
    upload = upload_arguments(ADA, content, file, "document")
    out = [
        send_arguments(ADA, content)["text"],
        draft_arguments(Operation("dlv_1", 1), ADA, content)["text"],
        send_arguments(ADA, content)["reply_markup"].inline_keyboard[0][0].text,
        upload["filename"],
        upload["caption"],
        answer_arguments("1", text * 10)["text"],
    ]
    assert not any("\0" in part for part in out)
    assert [part.encode() for part in out]
    assert utf16_length(upload["caption"]) <= 1024
    assert utf16_length(out[-1]) <= 200


def test_a_mark_is_one_of_the_reactions_bots_may_use() -> None:
    allowed = set(ReactionEmoji)
    for mark in Mark:
        (emoji,) = reaction_arguments(ADA, "1", mark)["reaction"]
        assert emoji in allowed
    assert reaction_arguments(ADA, "1", None)["reaction"] == []
