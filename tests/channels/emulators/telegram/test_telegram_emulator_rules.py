"""The forms of arguments the network takes and refuses, against the pure rules."""

import json

import pytest
from telegram_emulator_cast import FORUM, GATE, GROUP, NOSY, Clock

from channels.emulators.telegram import NO_FLOOD_LIMITS, BotAccount, ControlError, User
from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.methods import call_method
from channels.emulators.telegram.people import Words, say
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.texts import clean, utf16_length, with_detected
from channels.emulators.telegram.world import World

ADA = User(1001, "Ada", "ada")


@pytest.fixture
def world(clock: Clock) -> World:
    made = World([GATE, NOSY], clock, NO_FLOOD_LIMITS, slows_repeats=True)
    say(made, GATE, Words("hello", ADA, ADA.id))
    return made


def call(world: World, method: str, **arguments: object) -> object:
    texts = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()
    }
    return call_method(world, GATE, method, Arguments(texts))


def refusal(world: World, method: str, **arguments: object) -> str:
    with pytest.raises(Refusal) as refused:
        call(world, method, **arguments)
    return refused.value.description


@pytest.mark.parametrize(
    ("entity", "reason"),
    [
        ("bold", "expected an Object"),
        ({"offset": 0, "length": 1}, 'find field "type"'),
        ({"type": "bold", "length": 1}, 'find field "offset"'),
        ({"type": "glow", "offset": 0, "length": 1}, "Unsupported type specified"),
        ({"type": "text_link", "offset": 0, "length": 1}, 'find field "url"'),
        ({"type": "custom_emoji", "offset": 0, "length": 1}, "not emulated yet"),
        ({"type": "bold", "offset": 0, "length": -1}, "incorrect length"),
    ],
)
def test_malformed_entities_are_refused(world: World, entity: object, reason: str) -> None:
    assert reason in refusal(world, "sendMessage", chat_id=1001, text="hi", entities=[entity])


def test_entities_keep_what_belongs_to_their_kind(world: World) -> None:
    entities = [
        {"type": "pre", "offset": 0, "length": 2, "language": "python", "user": 1},
        {"type": "text_link", "offset": 3, "length": 2, "url": "https://a.example"},
        {"type": "hashtag", "offset": 0, "length": 2},
        {"type": "bold", "offset": 0, "length": 0},
    ]
    sent = call(world, "sendMessage", chat_id=1001, text="ab cd", entities=entities)
    assert isinstance(sent, dict)
    assert sent["entities"] == [
        {"type": "pre", "offset": 0, "length": 2, "language": "python"},
        {"type": "text_link", "offset": 3, "length": 2, "url": "https://a.example"},
    ]


def test_trimming_moves_entities_along() -> None:
    text, entities = clean(" \n hi there  ", [{"type": "bold", "offset": 6, "length": 7}])
    assert (text, entities) == ("hi there", [{"type": "bold", "offset": 3, "length": 5}])


def test_white_space_inside_an_entity_at_the_start_stays() -> None:
    code = {"type": "pre", "offset": 0, "length": 6}
    assert clean("    x()", [code])[0] == "    x()"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail me@example.org", []),
        ("x@gate_bot", []),
        ("😀@gate_bot", [("mention", 2, 9)]),
        ("@abcd", [("mention", 0, 5)]),
        ("@abc", []),
        ("1/2 and /a", [("bot_command", 8, 2)]),
        ("#1 #one", [("hashtag", 3, 4)]),
        ("(https://a.example/b?c=@d_e_f)", [("url", 1, 28)]),
    ],
)
def test_what_the_server_finds_in_a_text(text: str, found: list[tuple[str, int, int]]) -> None:
    entities = with_detected(text, [])
    assert [(one["type"], one["offset"], one["length"]) for one in entities] == found


def test_utf16_lengths() -> None:
    assert (utf16_length("aä€"), utf16_length("😀"), utf16_length("👨\u200d💻")) == (3, 2, 5)


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ("[]", "object expected as reply markup"),
        ("{", "can't parse reply keyboard markup JSON object"),
        ({"keyboard": [[{"text": "a"}]]}, "not emulated yet"),
        ({"inline_keyboard": [{"text": "a"}]}, "must be an Array of Arrays"),
        ({"inline_keyboard": [["a"]]}, "must be an Object"),
        ({"inline_keyboard": [[{"callback_data": "a"}]]}, 'find field "text"'),
        ({"inline_keyboard": [[{"text": "a", "url": "javascript:x"}]]}, "Wrong HTTP URL"),
        (
            {"inline_keyboard": [[{"text": "a", "callback_data": "a", "style": "pink"}]]},
            "invalid button style",
        ),
        ({"inline_keyboard": [[{"text": "a", "web_app": {"url": "https://a"}}]]}, "web_app: not emulated"),
        ({"inline_keyboard": [[{"text": "a", "callback_data": "a"}] * 9]}, "reply markup is too long"),
    ],
)
def test_malformed_keyboards_are_refused(world: World, markup: object, reason: str) -> None:
    assert reason in refusal(world, "sendMessage", chat_id=1001, text="hi", reply_markup=markup)


