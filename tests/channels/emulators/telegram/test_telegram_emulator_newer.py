"""What came with Bot API 10.1 to 10.3: rich and ephemeral messages, and the servers that do not know them.

The library is older: it reaches these by `do_api_request`, as our adapter must.
"""

import json
from typing import Any

import pytest
from aiohttp import ClientSession
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.error import BadRequest, EndPointNotFound
from telegram_emulator_cast import GATE, GROUP, Clock, Connect

from channels.emulators.telegram import NO_FLOOD_LIMITS, ControlError, TelegramEmulator, User
from channels.emulators.telegram.rich_markdown import blocks_of

ADA, BO = User(1001, "Ada", "ada"), User(1002, "Bo")
TEXT = "# Report\n\nTwo **things**:\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx = 1\n```\n"


@pytest.fixture(autouse=True)
def ada_and_bo(emulator: TelegramEmulator) -> None:
    emulator.say("hello")
    emulator.say("/go", chat_id=GROUP)
    emulator.say("/go", chat_id=GROUP, user=BO)


async def call(bot: Bot, method: str, **arguments: object) -> Any:
    return await bot.do_api_request(method, api_kwargs=arguments)


async def test_markdown_becomes_blocks(bot: Bot, emulator: TelegramEmulator) -> None:
    sent = await call(bot, "sendRichMessage", chat_id=ADA.id, rich_message={"markdown": TEXT})
    blocks = sent["rich_message"]["blocks"]
    assert [block["type"] for block in blocks] == ["heading", "paragraph", "list", "table", "pre"]
    assert blocks[0] == {"type": "heading", "text": "Report", "size": 1}
    assert blocks[4] == {"type": "pre", "text": "x = 1", "language": "py"}
    assert "text" not in sent
    message = emulator.messages(ADA.id)[-1]
    assert message.text.splitlines()[:3] == ["Report", "Two **things**:", "• one"]


async def test_a_text_is_edited_into_a_rich_message(bot: Bot, emulator: TelegramEmulator) -> None:
    sent = await bot.send_message(ADA.id, "working")
    arguments = {"chat_id": ADA.id, "message_id": sent.message_id, "rich_message": {"markdown": "# Done"}}
    await bot._post("editMessageText", arguments)
    assert emulator.messages(ADA.id)[-1].content.rich == {
        "blocks": [{"type": "heading", "text": "Done", "size": 1}]
    }
    with pytest.raises(BadRequest, match=r"(?i)message is not modified"):
        await bot._post("editMessageText", arguments)


async def test_thinking_is_for_drafts(bot: Bot, emulator: TelegramEmulator) -> None:
    thinking = {"blocks": [{"type": "thinking", "text": "Looking it up"}]}
    assert await call(bot, "sendRichMessageDraft", chat_id=ADA.id, draft_id=4, rich_message=thinking)
    draft = emulator.draft(ADA.id)
    assert draft is not None and draft.content.text == "Looking it up"
    with pytest.raises(BadRequest, match=r"(?i)unallowed type thinking"):
        await call(bot, "sendRichMessage", chat_id=ADA.id, rich_message=thinking)


@pytest.mark.parametrize(
    ("rich", "reason"),
    [
        ({}, "exactly one"),
        ({"markdown": "x", "blocks": []}, None),
        ({"markdown": "x", "html": "x"}, "exactly one"),
        ({"html": "<p>x</p>"}, "not emulated yet"),
        ({"markdown": " \n"}, "must be non-empty"),
        ({"markdown": "x" * 32_768}, None),
        ({"markdown": "x" * 32_769}, "too long"),
        ({"blocks": [{"type": "paragraph", "text": "x"}] * 501}, "too many blocks"),
        ({"blocks": [{"type": "photo"}]}, "not emulated yet"),
        ({"blocks": [{"type": "quote", "blocks": []}]}, "unallowed type"),
        ({"blocks": [{"type": "list", "items": [{"blocks": [{"type": "??"}]}]}]}, "unallowed type"),
        ({"blocks": [{"type": "paragraph", "text": ["a", {"type": "bold", "text": "b"}]}]}, None),
    ],
)
async def test_rich_messages_are_checked(bot: Bot, rich: dict[str, object], reason: str | None) -> None:
    if reason is None:
        assert (await call(bot, "sendRichMessage", chat_id=ADA.id, rich_message=rich))["message_id"]
        return
    with pytest.raises(BadRequest, match=rf"(?i){reason}"):
        await call(bot, "sendRichMessage", chat_id=ADA.id, rich_message=rich)


