"""Disturbing the queues and the clock: repeats, gaps, other orders, losses, revoked tokens; over HTTP as well."""

import asyncio

import pytest
from aiohttp import ClientSession
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, InvalidToken
from telegram_emulator_cast import FORUM, GATE, GROUP

from channels.emulators.telegram import BotAccount, ControlError, TelegramEmulator

ADA = 1001


async def ids(bot: Bot, **arguments: object) -> list[int]:
    return [update.update_id for update in await bot.get_updates(**arguments)]  # type: ignore[arg-type]


async def test_a_confirmed_update_comes_once_more_under_its_id(bot: Bot, emulator: TelegramEmulator) -> None:
    first, second = emulator.say("one").update_id, emulator.say("two").update_id
    assert first is not None and second is not None
    await ids(bot, offset=second)
    emulator.redeliver(first)
    assert await ids(bot, offset=second) == [first, second]
    assert await ids(bot, offset=second) == [second], "only once"
    with pytest.raises(ControlError, match="remembered"):
        emulator.redeliver(1)


async def test_a_repeat_wakes_a_long_poll(bot: Bot, emulator: TelegramEmulator) -> None:
    first = emulator.say("one").update_id
    assert first is not None
    waiting = asyncio.create_task(ids(bot, offset=first + 1, timeout=20))
    await asyncio.sleep(0.1)
    emulator.redeliver(first)
    assert await asyncio.wait_for(waiting, 2) == [first]


async def test_updates_out_of_order_are_confirmed_by_their_ids(bot: Bot, emulator: TelegramEmulator) -> None:
    first, second, third = (emulator.say(text).update_id or 0 for text in ("one", "two", "three"))
    emulator.arrange_updates([third, first, second])
    assert await ids(bot) == [third, first, second]
    assert await ids(bot, offset=second) == [third, second]
    with pytest.raises(ControlError, match="waiting updates"):
        emulator.arrange_updates([first])


async def test_gaps_and_losses(bot: Bot, emulator: TelegramEmulator) -> None:
    first = emulator.say("one").update_id or 0
    emulator.skip_update_ids(5)
    assert emulator.say("two").update_id == first + 6
    emulator.expire_updates()
    assert await ids(bot) == []
    emulator.say("three")
    emulator.advance(86_401)
    assert await ids(bot) == []


async def test_a_revoked_token_opens_nothing(bot: Bot, emulator: TelegramEmulator, connect: object) -> None:
    token = emulator.revoke_token()
    with pytest.raises(InvalidToken):
        await bot.get_me()
    fresh = await connect(emulator, BotAccount(token, GATE.id, GATE.username))  # type: ignore[operator]
    emulator.say("still the same bot")
    assert len(await ids(fresh)) == 1
    with pytest.raises(ControlError):
        emulator.revoke_token("43:of-another-bot")


async def test_bots_are_not_told_of_deletions(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("regret")
    emulator.delete(ADA, said.message_id)
    assert await ids(bot) == [said.update_id], "what was queued stays queued"
    assert emulator.messages(ADA)[0].deleted_at is not None
    with pytest.raises(BadRequest, match=r"(?i)message to be replied not found"):
        await bot.send_message(ADA, "re", reply_to_message_id=said.message_id)
    with pytest.raises(ControlError):
        emulator.delete(ADA, said.message_id)


async def test_keyboards_are_replaced_alone(bot: Bot, emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    yes = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y", style="success")]])
    sent = await bot.send_message(ADA, "choose", reply_markup=yes)
    await bot.edit_message_reply_markup(ADA, sent.message_id, reply_markup=None)
    message = emulator.messages(ADA)[-1]
    assert (message.keyboard, message.edited_at) == (None, None)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_reply_markup(ADA, sent.message_id, reply_markup=None)
    hundred = [[InlineKeyboardButton(str(n), url="https://a.example") for n in range(5)] for _ in range(20)]
    await bot.edit_message_reply_markup(ADA, sent.message_id, reply_markup=InlineKeyboardMarkup(hundred))
    more = InlineKeyboardMarkup([*hundred, *yes.inline_keyboard])
    with pytest.raises(BadRequest, match=r"(?i)reply markup is too long"):
        await bot.edit_message_reply_markup(ADA, sent.message_id, reply_markup=more)
    with pytest.raises(BadRequest, match=r"(?i)message_too_long"):
        await bot.edit_message_text("x" * 5000, ADA, sent.message_id)


async def test_every_verb_over_http(emulator: TelegramEmulator, http: ClientSession, bot: Bot) -> None:
    async def do(path: str, **body: object) -> object:
        async with http.post(f"{emulator.url}/control/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    ada = {"id": ADA, "first_name": "Ada"}
    said = emulator.say("hello")
    await bot.get_updates(allowed_updates=["message", "message_reaction"])
    reacted = await do("reactions", chat_id=ADA, message_id=said.message_id, emoji=["👍"], user=ada)
    assert reacted == {"update_id": emulator.pending_updates()[-1].id}
    assert await do("deletions", chat_id=ADA, message_id=said.message_id) == {}
    added = await do("bots/added", chat_id=GROUP, chat_title="Team", by=ada)
    assert isinstance(added, dict) and added["bots"] == ["gate_bot"]
    await do("bots/roles", chat_id=GROUP, role="administrator")
    await do("members/roles", chat_id=GROUP, user={"id": 5, "first_name": "Bo"}, role="member")
    moved = await do("migrations", chat_id=GROUP, new_id=FORUM)
    assert moved == {"chat_id": FORUM}
    await do("forums", chat_id=FORUM)
    topic = await do("topics", chat_id=FORUM, name="Plans", user=ada)
    assert isinstance(topic, dict) and topic["name"] == "Plans"
    waiting = [update.id for update in emulator.pending_updates()]
    await do("updates/arranged", update_ids=waiting[::-1])
    assert [update.id for update in emulator.pending_updates()] == waiting[::-1]
    await do("updates/redelivered", update_id=waiting[0])
    await do("updates/skipped", count=3)
    await do("updates/expired")
    assert await do("clock", advance_s=10) == {"now": emulator.world.now()}
    assert emulator.say("hello").update_id == max(waiting) + 4
    token = await do("tokens", token="42:new")
    assert token == {"token": "42:new"}
    async with http.get(f"{emulator.url}/control/chats") as answer:
        forum = (await answer.json())[-1]
    assert (forum["is_forum"], forum["roles"]) == (True, {"5": "member", "42": "administrator"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"advance_s": -1}),
        ("clock", {"advance_s": "soon"}),
        ("bots/roles", {"chat_id": GROUP, "role": "king"}),
        ("bots/added", {"chat_id": ADA}),
        ("migrations", {"chat_id": GROUP}),
        ("forums", {"chat_id": ADA}),
        ("reactions", {"chat_id": ADA, "message_id": 1, "emoji": "👍"}),
        ("updates/skipped", {"count": 0}),
        ("updates/arranged", {"update_ids": ["x"]}),
        ("files", {"user": {"id": 1, "first_name": "A"}, "files": []}),
        ("tokens", {"token": "42:gate-secret"}),
    ],
)
async def test_senseless_verbs_are_refused(
    emulator: TelegramEmulator, http: ClientSession, path: str, body: dict[str, object]
) -> None:
    emulator.say("hello")
    async with http.post(f"{emulator.url}/control/{path}", json=body) as answer:
        assert answer.status == 400 and (await answer.json())["error"]
