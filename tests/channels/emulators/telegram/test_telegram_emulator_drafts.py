"""Drafts: a message that grows before a person's eyes and leaves nothing behind."""

import asyncio
import json

import pytest
from aiohttp import ClientSession
from telegram import Bot, MessageEntity
from telegram.error import BadRequest, InvalidToken
from telegram_emulator_cast import GATE, GROUP, Clock, Connect

from channels.emulators.telegram import BotAccount, TelegramEmulator

ADA = 1001


@pytest.fixture(autouse=True)
def ada_said_hello(emulator: TelegramEmulator) -> int:
    return emulator.say("hello").message_id


async def test_the_same_id_changes_the_draft_and_the_message_ends_it(
    bot: Bot, emulator: TelegramEmulator
) -> None:
    assert await bot.send_message_draft(ADA, 7, "Once")
    assert await bot.send_message_draft(ADA, 7, "Once upon", entities=[MessageEntity("bold", 0, 4)])
    draft = emulator.draft(ADA)
    assert draft is not None and (draft.id, draft.content.text, draft.versions) == (7, "Once upon", 2)
    await bot.send_message_draft(ADA, 8, "Other")
    draft = emulator.draft(ADA)
    assert draft is not None and (draft.id, draft.versions) == (8, 1)
    sent = await bot.send_message(ADA, "Once upon a time")
    assert emulator.draft(ADA) is None
    assert [message.id for message in emulator.messages(ADA)] == [1, sent.message_id]


async def test_a_draft_vanishes_after_half_a_minute(
    bot: Bot, emulator: TelegramEmulator, clock: Clock
) -> None:
    await bot.send_message_draft(ADA, 7, "Once")
    clock.now += 29
    await bot.send_message_draft(ADA, 7, "Once")
    clock.now += 29
    assert emulator.draft(ADA) is not None, "every change counts anew"
    emulator.advance(1)
    assert emulator.draft(ADA) is None
    assert len(emulator.messages(ADA)) == 1


async def test_an_empty_draft_is_the_thinking_placeholder(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    async with http.get(f"{emulator.url}/control/events") as stream:
        await bot.send_message_draft(ADA, 7, "")
        while not (line := await asyncio.wait_for(stream.content.readline(), 2)).startswith(b"data: "):
            pass
    event = json.loads(line[6:])
    assert (event["type"], event["detail"]["is_thinking"]) == ("draft", True)
    async with http.get(f"{emulator.url}/control/chats/{ADA}/drafts") as answer:
        (draft,) = await answer.json()
    assert (draft["draft_id"], draft["text"], draft["from"]["id"]) == (7, "", GATE.id)


async def test_drafts_are_for_private_chats_and_ids_are_not_zero(
    bot: Bot, emulator: TelegramEmulator
) -> None:
    emulator.say("/go", chat_id=GROUP)
    with pytest.raises(BadRequest, match=r"(?i)textdraft_peer_invalid"):
        await bot.send_message_draft(GROUP, 7, "x")
    with pytest.raises(BadRequest, match=r"(?i)invalid draft identifier"):
        await bot.send_message_draft(ADA, 0, "x")
    with pytest.raises(BadRequest, match=r"(?i)message is too long"):
        await bot.send_message_draft(ADA, 7, "x" * 4097)
    with pytest.raises(BadRequest, match=r"(?i)message thread not found"):
        await bot.send_message_draft(ADA, 7, "x", message_thread_id=5)
    assert emulator.draft(ADA) is None


async def test_bots_and_servers_without_drafts(connect: Connect) -> None:
    plain = BotAccount("9:s", 9, "plain_bot", may_stream_drafts=False)
    async with TelegramEmulator([plain]) as emulator:
        emulator.say("hello")
        bot: Bot = await connect(emulator, plain)
        with pytest.raises(BadRequest, match=r"(?i)textdraft_peer_invalid"):
            await bot.send_message_draft(ADA, 7, "x")
    async with TelegramEmulator([GATE], api_version=(9, 6)) as emulator:
        emulator.say("hello")
        bot = await connect(emulator)
        await bot.send_message_draft(ADA, 7, "x")
        with pytest.raises(BadRequest, match=r"(?i)message text is empty"):
            await bot.send_message_draft(ADA, 7, "")
    async with TelegramEmulator([GATE], api_version=(9, 2)) as emulator:
        emulator.say("hello")
        bot = await connect(emulator)
        # The library takes any 404 for a token that is wrong.
        with pytest.raises(InvalidToken):
            await bot.send_message_draft(ADA, 7, "x")
