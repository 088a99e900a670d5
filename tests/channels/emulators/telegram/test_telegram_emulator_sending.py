"""Sending, editing, deleting, buttons and reactions: what the network allows and how it refuses."""

from datetime import timedelta

import pytest
from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    MessageEntity,
    ReactionTypeEmoji,
    ReplyParameters,
)
from telegram.constants import ReactionEmoji
from telegram.error import BadRequest, RetryAfter
from telegram_emulator_cast import FORUM, GATE, GROUP, NOSY, Clock, Connect

from channels.emulators.telegram import ControlError, FloodLimits, TelegramEmulator, User
from channels.emulators.telegram.bot_calls import REACTIONS

ADA = 1001


@pytest.fixture(autouse=True)
def ada_said_hello(emulator: TelegramEmulator) -> int:
    return emulator.say("hello").message_id


def keyboard(*data: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton(one, callback_data=one) for one in data]])


async def test_a_message_is_kept_with_all_its_versions(
    bot: Bot, emulator: TelegramEmulator, clock: Clock
) -> None:
    sent = await bot.send_message(ADA, "one")
    clock.now += 5
    await bot.edit_message_text("two", ADA, sent.message_id)
    edited = await bot.edit_message_text("three", ADA, sent.message_id)
    message = emulator.messages(ADA)[-1]
    assert (message.text, [edit.text for edit in message.edits]) == ("three", ["one", "two"])
    assert [edit.at - message.at for edit in message.edits] == [5, 5]
    assert edited.edit_date is not None and edited.edit_date.timestamp() == clock.now


async def test_private_chats_and_groups_share_a_counter_and_supergroups_have_their_own(
    bot: Bot, emulator: TelegramEmulator, ada_said_hello: int
) -> None:
    in_group = emulator.say("/go", chat_id=GROUP)
    in_forum = emulator.say("/go", chat_id=FORUM)
    sent = await bot.send_message(ADA, "next")
    assert (ada_said_hello, in_group.message_id, sent.message_id) == (1, 2, 3)
    assert in_forum.message_id == 1


@pytest.mark.parametrize("text", ["same", "same  \n", "\n same"])
async def test_an_edit_that_shows_the_same_is_refused(bot: Bot, text: str) -> None:
    sent = await bot.send_message(ADA, "same")
    with pytest.raises(BadRequest, match=r"^Message is not modified: specified new message content"):
        await bot.edit_message_text(text, ADA, sent.message_id)


async def test_an_edit_without_the_keyboard_takes_it_away(bot: Bot, emulator: TelegramEmulator) -> None:
    sent = await bot.send_message(ADA, "choose", reply_markup=keyboard("yes", "no"))
    await bot.edit_message_text("choose", ADA, sent.message_id)
    assert emulator.messages(ADA)[-1].keyboard is None
    assert emulator.messages(ADA)[-1].edits == []


async def test_length_is_counted_in_utf16(bot: Bot, emulator: TelegramEmulator) -> None:
    await bot.send_message(ADA, "😀" * 2048)
    with pytest.raises(BadRequest, match="Message is too long"):
        await bot.send_message(ADA, "😀" * 2048 + "a")
    with pytest.raises(BadRequest, match=r"(?i)message_too_long"):
        await bot.edit_message_text("a" * 4097, ADA, emulator.messages(ADA)[-1].id)
    assert len(emulator.messages(ADA)) == 2


@pytest.mark.parametrize("text", ["", "  \n "])
async def test_an_empty_message_is_refused(bot: Bot, text: str) -> None:
    with pytest.raises(BadRequest, match="Message text is empty"):
        await bot.send_message(ADA, text)