@pytest.mark.parametrize(
    ("method", "arguments", "reason"),
    [
        ("sendMessage", {"text": "x"}, "chat_id is empty"),
        ("sendMessage", {"chat_id": 1001, "text": "x", "parse_mode": "rtf"}, "unsupported parse_mode"),
        ("sendMessage", {"chat_id": 1001, "text": "ä" * 16_385}, "text is too long"),
        ("sendMessage", {"chat_id": 1001, "text": "x", "reply_parameters": [1]}, "object expected"),
        ("sendMessage", {"chat_id": 1001, "text": "x", "reply_parameters": {"quote": "q"}}, "message_id"),
        ("sendMessage", {"chat_id": 1001, "text": "x", "reply_to_message_id": 9}, "replied not found"),
        ("editMessageText", {"text": "x"}, "inline messages: not emulated"),
        ("editMessageText", {"chat_id": 1001, "text": "x"}, "message identifier is not specified"),
        ("editMessageReplyMarkup", {"chat_id": 1001, "message_id": 1}, "message can't be edited"),
        ("sendChatAction", {"chat_id": 1001, "action": "juggle"}, "wrong parameter action"),
        ("setMessageReaction", {"chat_id": 1001, "message_id": 9}, "message to react not found"),
        ("answerCallbackQuery", {"callback_query_id": "1"}, "query is too old"),
        ("answerCallbackQuery", {"callback_query_id": "1", "text": "x" * 201}, "MESSAGE_TOO_LONG"),
        ("getChatMember", {"chat_id": 1001}, "invalid user_id"),
        ("setMyCommands", {"commands": [{"command": "a"}]}, "can't parse BotCommand"),
        ("setMyCommands", {"commands": [{"command": "a", "description": ""}]}, "DESCRIPTION_INVALID"),
        ("setMyCommands", {"commands": [{"command": "a", "description": "b"}] * 101}, "TOO_MUCH"),
        ("setWebhook", {"url": "http://plain.example"}, "An HTTPS URL must be provided"),
    ],
)
def test_malformed_calls_are_refused(
    world: World, method: str, arguments: dict[str, object], reason: str
) -> None:
    assert reason in refusal(world, method, **arguments)
    assert len(world.chats()[0].messages) == 1, "a refused call has no effect"


def test_outside_forums_groups_ignore_the_topic(world: World) -> None:
    say(world, GATE, Words("/go", ADA, GROUP))
    say(world, GATE, Words("/go", ADA, FORUM))
    for chat_id in (GROUP, FORUM):
        sent = call(world, "sendMessage", chat_id=chat_id, text="x", message_thread_id=77)
        assert isinstance(sent, dict) and "message_thread_id" not in sent


def test_a_reply_without_a_topic_goes_where_its_message_is(world: World) -> None:
    said = say(world, GATE, Words("/go", ADA, FORUM, message_thread_id=30))
    sent = call(world, "sendMessage", chat_id=FORUM, text="x", reply_to_message_id=said.message_id)
    assert isinstance(sent, dict) and sent["message_thread_id"] == 30


def test_the_two_private_chats_of_one_person_are_two_rooms(world: World) -> None:
    say(world, NOSY, Words("to nosy", ADA, ADA.id))
    assert [[one.text for one in chat.messages.values()] for chat in world.chats()] == [
        ["hello"],
        ["to nosy"],
    ]
    assert len(world.queues[GATE.id].pending(0)) == 1


@pytest.mark.parametrize(
    "words",
    [
        Words("x", ADA, -5, "private"),
        Words("x", ADA, 1002),
        Words("x", ADA, -5, "supergroup"),
        Words("x", ADA, FORUM, message_thread_id=1),
        Words("x", ADA, GROUP, message_thread_id=30),
    ],
)
def test_people_cannot_do_the_impossible(world: World, words: Words) -> None:
    with pytest.raises(ControlError):
        say(world, GATE, words)


def test_bots_need_an_identity_of_their_own(clock: Clock) -> None:
    with pytest.raises(ValueError, match="at least one"):
        World([], clock, NO_FLOOD_LIMITS, slows_repeats=True)
    with pytest.raises(ValueError, match="different"):
        World([GATE, BotAccount("42:other", 42, "twin_bot")], clock, NO_FLOOD_LIMITS, slows_repeats=True)
