"""Rooms: who is in them and as what, who is told; topics of forums and private chats; migration."""

import pytest
from telegram import Bot, BotCommand
from telegram.error import BadRequest, ChatMigrated, Forbidden
from telegram_emulator_cast import FORUM, GATE, GROUP, Connect

from channels.emulators.telegram import BotAccount, ControlError, TelegramEmulator, User

ADA, BO = User(1001, "Ada", "ada"), User(1002, "Bo")
ALL_KINDS = ["message", "my_chat_member", "chat_member", "message_reaction"]


async def test_the_bot_is_told_when_it_is_added_promoted_and_removed(
    bot: Bot, emulator: TelegramEmulator
) -> None:
    emulator.add_bot(GROUP, by=ADA, chat_title="Team")
    emulator.set_bot_role(GROUP, "administrator", by=ADA)
    emulator.set_bot_role(GROUP, "kicked", by=ADA)
    updates = await bot.get_updates()
    changes = [update.my_chat_member for update in updates if update.my_chat_member]
    assert [(one.old_chat_member.status, one.new_chat_member.status) for one in changes] == [
        ("left", "member"),
        ("member", "administrator"),
        ("administrator", "kicked"),
    ]
    assert changes[0].from_user.id == ADA.id and changes[0].chat.title == "Team"
    added = [update.message for update in updates if update.message]
    assert [one.id for message in added for one in message.new_chat_members] == [GATE.id]
    with pytest.raises(Forbidden, match="bot was kicked from the group chat"):
        await bot.send_message(GROUP, "hello?")
    emulator.add_bot(GROUP, by=ADA)
    await bot.send_message(GROUP, "back again")
    with pytest.raises(ControlError, match="already"):
        emulator.add_bot(GROUP)


async def test_what_is_said_while_the_bot_is_out_does_not_reach_it(
    bot: Bot, emulator: TelegramEmulator
) -> None:
    emulator.say("/go", chat_id=FORUM)
    assert await bot.leave_chat(FORUM)
    assert emulator.say("/go", chat_id=FORUM).update_id is None
    with pytest.raises(Forbidden, match="bot is not a member of the supergroup chat"):
        await bot.get_chat(FORUM)