def test_blocks_within_blocks() -> None:
    assert blocks_of("> quoted\n> ## more\n---\n1. x\n2. y") == [
        {
            "type": "blockquote",
            "blocks": [
                {"type": "paragraph", "text": "quoted"},
                {"type": "heading", "text": "more", "size": 2},
            ],
        },
        {"type": "divider"},
        {
            "type": "list",
            "items": [
                {"label": "1.", "blocks": [{"type": "paragraph", "text": "x"}]},
                {"label": "2.", "blocks": [{"type": "paragraph", "text": "y"}]},
            ],
        },
    ]
    assert blocks_of("```\nnever closed") == [{"type": "pre", "text": "never closed"}]


@pytest.mark.parametrize("method", ["sendRichMessage", "sendRichMessageDraft", "deleteEphemeralMessage"])
async def test_an_older_server_does_not_know_the_methods(connect: Connect, clock: Clock, method: str) -> None:
    async with TelegramEmulator([GATE], clock=clock, api_version=(10, 0)) as emulator:
        bot = await connect(emulator)
        with pytest.raises(EndPointNotFound):
            await call(bot, method, chat_id=ADA.id, rich_message={"markdown": "x"})


async def test_an_older_server_shows_everybody_what_was_meant_for_one(connect: Connect, clock: Clock) -> None:
    async with TelegramEmulator([GATE], clock=clock, api_version=(10, 1)) as emulator:
        emulator.say("/go", chat_id=GROUP)
        bot: Bot = await connect(emulator)
        sent = await bot.send_message(GROUP, "psst", api_kwargs={"receiver_user_id": ADA.id})
        assert sent.message_id > 0 and emulator.messages(GROUP)[-1].text == "psst"
        with pytest.raises(BadRequest, match=r"(?i)non-empty"):
            await call(bot, "sendRichMessage", chat_id=GROUP, rich_message={"blocks": [{"type": "divider"}]})


def only_for(user: User, **more: object) -> dict[str, Any]:
    return {"ephemeral_message_parameters": {"receiver_user_id": user.id, **more}}


async def test_an_administrator_writes_to_one_member(
    bot: Bot, emulator: TelegramEmulator, http: ClientSession
) -> None:
    emulator.set_bot_role(GROUP, "administrator")
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
    before = len(emulator.messages(GROUP))
    sent = await bot.send_message(GROUP, "Really?", reply_markup=keys, api_kwargs=only_for(BO))
    ephemeral_id = sent.api_kwargs["ephemeral_message_id"]
    assert (sent.message_id, sent.api_kwargs["receiver_user"]["id"]) == (0, BO.id)
    assert len(emulator.messages(GROUP)) == before
    (message,) = emulator.ephemeral_messages(GROUP)
    assert (message.text, message.ephemeral_to) == ("Really?", BO)
    with pytest.raises(ControlError, match="does not see"):
        emulator.press(GROUP, 0, "y", user=ADA, ephemeral_message_id=ephemeral_id)
    emulator.press(GROUP, 0, "y", user=BO, ephemeral_message_id=ephemeral_id)
    query = (await bot.get_updates())[-1].callback_query
    assert query is not None and query.message is not None
    assert query.message.api_kwargs["ephemeral_message_id"] == ephemeral_id  # type: ignore[attr-defined]
    ids = {"chat_id": GROUP, "receiver_user_id": BO.id, "ephemeral_message_id": ephemeral_id}
    assert await call(bot, "editEphemeralMessageText", **ids, text="Done") is True
    assert (message.text, message.keyboard, message.edits[0].text) == ("Done", None, "Really?")
    async with http.get(f"{emulator.url}/control/chats/{GROUP}/messages") as answer:
        shown = (await answer.json())[-1]
    assert (shown["ephemeral_to"]["id"], shown["text"], shown["message_id"]) == (BO.id, "Done", 0)
    with pytest.raises(BadRequest, match=r"(?i)message_id_invalid"):
        await call(bot, "editEphemeralMessageText", **{**ids, "receiver_user_id": ADA.id}, text="x")
    assert await call(bot, "deleteEphemeralMessage", **ids) is True
    with pytest.raises(BadRequest, match=r"(?i)message_id_invalid"):
        await call(bot, "deleteEphemeralMessage", **ids)


