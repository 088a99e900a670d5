"""Content and cards -> bodies of calls, and how a message of ours is known again."""

from typing import Any

import pytest

from channels.discord.outbound import (
    buttons,
    card_message,
    edit_body,
    find_own,
    marks_to_change,
    message_body,
    nonce_of,
    thread_body,
)
from channels.messages import Action, Card, Mark, Rendered

BOT = "940000000000000001"


def message(ref: str, content: str, author: str = BOT, **more: Any) -> dict[str, Any]:
    return {
        "id": ref,
        "content": content,
        "author": {"id": author},
        "attachments": [],
        "components": [],
        **more,
    }


def test_a_nonce_is_short_and_the_same_for_every_attempt() -> None:
    nonce = nonce_of("dlv_0192f0c1d2e3f4a5b6c7d8e9f0a1b2c3")
    assert nonce == nonce_of("dlv_0192f0c1d2e3f4a5b6c7d8e9f0a1b2c3") != nonce_of("dlv_2")
    assert len(nonce) == 25 and nonce.isalnum()


def test_a_message_calls_nobody_shows_no_previews_and_is_made_once() -> None:
    body = message_body(Rendered("hi @everyone"), "dlv_1")
    assert body["allowed_mentions"] == {"parse": []}
    assert body["flags"] == 4
    assert (body["enforce_nonce"], body["nonce"]) == (True, nonce_of("dlv_1"))


def test_the_payload_may_allow_mentions_on_purpose() -> None:
    allowed = {"parse": [], "users": ["1"]}
    assert message_body(Rendered("<@1>", {"allowed_mentions": allowed}), "x")["allowed_mentions"] == allowed


def test_an_edit_says_everything_so_that_nothing_old_stays() -> None:
    body = edit_body(Rendered("done"))
    assert (body["content"], body["embeds"], body["components"]) == ("done", [], [])
    assert "nonce" not in body


def test_a_card_is_words_and_rows_of_five_buttons() -> None:
    actions = tuple(Action(f"a:{n}", f"Choice {n} {'x' * 90}") for n in range(7))
    content = card_message(Card("May I?", "run `make`", actions))
    assert "May I?" in content.text and "run `make`" in content.text
    rows = content.payload["components"]
    assert [len(row["components"]) for row in rows] == [5, 2]
    assert all(len(button["label"]) <= 80 for row in rows for button in row["components"])


def test_the_styles_of_buttons_are_told() -> None:
    (row,) = buttons([Action("a", "A", "primary"), Action("b", "B"), Action("c", "C", "danger")])
    assert [button["style"] for button in row["components"]] == [1, 2, 4]


def test_a_card_longer_than_a_message_is_cut_and_says_so() -> None:
    content = card_message(Card("May I?", "word " * 1000, (Action("a", "A"),)))
    assert len(content.text) <= 2000 and content.text.endswith("…")
    assert content.payload["components"]


def test_more_buttons_than_a_message_holds_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="26 buttons"):
        buttons([Action("a", "A")] * 26)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (f"<@{BOT}> fix the build\nplease", "fix the build"),
        (f"<@!{BOT}>\n\nhello", "hello"),
        (f"<@{BOT}>", "Conversation"),
        ("", "Conversation"),
        ("w" * 150, "w" * 99 + "…"),
    ],
)
def test_a_thread_is_named_after_what_was_said(words: str, name: str) -> None:
    assert thread_body({"content": words}, BOT)["name"] == name


def test_the_newest_own_message_that_says_the_same_is_found() -> None:
    messages = [
        message("10", "hi"),
        message("9", "hi"),
        message("11", "hi", author="930000000000000001"),
        message("12", "bye"),
        message("13", "hi", attachments=[{"filename": "x"}]),
    ]
    assert find_own(messages, BOT, [Rendered("hi ")]) == "10"
    assert find_own(messages, BOT, [Rendered("hi", blob_id="blb_1")]) == "13"
    assert find_own(messages, BOT, [Rendered("nothing like it")]) is None
    assert find_own(messages, BOT, [Rendered("the answer"), Rendered("hi")]) == "10", "as a placeholder"


def test_reactions_are_changed_as_far_as_needed() -> None:
    shown = {
        "reactions": [
            {"emoji": {"id": None, "name": "👀"}, "me": True},
            {"emoji": {"id": None, "name": "❌"}, "me": False},
            {"emoji": {"id": None, "name": "🎉"}, "me": True},
        ]
    }
    assert marks_to_change(shown, Mark.DONE) == (["👀"], "✅")
    assert marks_to_change(shown, Mark.SEEN) == ([], None)
    assert marks_to_change(shown, None) == (["👀"], None)
    assert marks_to_change({}, Mark.FAILED) == ([], "❌")
