"""Rendered content becomes the Bot call's arguments."""

import pytest
from telegram import MessageEntity

from channels.capabilities import Capabilities, Idempotency, TextUnit
from channels.messages import Rendered, RoomRef
from channels.telegram.capabilities import room_capabilities
from channels.telegram.outbound import edit_arguments, send_arguments, typing_arguments
from channels.telegram.render import render_markdown

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


@pytest.mark.parametrize(("room", "edit_interval_s"), [("1001", 1.0), ("-500", 3.0), ("-1001234567890", 3.0)])
def test_groups_take_edits_more_slowly(room: str, edit_interval_s: float) -> None:
    assert room_capabilities(RoomRef(room)) == Capabilities(
        text_max=4096,
        text_unit=TextUnit.UTF16,
        idempotency=Idempotency.NONE,
        can_edit=True,
        edit_interval_s=edit_interval_s,
        typing_refresh_s=4.0,
        stream_interval_s=edit_interval_s,
    )