async def test_other_bots_answer_a_pressed_button_within_seconds(
    bot: Bot, emulator: TelegramEmulator, clock: Clock
) -> None:
    keys = InlineKeyboardMarkup([[InlineKeyboardButton("Ask", callback_data="a")]])
    card = await bot.send_message(GROUP, "card", reply_markup=keys)
    with pytest.raises(BadRequest, match=r"(?i)bot_not_admin"):
        await bot.send_message(GROUP, "psst", api_kwargs=only_for(BO))
    query_id = emulator.press(GROUP, card.message_id, "a", user=BO)
    with pytest.raises(BadRequest, match=r"(?i)bot_not_admin"):
        await bot.send_message(GROUP, "psst", api_kwargs=only_for(ADA, callback_query_id=query_id))
    clock.now += 15
    await bot.send_message(GROUP, "psst", api_kwargs=only_for(BO, callback_query_id=query_id))
    await bot.send_document(GROUP, b"x", api_kwargs=only_for(BO, callback_query_id=query_id))
    clock.now += 1
    with pytest.raises(BadRequest, match=r"(?i)bot_not_admin"):
        await bot.send_message(GROUP, "psst", api_kwargs=only_for(BO, callback_query_id=query_id))
    assert [message.ephemeral_to for message in emulator.ephemeral_messages(GROUP)] == [BO, BO]


async def test_ephemeral_commands_are_answered_likewise(bot: Bot, emulator: TelegramEmulator) -> None:
    said = emulator.say("/secret", chat_id=GROUP, user=BO, is_ephemeral=True)
    update = (await bot.get_updates())[-1]
    assert update.message is not None and update.message.message_id == 0
    assert update.message.api_kwargs["ephemeral_message_id"] == said.ephemeral_message_id
    reply = json.dumps({"ephemeral_message_id": said.ephemeral_message_id})
    await bot.send_message(GROUP, "psst", api_kwargs={**only_for(BO), "reply_parameters": reply})
    assert len(emulator.ephemeral_messages(GROUP)) == 2
    with pytest.raises(BadRequest, match=r"(?i)must be ephemeral"):
        await bot.send_message(GROUP, "loud", api_kwargs={"reply_parameters": reply})


@pytest.mark.parametrize(
    ("chat_id", "receiver", "reason"),
    [
        (ADA.id, ADA, "bot_not_admin"),
        (GROUP, User(GATE.id, "x"), "user_is_bot"),
        (GROUP, User(9, "x"), "user_not"),
    ],
)
async def test_whispers_need_a_group_and_a_member(
    bot: Bot, emulator: TelegramEmulator, chat_id: int, receiver: User, reason: str
) -> None:
    emulator.set_bot_role(GROUP, "administrator")
    with pytest.raises(BadRequest, match=rf"(?i){reason}"):
        await bot.send_message(chat_id, "psst", api_kwargs=only_for(receiver))


async def test_the_form_of_10_2_and_of_10_3(bot: Bot, connect: Connect, clock: Clock) -> None:
    with pytest.raises(BadRequest, match="not emulated yet"):
        await bot.send_message(GROUP, "psst", api_kwargs={"receiver_user_id": BO.id})
    async with TelegramEmulator(
        [GATE], clock=clock, flood_limits=NO_FLOOD_LIMITS, api_version=(10, 2)
    ) as emulator:
        emulator.add_bot(GROUP, by=BO)
        emulator.set_bot_role(GROUP, "administrator", by=BO)
        older: Bot = await connect(emulator)
        both = {**only_for(BO), "receiver_user_id": BO.id}
        assert (await older.send_message(GROUP, "psst", api_kwargs=both)).message_id == 0
        (message,) = emulator.ephemeral_messages(GROUP)
        assert message.ephemeral_to == BO
