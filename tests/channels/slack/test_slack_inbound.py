"""Slack's events and interactions, as written down in `payloads`, and what the core is told of each."""

import copy
from typing import Any

import pytest
from slack_stage import PAYLOADS, TEAM, payload, room

from channels.messages import Addressed, Attachment, Deleted, Edited, Ignored, Inbound, Pressed, Sender
from channels.slack import inbound, interactions
from channels.slack.places import Place
from channels.slack.received import (
    Answerable,
    Began,
    BotIdentity,
    Echoed,
    FormWanted,
    Left,
    Opened,
    Profile,
    Received,
)
from channels.slack.settings import Experience

BOT = BotIdentity(TEAM, "U0000000001", "B0000000001")
ADA = Profile("Ada")
NOW_MS = 1_763_700_020_000
CHANNEL, DIRECT, ROOT = "C0000000001", "D0000000001", "1763700000.000100"
EVENTS = sorted(path.stem for path in PAYLOADS.glob("*.json") if "event_id" in payload(path.stem))


def read(name: str, author: Profile | None = ADA, experience: Experience = "agent") -> Received:
    return read_body(payload(name), author, experience)


def read_body(
    body: dict[str, Any], author: Profile | None = ADA, experience: Experience = "agent"
) -> Received:
    if body.get("type") == "event_callback":
        return inbound.to_received(body, inbound.bot_in(body) or BOT, author, experience)
    return interactions.to_received(body, author, NOW_MS)


def said(name: str, **options: Any) -> Inbound:
    delivery = read(name, **options).delivery
    assert isinstance(delivery, Inbound)
    return delivery


def test_a_direct_message_opens_a_thread() -> None:
    received = read("message_direct")
    assert received.delivery == Inbound(
        delivery_id=f"msg:{TEAM}:{DIRECT}:{ROOT}",
        room=room(DIRECT, ROOT),
        message_ref=ROOT,
        sender=Sender("U0ADA", "Ada"),
        text="hello",
        addressed=Addressed.DIRECT,
        is_direct=True,
        occurred_at_ms=1_763_700_000_000,
        thread_key=f"{TEAM}/{DIRECT}/{ROOT}",
    )
    assert received.cursor == (f"{TEAM}/{DIRECT}", ROOT)
    assert received.after == Began(Place(TEAM, DIRECT, ROOT), "U0ADA", "hello")


def test_a_reply_stays_in_its_thread_and_begins_nothing() -> None:
    reply = said("message_direct_reply")
    assert (reply.room, reply.reply_to) == (room(DIRECT, ROOT), ROOT)
    assert reply.thread_key == f"{TEAM}/{DIRECT}/{ROOT}"
    assert read("message_direct_reply").after is None


def test_without_an_experience_for_agents_a_direct_conversation_is_one() -> None:
    direct = said("message_direct", experience="none")
    assert (direct.room, direct.thread_key) == (room(DIRECT), f"{TEAM}/{DIRECT}")
    assert read("message_direct", experience="none").after is None


@pytest.mark.parametrize("name", ["message_channel", "message_thread_reply", "message_broadcast"])
def test_in_a_channel_only_a_mention_is_for_us(name: str) -> None:
    message = said(name)
    assert (message.addressed, message.is_direct) == (Addressed.AMBIENT, False)
    assert message.thread_key == f"{TEAM}/{CHANNEL}/{ROOT}"
    assert message.reply_to == (None if name == "message_channel" else ROOT)


def test_a_mention_and_its_message_are_one_delivery() -> None:
    message, mention = read("message_mention"), read("app_mention")
    assert message == mention
    assert isinstance(message.delivery, Inbound)
    assert message.delivery.addressed is Addressed.MENTION


def test_what_slack_writes_in_tokens_is_readable() -> None:
    assert said("message_mention").text == (
        "what is this page (https://example.org/a?b=1&c=2) <b> about? &copy; @bob #random @here"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [("message_mention_only", "@U0000000001"), ("message_mention_inside", "hello @U0000000001 there")],
)
def test_a_mention_is_taken_off_only_where_more_is_said(name: str, text: str) -> None:
    assert (said(name).text, said(name).addressed) == (text, Addressed.MENTION)


def test_files_are_named_by_what_fetches_them() -> None:
    url = "https://files.slack.com/files-pri/T0000000001-F0000000001/notes.txt"
    key = {"team": TEAM, "id": "F0000000001", "url": url}
    assert said("message_file").attachments == (Attachment(key, "notes.txt", "text/plain", 10),)
    key = {"team": TEAM, "id": "F0000000002", "url": ""}
    assert said("message_file_of_others").attachments == (Attachment(key, "F0000000002"),)


@pytest.mark.parametrize(
    ("name", "author", "is_external"),
    [
        ("message_mention", ADA, False),
        ("message_mention", None, False),
        ("message_mention", Profile("Guest", is_guest=True), True),
        ("message_mention", Profile("Eve", is_foreign=True), True),
        ("message_shared_channel", ADA, True),
        ("message_shared_channel", None, True),
        ("slash_command", Profile("Guest", is_guest=True), True),
        ("slash_command", ADA, False),
    ],
)
def test_who_is_not_of_the_workspace_is_external(
    name: str, author: Profile | None, is_external: bool
) -> None:
    assert said(name, author=author).sender.is_external is is_external


def test_without_a_profile_people_are_shown_by_their_id() -> None:
    assert said("message_channel", author=None).sender == Sender("U0ADA", "U0ADA")


