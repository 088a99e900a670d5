"""Interactions -> deliveries, and verdicts -> answers, from payloads in Discord's own spelling."""

import json
from pathlib import Path
from typing import Any

import pytest

from channels.discord.interactions import (
    NOT_HERE,
    NOT_TAKEN,
    InteractionKind,
    answer,
    custom_id,
    reason_form,
    to_interaction,
    whisper,
)
from channels.messages import Addressed, Ignored, Inbound, Pressed, RoomRef, Verdict

PAYLOADS = Path(__file__).parent / "payloads"
CHANNEL = "920000000000000001"
TAKEN = Verdict(is_taken=True)


def payload(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return content


@pytest.mark.parametrize(
    ("name", "room", "key", "is_direct"),
    [
        ("command_guild", RoomRef(CHANNEL), None, False),
        ("command_thread", RoomRef(CHANNEL, "1440000000000000001"), f"{CHANNEL}/1440000000000000001", False),
        ("command_direct", RoomRef("1430000000000000009"), "1430000000000000009", True),
    ],
)
def test_a_command_is_a_message_without_a_message(
    name: str, room: RoomRef, key: str | None, is_direct: bool
) -> None:
    interaction = to_interaction(payload(name))
    delivery = interaction.delivery
    assert isinstance(delivery, Inbound)
    assert interaction.kind is InteractionKind.COMMAND
    assert (delivery.delivery_id, delivery.message_ref) == ("i:1440000000000000100", None)
    assert (delivery.text, delivery.addressed) == ("what is the answer?", Addressed.COMMAND)
    assert (delivery.room, delivery.thread_key, delivery.is_direct) == (room, key, is_direct)
    assert delivery.sender.id == "930000000000000001"


def test_a_button_carries_its_value_and_its_card() -> None:
    delivery = to_interaction(payload("button")).delivery
    assert isinstance(delivery, Pressed)
    assert (delivery.value, delivery.reason) == ("apr_1:yes", None)
    assert (delivery.message_ref, delivery.room) == ("1440000000000000090", RoomRef(CHANNEL))
    assert delivery.sender.name == "Countess"


def test_a_button_that_asks_for_a_reason_presses_nothing_yet() -> None:
    interaction = to_interaction(payload("button_with_reason"))
    assert (interaction.kind, interaction.value) == (InteractionKind.ASK_REASON, "apr_1:no")
    assert isinstance(interaction.delivery, Ignored)
    assert reason_form(interaction.value)["data"]["custom_id"] == "tg1.r.apr_1:no"


@pytest.mark.parametrize(("name", "reason"), [("form_in_label", "too risky"), ("form_in_row", None)])
def test_a_form_presses_with_a_reason(name: str, reason: str | None) -> None:
    delivery = to_interaction(payload(name)).delivery
    assert isinstance(delivery, Pressed)
    assert (delivery.value, delivery.reason) == ("apr_1:no", reason)


@pytest.mark.parametrize("name", ["command_group", "foreign_button", "autocomplete"])
def test_what_is_not_ours_is_accounted_for_and_refused(name: str) -> None:
    interaction = to_interaction(payload(name))
    assert isinstance(interaction.delivery, Ignored)
    assert answer(interaction, TAKEN) == whisper(NOT_HERE)


def test_a_command_without_text_or_in_another_shape_is_ignored() -> None:
    blank = payload("command_guild")
    blank["data"]["options"][0]["value"] = "  "
    assert isinstance(to_interaction(blank).delivery, Ignored)
    assert isinstance(to_interaction(payload("command_guild") | {"type": "x"}).delivery, Ignored)
    assert isinstance(to_interaction(payload("command_guild") | {"member": None}).delivery, Ignored)


def test_answers_follow_the_verdict() -> None:
    asked, pressed = to_interaction(payload("command_guild")), to_interaction(payload("button"))
    for interaction in (asked, pressed):
        assert answer(interaction, Verdict(is_taken=True, says="Wait.")) == whisper("Wait.")
        assert answer(interaction, Verdict(is_taken=False)) == whisper(NOT_TAKEN)
    quote = answer(asked, TAKEN)
    assert (quote["type"], quote["data"]["content"]) == (4, "> what is the answer?")
    assert quote["data"]["allowed_mentions"] == {"parse": []}
    assert answer(pressed, TAKEN) == {"type": 6}
    assert whisper("x" * 3000)["data"] == {
        "content": "x" * 2000,
        "flags": 64,
        "allowed_mentions": {"parse": []},
    }


def test_a_long_question_is_quoted_as_far_as_a_message_holds() -> None:
    long = payload("command_guild")
    long["data"]["options"][0]["value"] = "word\n" * 1200
    interaction = to_interaction(long)
    assert isinstance(interaction.delivery, Inbound) and len(interaction.delivery.text) > 5000
    content = answer(interaction, TAKEN)["data"]["content"]
    assert len(content) == 2000 and content.endswith("…")


def test_a_buttons_value_has_its_limit() -> None:
    assert len(custom_id("v" * 40, asks_reason=True)) <= 100
    with pytest.raises(ValueError, match="too long"):
        custom_id("v" * 100, asks_reason=False)