@pytest.mark.parametrize(
    ("offset", "length", "reason"),
    [
        (0, 5, "ends after the end of the text"),
        (1, 2, "begins in a middle of a utf-16 symbol"),
        (0, 1, "ends in a middle of a utf-16 symbol"),
        (-1, 2, "incorrect offset"),
    ],
)
async def test_entities_must_fit_the_text_in_utf16(bot: Bot, offset: int, length: int, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        await bot.send_message(ADA, "😀ab", entities=[MessageEntity("bold", offset, length)])


async def test_entities_are_kept_and_completed_by_the_server(bot: Bot) -> None:
    sent = await bot.send_message(
        ADA,
        "😀 bold @gate_bot /go #tag https://a.example/x. and @code_here",
        entities=[MessageEntity("bold", 3, 4), MessageEntity("code", 52, 10)],
    )
    covered = {entity.type: sent.parse_entity(entity) for entity in sent.entities}
    assert covered == {
        "bold": "bold",
        "mention": "@gate_bot",
        "bot_command": "/go",
        "hashtag": "#tag",
        "url": "https://a.example/x",
        "code": "@code_here",
    }
    assert sum(entity.type == "mention" for entity in sent.entities) == 1, "nothing is found inside code"


async def test_bots_cannot_write_to_strangers(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(999, "hi")
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message("@somebody", "hi")


async def test_only_own_and_existing_messages_are_edited(
    bot: Bot, emulator: TelegramEmulator, ada_said_hello: int
) -> None:
    with pytest.raises(BadRequest, match="Message can't be edited"):
        await bot.edit_message_text("x", ADA, ada_said_hello)
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", ADA, 77)


async def test_deleting_is_for_own_young_messages(bot: Bot, emulator: TelegramEmulator, clock: Clock) -> None:
    sent = await bot.send_message(ADA, "regret")
    await bot.delete_message(ADA, sent.message_id)
    assert emulator.messages(ADA)[-1].deleted_at == clock.now
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await bot.delete_message(ADA, sent.message_id)
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("x", ADA, sent.message_id)
    theirs = emulator.say("/mine", chat_id=GROUP)
    with pytest.raises(BadRequest, match="Message can't be deleted"):
        await bot.delete_message(GROUP, theirs.message_id)
    old = await bot.send_message(ADA, "old")
    clock.now += 48 * 3600
    with pytest.raises(BadRequest, match="Message can't be deleted"):
        await bot.delete_message(ADA, old.message_id)


async def test_a_reply_needs_its_message(bot: Bot, ada_said_hello: int) -> None:
    sent = await bot.send_message(ADA, "re", reply_parameters=ReplyParameters(ada_said_hello))
    assert sent.reply_to_message is not None and sent.reply_to_message.text == "hello"
    with pytest.raises(BadRequest, match="Message to be replied not found"):
        await bot.send_message(ADA, "re", reply_parameters=ReplyParameters(77))
    lenient = ReplyParameters(77, allow_sending_without_reply=True)
    assert (await bot.send_message(ADA, "re", reply_parameters=lenient)).reply_to_message is None


async def test_topics(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("/go", chat_id=FORUM, message_thread_id=30, chat_title="Team")
    created, update = await bot.get_updates(offset=-2)
    assert created.message is not None and created.message.forum_topic_created is not None
    assert update.update_id == said.update_id and update.message is not None
    assert (update.message.message_thread_id, update.message.is_topic_message) == (30, True)
    assert update.message.chat.is_forum
    sent = await bot.send_message(FORUM, "here", message_thread_id=30)
    assert sent.message_thread_id == 30 and sent.message_id == said.message_id + 1
    for unknown in (1, 31):
        with pytest.raises(BadRequest, match="Message thread not found"):
            await bot.send_message(FORUM, "lost", message_thread_id=unknown)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(ADA, "lost", message_thread_id=30)


async def test_button_payloads_are_limited_in_bytes(bot: Bot) -> None:
    await bot.send_message(ADA, "ok", reply_markup=keyboard("ä" * 32))
    with pytest.raises(BadRequest, match=r"(?i)button_data_invalid"):
        await bot.send_message(ADA, "no", reply_markup=keyboard("ä" * 32 + "a"))
    with pytest.raises(BadRequest, match="text buttons are unallowed"):
        await bot.send_message(ADA, "no", reply_markup={"inline_keyboard": [[{"text": "x"}]]})  # type: ignore[arg-type]


async def test_a_pressed_button_is_answered_once_and_in_time(
    bot: Bot, emulator: TelegramEmulator, clock: Clock
) -> None:
    sent = await bot.send_message(ADA, "choose", reply_markup=keyboard("yes", "no"))
    with pytest.raises(ControlError, match="no such button"):
        emulator.press(ADA, sent.message_id, "maybe")
    emulator.press(ADA, sent.message_id, "yes")
    query = (await bot.get_updates(offset=-1))[0].callback_query
    assert query is not None and query.data == "yes" and query.from_user.id == ADA
    await query.answer("noted")
    with pytest.raises(BadRequest, match="Query is too old"):
        await query.answer("again")
    late = emulator.press(ADA, sent.message_id, "no")
    clock.now += 151
    assert all(update.kind != "callback_query" for update in emulator.pending_updates())
    with pytest.raises(BadRequest, match="Query is too old"):
        await bot.answer_callback_query(late)


async def test_reactions_are_idempotent_and_from_the_list(
    bot: Bot, emulator: TelegramEmulator, ada_said_hello: int
) -> None:
    assert {emoji.value for emoji in ReactionEmoji} == REACTIONS
    for _ in range(2):
        await bot.set_message_reaction(ADA, ada_said_hello, "👀")
    assert emulator.messages(ADA)[0].reactions == {GATE.id: ["👀"]}
    with pytest.raises(BadRequest, match=r"(?i)reaction_invalid"):
        await bot.set_message_reaction(ADA, ada_said_hello, ReactionTypeEmoji("🧮"))
    await bot.set_message_reaction(ADA, ada_said_hello)
    assert emulator.messages(ADA)[0].reactions == {}


async def test_chats_members_and_commands(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=GROUP, chat_title="Team", user=User(7, "Bo"))
    assert (await bot.get_chat(GROUP)).title == "Team"
    assert (await bot.get_chat_member(GROUP, 7)).status == "member"
    assert (await bot.get_chat_member(GROUP, ADA)).status == "left"
    with pytest.raises(BadRequest, match=r"(?i)invalid user_id"):
        await bot.get_chat_member(GROUP, 555)
    await bot.set_my_commands([BotCommand("new", "Start over")])
    assert [command.command for command in await bot.get_my_commands()] == ["new"]
    with pytest.raises(BadRequest, match=r"(?i)bot_command_invalid"):
        await bot.set_my_commands([BotCommand("New!", "Start over")])


async def test_what_is_not_emulated_says_so(bot: Bot) -> None:
    with pytest.raises(BadRequest, match="not emulated yet"):
        await bot.set_webhook("https://gate.example/hook")
    with pytest.raises(BadRequest, match="not emulated yet"):
        await bot.send_message(ADA, "*x*", parse_mode="MarkdownV2")


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("just talking", False),
        ("@gate_bot what now?", True),
        ("@gate_botany is lovely", False),
        ("/status", True),
        ("/status@gate_bot", True),
        ("/status@nosy_bot", False),
        ("see a/status", False),
    ],
)
async def test_in_groups_privacy_mode_hides_what_is_not_for_the_bot(
    emulator: TelegramEmulator, text: str, is_seen: bool
) -> None:
    assert (emulator.say(text, chat_id=GROUP).update_id is not None) == is_seen
    assert emulator.say(text, chat_id=GROUP - 1, bot="nosy_bot").update_id is not None


async def test_replies_to_the_bot_reach_it(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=GROUP)
    sent = await bot.send_message(GROUP, "yes?")
    assert emulator.say("do it", chat_id=GROUP, reply_to=sent.message_id).update_id is not None
    other = emulator.say("between us", chat_id=GROUP).message_id
    assert emulator.say("indeed", chat_id=GROUP, reply_to=other).update_id is None


async def test_a_shared_supergroup_gives_bare_commands_to_the_bot_that_spoke_last(
    emulator: TelegramEmulator, bot: Bot, connect: Connect
) -> None:
    nosy = await connect(emulator, NOSY)
    emulator.say("hello", chat_id=FORUM)
    emulator.say("hello", chat_id=FORUM, bot="nosy_bot")
    assert emulator.say("/go", chat_id=FORUM).update_id is None
    await bot.send_message(FORUM, "I am here")
    assert emulator.say("/go", chat_id=FORUM).update_id is not None
    await nosy.send_message(FORUM, "so am I")
    assert emulator.say("/go", chat_id=FORUM).update_id is None


async def test_people_edit_their_messages(bot: Bot, emulator: TelegramEmulator, ada_said_hello: int) -> None:
    emulator.edit(ADA, ada_said_hello, "hello there")
    update = (await bot.get_updates())[-1]
    assert update.edited_message is not None and update.edited_message.text == "hello there"
    with pytest.raises(ControlError, match="says that already"):
        emulator.edit(ADA, ada_said_hello, "hello there")


async def test_flood_limits_are_part_of_the_rules(clock: Clock, connect: Connect) -> None:
    limits = FloodLimits(private_burst=2, group_per_min=3)
    async with TelegramEmulator([GATE], clock=clock, flood_limits=limits) as emulator:
        bot = await connect(emulator)
        emulator.say("hello")
        emulator.say("/go", chat_id=GROUP)
        sent = await bot.send_message(ADA, "one")
        await bot.edit_message_text("edits count too", ADA, sent.message_id)
        with pytest.raises(RetryAfter) as refused:
            await bot.send_message(ADA, "three")
        assert refused.value.retry_after == timedelta(seconds=1)
        clock.now += 1
        await bot.send_message(ADA, "three")
        for number in range(3):
            await bot.send_message(GROUP, str(number))
        with pytest.raises(RetryAfter) as refused:
            await bot.send_message(GROUP, "four")
        assert refused.value.retry_after == timedelta(seconds=20)
        assert len(emulator.messages(GROUP)) == 4
