"""Receiving: offsets, redelivery, long polls, conflicts and expiry, through the unmodified library."""

import asyncio

import pytest
from telegram import Bot
from telegram.error import Conflict, InvalidToken
from telegram_emulator_cast import Clock, Connect

from channels.emulators.telegram import BotAccount, TelegramEmulator
from channels.emulators.telegram.updates import UpdateQueue


async def ids(bot: Bot, **arguments: object) -> list[int]:
    return [update.update_id for update in await bot.get_updates(**arguments)]  # type: ignore[arg-type]


async def test_the_library_introduces_itself(bot: Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot, me.can_read_all_group_messages) == (42, "gate_bot", True, False)


async def test_what_a_person_writes_arrives_as_a_message(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("hello")
    (update,) = await bot.get_updates()
    assert update.update_id == said.update_id
    assert update.message is not None and update.message.from_user is not None
    assert update.message.text == "hello"
    assert update.message.message_id == said.message_id
    assert update.message.chat.id == update.message.from_user.id == 1001
    assert update.message.chat.type == "private"


async def test_unconfirmed_updates_are_delivered_again(bot: Bot, emulator: TelegramEmulator) -> None:
    first, second = emulator.say("one").update_id, emulator.say("two").update_id
    assert first is not None and second == first + 1
    assert await ids(bot) == [first, second]
    assert await ids(bot) == [first, second]
    assert await ids(bot, offset=second) == [second]
    assert await ids(bot) == [second], "an offset confirms what lies before it"
    assert await ids(bot, offset=second + 1) == []
    assert emulator.pending_updates() == []
    assert emulator.confirmed_offset() == second + 1


async def test_a_negative_offset_forgets_all_but_the_last(bot: Bot, emulator: TelegramEmulator) -> None:
    last = [emulator.say(str(number)).update_id for number in range(4)][-2:]
    assert await ids(bot, offset=-2) == last
    assert [update.id for update in emulator.pending_updates()] == last


async def test_the_limit_holds(bot: Bot, emulator: TelegramEmulator) -> None:
    expected = [emulator.say(str(number)).update_id for number in range(120)]
    assert await ids(bot, limit=3) == expected[:3]
    assert await ids(bot) == expected[:100]


def test_an_offset_far_in_the_future_starts_over() -> None:
    queue = UpdateQueue(first_id=10, slows_repeats=False)
    queue.push("message", {}, expires_at=100)
    assert [update.id for update in queue.take(1000, 100, now=0)] == [10]
    assert queue.confirmed_offset == 0


def test_a_repeated_offset_is_slowed_down_as_on_the_real_server() -> None:
    queue = UpdateQueue(first_id=10, slows_repeats=True)
    assert (queue.plan(0, 100, 0, now=0.0).limit, queue.plan(0, 100, 0, now=0.4).limit) == (100, 1)
    assert queue.plan(0, 100, 0, now=1.4).timeout_s == 3
    assert queue.plan(0, 100, 0, now=9.0).timeout_s == 0
    assert queue.plan(7, 500, 90, now=9.1) == queue.plan(7, 100, 50, now=99.0)


async def test_a_long_poll_returns_as_soon_as_something_is_said(bot: Bot, emulator: TelegramEmulator) -> None:
    waiting = asyncio.create_task(ids(bot, timeout=20))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    said = emulator.say("now")
    assert await asyncio.wait_for(waiting, 1) == [said.update_id]


async def test_a_long_poll_without_news_ends_empty(bot: Bot) -> None:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    assert await ids(bot, timeout=1) == []
    assert loop.time() - started_at >= 1


async def test_a_second_poller_throws_the_first_out(
    bot: Bot, emulator: TelegramEmulator, connect: Connect
) -> None:
    other = await connect(emulator)
    first = asyncio.create_task(ids(bot, timeout=20))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(ids(other, timeout=20))
    with pytest.raises(Conflict, match="terminated by other getUpdates request"):
        await asyncio.wait_for(first, 1)
    said = emulator.say("to the second")
    assert await asyncio.wait_for(second, 1) == [said.update_id]


async def test_a_webhook_left_behind_blocks_polling_until_it_is_deleted(connect: Connect) -> None:
    account = BotAccount(token="5:s", id=5, username="hooked_bot", webhook_url="https://old.example/hook")
    async with TelegramEmulator([account]) as emulator:
        bot: Bot = await connect(emulator, account)
        emulator.say("waiting")
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        info = await bot.get_webhook_info()
        assert (info.url, info.pending_update_count) == ("https://old.example/hook", 1)
        await bot.delete_webhook()
        assert len(await bot.get_updates()) == 1


async def test_updates_vanish_after_24_hours(bot: Bot, emulator: TelegramEmulator, clock: Clock) -> None:
    early = emulator.say("early").update_id
    clock.now += 3600
    late = emulator.say("late").update_id
    clock.now += 23 * 3600
    assert await ids(bot) == [early, late]
    clock.now += 1
    assert await ids(bot) == [late]


async def test_kinds_that_were_not_asked_for_are_lost(bot: Bot, emulator: TelegramEmulator) -> None:
    await bot.get_updates(allowed_updates=["callback_query"])
    assert emulator.say("unheard").update_id is None
    await bot.get_updates()
    assert emulator.say("the choice persists").update_id is None
    await bot.get_updates(allowed_updates=[])
    assert emulator.say("heard").update_id is not None


async def test_an_unknown_token_is_refused(emulator: TelegramEmulator, connect: Connect) -> None:
    stranger = BotAccount(token="42:wrong", id=42, username="gate_bot")
    with pytest.raises(InvalidToken):
        await connect(emulator, stranger)