def test_an_edit() -> None:
    assert read("edited").delivery == Edited(
        delivery_id=f"edit:{TEAM}:{CHANNEL}:{ROOT}:1763700005.000000",
        room=room(CHANNEL, ROOT),
        message_ref=ROOT,
        sender=Sender("U0ADA", "Ada"),
        text="hello again",
        occurred_at_ms=1_763_700_005_000,
    )


def test_a_deletion_has_one_name_whatever_is_left_of_the_message() -> None:
    deleted, under = read("deleted").delivery, read("deleted_under_replies").delivery
    assert isinstance(deleted, Deleted) and isinstance(under, Deleted)
    assert deleted.delivery_id == under.delivery_id == f"del:{TEAM}:{CHANNEL}:{ROOT}"
    assert (
        (deleted.room, deleted.message_ref) == (under.room, under.message_ref) == (room(CHANNEL, ROOT), ROOT)
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ignored_unfurled", "nothing that was said changed"),
        ("ignored_edit_of_bot", "edit of a bot's message"),
        ("ignored_own", "our own message"),
        ("ignored_bot", "sent by a bot"),
        ("ignored_bot_message", "sent by a bot"),
        ("ignored_join", "message channel_join"),
        ("ignored_member_joined", "event member_joined_channel"),
        ("ignored_reaction", "event reaction_added"),
        ("ignored_unknown", "event message_sent_by_carrier_pigeon"),
        ("ignored_shortcut", "interaction shortcut"),
    ],
)
def test_what_says_nothing_is_ignored_and_says_why(name: str, reason: str) -> None:
    delivery = read(name).delivery
    assert isinstance(delivery, Ignored) and delivery.reason == reason


def test_our_own_message_settles_its_operation() -> None:
    assert read("ignored_own").after == Echoed("dlv_7", ROOT)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("home_opened", Opened(Place(TEAM, DIRECT))),
        ("assistant_thread_started", Opened(Place(TEAM, DIRECT, "1763700011.000100"))),
        ("app_uninstalled", Left(TEAM, is_uninstalled=True)),
        ("tokens_revoked", Left(TEAM, is_uninstalled=False)),
    ],
)
def test_what_the_adapter_itself_must_know(name: str, after: object) -> None:
    received = read(name)
    assert received.after == after
    assert received.delivery == Ignored(f"ev:{payload(name)['event_id']}", name.replace("home", "app_home"))


def test_a_press() -> None:
    received = read("block_actions")
    assert received.delivery == Pressed(
        delivery_id=f"act:{TEAM}:{CHANNEL}:1763700003.000100:1763700013.000100:U0ADA",
        room=room(CHANNEL, ROOT),
        message_ref="1763700003.000100",
        sender=Sender("U0ADA", "Ada"),
        value="apr_1:yes",
        occurred_at_ms=1_763_700_013_000,
    )
    assert received.after == Answerable(Place(TEAM, CHANNEL, ROOT), "U0ADA", "message")


def test_a_press_that_wants_a_reason_is_no_decision_yet() -> None:
    received = read("block_actions_reason")
    assert isinstance(received.delivery, Ignored)
    place = Place(TEAM, CHANNEL, ROOT)
    assert received.after == FormWanted(
        place, "U0ADA", "111.222.aaa", "1763700003.000100", "apr_1:no", "Reject"
    )


def test_a_form() -> None:
    received = read("view_submission")
    assert received.delivery == Pressed(
        delivery_id=f"form:{TEAM}:V0000000001:111.222.bbb",
        room=room(CHANNEL, ROOT),
        message_ref="1763700003.000100",
        sender=Sender("U0ADA", "Ada"),
        value="apr_1:no",
        occurred_at_ms=NOW_MS,
        reason="Too dangerous",
    )
    assert received.after == Answerable(Place(TEAM, CHANNEL, ROOT), "U0ADA", "form")


def test_a_command() -> None:
    command = said("slash_command")
    assert command.delivery_id == f"cmd:{TEAM}:111.222.ccc"
    assert (command.addressed, command.text, command.message_ref) == (Addressed.COMMAND, "what is up", None)
    assert (command.room, command.room_title, command.thread_key) == (room(CHANNEL), "general", None)


@pytest.mark.parametrize("name", sorted(path.stem for path in PAYLOADS.glob("*.json")))
def test_a_redelivery_has_the_same_name(name: str) -> None:
    assert read(name).delivery.delivery_id == read(name).delivery.delivery_id


def spoiled(value: Any) -> list[Any]:
    """Versions of a JSON value with one part of the wrong kind, or missing."""
    if isinstance(value, dict):
        found = []
        for key in value:
            found.append({name: part for name, part in value.items() if name != key})
            found += [{**value, key: part} for part in (None, 7, "x\ud800", [], {}, *spoiled(value[key]))]
        return found
    if isinstance(value, list):
        return [[part] for part in (spoiled(value[0]) if value else [])]
    return []


@pytest.mark.parametrize("name", sorted(path.stem for path in PAYLOADS.glob("*.json")))
def test_no_body_raises_whatever_is_wrong_with_it(name: str) -> None:
    body = payload(name)
    for spoilt in spoiled(copy.deepcopy(body)):
        inbound.author_of(spoilt)
        interactions.author_in(spoilt)
        inbound.line_of(spoilt)
        delivery = read_body(spoilt).delivery
        assert delivery.delivery_id
        delivery.delivery_id.encode()


def test_every_payload_has_its_source() -> None:
    listed = (PAYLOADS / "README.md").read_text()
    assert all(name.split("_")[0] in listed for name in EVENTS)


def test_the_texts_that_are_stored_can_be_encoded() -> None:
    body = payload("message_direct")
    body["event"]["text"] = "a \ud83d b"
    delivery = read_body(body).delivery
    assert isinstance(delivery, Inbound)
    delivery.text.encode()