async def test_a_person_blocks_the_bot(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.set_bot_role(ADA.id, "kicked", by=ADA)
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(ADA.id, "hello?")
    emulator.set_bot_role(ADA.id, "member", by=ADA)
    await bot.send_message(ADA.id, "hello again")
    kinds = [update.kind for update in emulator.pending_updates()]
    assert kinds == ["message", "my_chat_member", "my_chat_member"]


async def test_people_come_and_go(bot: Bot, emulator: TelegramEmulator) -> None:
    await bot.get_updates(allowed_updates=ALL_KINDS)
    emulator.say("/go", chat_id=GROUP)
    emulator.set_role(GROUP, BO, "member", by=BO)
    emulator.set_bot_role(GROUP, "administrator")
    emulator.set_role(GROUP, BO, "left", by=BO)
    emulator.set_role(GROUP, ADA, "creator")
    updates = await bot.get_updates()
    told = [update.chat_member for update in updates if update.chat_member]
    assert [one.new_chat_member.status for one in told] == ["left", "creator"], "only as an administrator"
    left = [update.message.left_chat_member for update in updates if update.message]
    assert [one.id for one in left if one] == [BO.id]
    admins = await bot.get_chat_administrators(GROUP)
    assert {(one.user.id, one.status) for one in admins} == {
        (ADA.id, "creator"),
        (GATE.id, "administrator"),
    }
    assert (await bot.get_chat_member(GROUP, BO.id)).status == "left"
    assert await bot.get_chat_member_count(GROUP) == 2
    with pytest.raises(BadRequest, match="no administrators in the private chat"):
        emulator.say("hello")
        await bot.get_chat_administrators(ADA.id)


async def test_administrators_see_and_delete_everything(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=GROUP)
    assert emulator.say("between us", chat_id=GROUP).update_id is None
    emulator.set_bot_role(GROUP, "administrator")
    said = emulator.say("not any more", chat_id=GROUP)
    assert said.update_id is not None
    await bot.delete_messages(GROUP, [said.message_id, 9_999])
    assert emulator.messages(GROUP)[-1].deleted_at is not None


async def test_deleting_many_is_all_or_nothing(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("/go", chat_id=GROUP)
    sent = await bot.send_message(GROUP, "mine")
    with pytest.raises(BadRequest, match=r"(?i)message can't be deleted"):
        await bot.delete_messages(GROUP, [sent.message_id, said.message_id])
    assert all(message.deleted_at is None for message in emulator.messages(GROUP))


async def test_people_react_and_bots_that_asked_are_told(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("hello")
    sent = await bot.send_message(ADA.id, "hi")
    assert emulator.react(ADA.id, sent.message_id, "👍") is None, "off unless asked for"
    await bot.get_updates(allowed_updates=ALL_KINDS)
    emulator.react(ADA.id, sent.message_id, "👎")
    update = (await bot.get_updates())[-1].message_reaction
    assert update is not None and update.user is not None and update.user.id == ADA.id
    assert (update.message_id, [one.emoji for one in update.old_reaction]) == (sent.message_id, ["👍"])  # type: ignore[union-attr]
    assert [one.emoji for one in update.new_reaction] == ["👎"]  # type: ignore[union-attr]
    assert emulator.react(ADA.id, sent.message_id, "👎") is None, "nothing changed"
    assert emulator.react(ADA.id, sent.message_id) is not None
    with pytest.raises(ControlError):
        emulator.react(ADA.id, said.message_id, "🧮")
    emulator.say("/go", chat_id=GROUP)
    in_group = (await bot.send_message(GROUP, "here")).message_id
    assert emulator.react(GROUP, in_group, "👍") is None, "in groups only administrators are told"
    emulator.set_bot_role(GROUP, "administrator")
    assert emulator.react(GROUP, in_group, "🔥") is not None


async def test_bots_open_rename_and_close_topics_of_a_forum(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=FORUM)
    with pytest.raises(BadRequest, match=r"(?i)the chat is not a forum"):
        await bot.create_forum_topic(FORUM, "Reports")
    emulator.make_forum(FORUM)
    with pytest.raises(BadRequest, match=r"(?i)not enough rights to create a topic"):
        await bot.create_forum_topic(FORUM, "Reports")
    emulator.set_bot_role(FORUM, "administrator")
    topic = await bot.create_forum_topic(FORUM, "Reports", icon_color=9_367_192)
    sent = await bot.send_message(FORUM, "in it", message_thread_id=topic.message_thread_id)
    assert sent.is_topic_message and sent.message_thread_id == topic.message_thread_id
    assert (await bot.send_message(FORUM, "general")).message_thread_id is None
    await bot.edit_forum_topic(FORUM, topic.message_thread_id, name="Numbers")
    with pytest.raises(BadRequest, match=r"(?i)topic_not_modified"):
        await bot.edit_forum_topic(FORUM, topic.message_thread_id, name="Numbers")
    await bot.close_forum_topic(FORUM, topic.message_thread_id)
    emulator.set_bot_role(FORUM, "member")
    with pytest.raises(BadRequest, match=r"(?i)topic_closed"):
        await bot.send_message(FORUM, "late", message_thread_id=topic.message_thread_id)
    await bot.reopen_forum_topic(FORUM, topic.message_thread_id)  # its creator may
    services = [message.service for message in emulator.messages(FORUM) if message.service]
    assert [next(iter(one)) for one in services] == [
        "forum_topic_created",
        "forum_topic_edited",
        "forum_topic_closed",
        "forum_topic_reopened",
    ]
    for wrong in (1, 77):
        with pytest.raises(BadRequest, match=r"(?i)topic_id_invalid"):
            await bot.close_forum_topic(FORUM, wrong)
    emulator.set_bot_role(FORUM, "administrator")
    with pytest.raises(BadRequest, match=r"(?i)icon color"):
        await bot.create_forum_topic(FORUM, "Pink", icon_color=1)


async def test_people_open_topics_and_bots_see_that(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=FORUM)
    topic = emulator.open_topic(FORUM, "Plans")
    update = (await bot.get_updates())[-1]
    assert update.message is not None and update.message.forum_topic_created is not None
    assert update.message.forum_topic_created.name == "Plans"
    assert update.message.message_thread_id == update.message.message_id == topic.id
    with pytest.raises(ControlError):
        emulator.open_topic(GROUP, "Plans")


async def test_private_chats_have_topics_when_the_bot_has_them(connect: Connect) -> None:
    account = BotAccount("9:s", 9, "topical_bot", has_topics=True, users_create_topics=True)
    async with TelegramEmulator([account]) as emulator:
        bot: Bot = await connect(emulator, account)
        me = await bot.get_me()
        assert me.has_topics_enabled and me.allows_users_to_create_topics
        emulator.say("hello")
        topic = await bot.create_forum_topic(ADA.id, "Chat 1")
        said = emulator.say("in it", message_thread_id=topic.message_thread_id)
        theirs = emulator.open_topic(ADA.id, "Chat 2")
        updates = {update.update_id: update.message for update in await bot.get_updates()}
        message = updates[said.update_id or 0]
        assert message is not None and message.is_topic_message
        assert message.message_thread_id == topic.message_thread_id
        await bot.send_message_draft(ADA.id, 5, "thinking", message_thread_id=theirs.id)
        sent = await bot.send_message(ADA.id, "answer", message_thread_id=theirs.id)
        assert sent.is_topic_message and sent.message_thread_id == theirs.id
        with pytest.raises(BadRequest, match=r"(?i)the chat is not a forum"):
            await bot.close_forum_topic(ADA.id, theirs.id)
        await bot.delete_forum_topic(ADA.id, theirs.id)
        with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
            await bot.send_message(ADA.id, "gone", message_thread_id=theirs.id)


async def test_without_the_setting_private_chats_have_no_topics(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    with pytest.raises(BadRequest, match=r"(?i)the chat is not a forum"):
        await bot.create_forum_topic(ADA.id, "Chat 1")
    with pytest.raises(ControlError):
        emulator.open_topic(ADA.id, "Chat 1")
    with pytest.raises(ControlError):
        emulator.say("x", message_thread_id=3)


async def test_a_group_becomes_a_supergroup(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("/go", chat_id=GROUP, chat_title="Team")
    sent = await bot.send_message(GROUP, "before")
    new_id = emulator.migrate(GROUP)
    for call in (
        bot.send_message(GROUP, "after"),
        bot.edit_message_text("after", GROUP, sent.message_id),
    ):
        with pytest.raises(ChatMigrated) as moved:
            await call
        assert moved.value.new_chat_id == new_id
    updates = (await bot.get_updates())[-2:]
    told = [update.message for update in updates if update.message]
    assert [(one.chat.id, one.migrate_to_chat_id, one.migrate_from_chat_id) for one in told] == [
        (GROUP, new_id, None),
        (new_id, None, GROUP),
    ]
    assert (await bot.send_message(new_id, "after")).chat.title == "Team"
    assert (await bot.get_chat(GROUP)).type == "group", "looking is still allowed"
    with pytest.raises(ControlError, match=str(new_id)):
        emulator.say("hello?", chat_id=GROUP)
    with pytest.raises(ControlError, match="only once"):
        emulator.migrate(GROUP)


async def test_commands_of_scopes_and_their_end(bot: Bot) -> None:
    await bot.set_my_commands([BotCommand("new", "Start over")], language_code="de")
    assert await bot.get_my_commands() == ()
    assert len(await bot.get_my_commands(language_code="de")) == 1
    await bot.delete_my_commands(language_code="de")
    assert await bot.get_my_commands(language_code="de") == ()
