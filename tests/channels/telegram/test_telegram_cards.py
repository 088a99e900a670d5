"""Cards: one message that fits, with buttons; none when it is settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.messages import Action, Card
from channels.telegram.cards import render_card
from channels.text import utf16_length

APPROVE = Action("apr_1:a", "Approve", "primary")
DENY = Action("apr_1:d", "Deny", "danger", asks_reason=True)


def test_a_card_asks_with_buttons_below() -> None:
    card = render_card(Card("Deploy?", "Version **2** to `prod`", (APPROVE, DENY)))
    assert card.text == "Deploy?\n\nVersion 2 to prod"
    assert [entity["type"] for entity in card.payload["entities"]] == ["bold", "bold", "code"]
    assert card.payload["keyboard"] == [
        [
            {"text": "Approve", "callback_data": "apr_1:a", "style": "primary"},
            {"text": "Deny", "callback_data": "apr_1:d", "style": "danger"},
        ]
    ]


def test_a_settled_card_says_how_and_has_no_buttons() -> None:
    card = render_card(Card("Deploy?", "Version 2", (), "Approved by Ada."))
    assert card.text == "Deploy?\n\nVersion 2\n\nApproved by Ada."
    assert "keyboard" not in card.payload


def test_a_plain_button_has_no_style_and_rows_are_short() -> None:
    actions = tuple(Action(f"v{number}", str(number)) for number in range(5))
    rows = render_card(Card("?", "", actions)).payload["keyboard"]
    assert [len(row) for row in rows] == [3, 2]
    assert rows[0][0] == {"text": "0", "callback_data": "v0"}


def test_titles_and_outcomes_are_text_and_call_nobody() -> None:
    card = render_card(Card("**@ada** _x_", "", (), "Denied: @bob\n[x](http://x)"))
    assert card.text == "**@\u2060ada** _x_\n\nDenied: @\u2060bob [x](http://x)"


def test_a_body_that_is_too_long_is_cut_and_the_outcome_stays() -> None:
    card = render_card(Card("Title", "word " * 5000, (APPROVE,), "Expired."))
    assert card.text.endswith("word\n\n…\n\nExpired.")
    assert 4000 < utf16_length(card.text) <= 4096


@pytest.mark.parametrize("value", ["", "x" * 65, "ä" * 33])
def test_a_value_no_button_can_carry_is_a_mistake(value: str) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        render_card(Card("?", "", (Action(value, "x"),)))


@given(st.text(max_size=700), st.text(max_size=300), st.integers(1, 60), st.none() | st.text(max_size=700))
def test_a_card_is_one_message_whatever_it_says(
    title: str, body: str, times: int, outcome: str | None
) -> None:
    card = render_card(Card(title, f"{body}\n" * times, (), outcome))
    assert utf16_length(card.text) <= 4096
    assert len(card.payload["entities"]) <= 100
    assert "\0" not in card.text
