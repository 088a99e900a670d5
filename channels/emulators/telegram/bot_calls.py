"""What a bot may do to messages, and the reasons for which the network refuses it.

Pure: each call either changes the world or raises Refusal and changed nothing. Arguments arrive checked for
their form; `methods.py` reads them from the wire.
"""

from dataclasses import dataclass

from channels.emulators.telegram.records import BotAccount, Chat, Json, Message
from channels.emulators.telegram.refusals import (
    NOT_MODIFIED,
    QUERY_TOO_OLD,
    bad_request,
    too_many_requests,
)
from channels.emulators.telegram.texts import checked_text, utf16_length
from channels.emulators.telegram.world import CALLBACK_LIFE_S, World

# https://core.telegram.org/bots/api#deletemessage: "less than 48 hours ago".
DELETE_WINDOW_S = 48 * 3600
# https://core.telegram.org/bots/api#answercallbackquery: "0-200 characters".
CALLBACK_ANSWER_MAX_UTF16 = 200
# The general topic of a forum has this id and must be left out when sending (Client::check_message_topic).
GENERAL_TOPIC_ID = 1
# https://core.telegram.org/bots/api#reactiontypeemoji, Bot API 10.0.
REACTIONS = frozenset(
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤️\u200d🔥 🌚 🌭 💯 🤣 ⚡ "  # noqa: SIM905 (a list is 73 lines)
    "🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 "
    "🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷\u200d♂️ 🤷 🤷\u200d♀️ 😡".split()
)


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """The message a bot wants to reply to."""

    message_id: int
    may_be_missing: bool = False


def chat_for(world: World, bot: BotAccount, chat_id: int) -> Chat:
    """A chat the bot may write to: bots cannot write to people who never wrote to them."""
    chat = world.find_chat(chat_id, bot)
    if chat is None:
        raise bad_request("chat not found")
    return chat


def check_thread(chat: Chat, thread_id: int | None) -> int | None:
    """The topic to write into; outside forums groups ignore the argument, private chats refuse it."""
    if not thread_id:
        return None
    if chat.type == "private" or chat.is_forum:
        if thread_id == GENERAL_TOPIC_ID or thread_id not in chat.topics:
            raise bad_request("message thread not found")
        return thread_id
    return None


def send(
    world: World,
    bot: BotAccount,
    chat: Chat,
    text: str,
    entities: list[Json],
    *,
    thread_id: int | None,
    reply: ReplyTarget | None,
    keyboard: list[list[Json]] | None,
) -> Message:
    """Post a message as the bot."""
    thread_id = check_thread(chat, thread_id)
    reply_to = None
    if reply is not None:
        replied = chat.messages.get(reply.message_id)
        if replied is not None and replied.deleted_at is None:
            reply_to = replied.id
            # A reply without a topic goes where the message it answers is.
            thread_id = thread_id or replied.thread_id
        elif not reply.may_be_missing:
            raise bad_request("message to be replied not found")
    text, entities = checked_text(text, entities, "message is too long")
    _spend(world, bot, chat)
    return world.post(chat, bot, text, entities, thread_id=thread_id, reply_to=reply_to, keyboard=keyboard)


def edit_text(
    world: World,
    bot: BotAccount,
    chat: Chat,
    message_id: int,
    text: str,
    entities: list[Json],
    keyboard: list[list[Json]] | None,
) -> Message:
    """Replace text and keyboard of one of the bot's messages."""
    message = _own_message(bot, chat, message_id)
    # The server checks the length of edits elsewhere and answers with the bare code.
    text, entities = checked_text(text, entities, "MESSAGE_TOO_LONG")
    return _revise(world, bot, chat, message, text, entities, keyboard)


def edit_keyboard(
    world: World, bot: BotAccount, chat: Chat, message_id: int, keyboard: list[list[Json]] | None
) -> Message:
    """Replace only the keyboard."""
    message = _own_message(bot, chat, message_id)
    return _revise(world, bot, chat, message, message.text, message.entities, keyboard)


def delete(world: World, bot: BotAccount, chat: Chat, message_id: int) -> None:
    """Delete the bot's own messages anywhere and anybody's in a private chat, while they are young."""
    message = _visible_message(chat, message_id, "message to delete not found")
    is_own = message.sender is bot or chat.type == "private"
    if not is_own or world.now() - message.at >= DELETE_WINDOW_S:
        raise bad_request("message can't be deleted")
    world.remove(chat, message)


def react(world: World, bot: BotAccount, chat: Chat, message_id: int, emoji: list[str]) -> None:
    """Set the bot's reaction, or take it away. Idempotent."""
    message = _visible_message(chat, message_id, "message to react not found")
    if len(emoji) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    if any(one not in REACTIONS for one in emoji):
        raise bad_request("REACTION_INVALID")
    if emoji:
        message.reactions[bot.id] = emoji
    else:
        message.reactions.pop(bot.id, None)
    world.note("reaction", chat, {"message_id": message.id, "by": bot.id, "emoji": emoji})


def answer_callback(world: World, bot: BotAccount, query_id: str, text: str, show_alert: bool) -> None:
    """Answer a pressed button, once and in time."""
    if utf16_length(text) > CALLBACK_ANSWER_MAX_UTF16:
        raise bad_request("MESSAGE_TOO_LONG")
    query = world.callbacks.get(query_id)
    if query is None or query.bot_id != bot.id or query.is_answered:
        raise bad_request(QUERY_TOO_OLD)
    if world.now() - query.at > CALLBACK_LIFE_S:
        raise bad_request(QUERY_TOO_OLD)
    query.is_answered = True
    query.answer = text
    world.note(
        "answered", query.chat, {"callback_query_id": query_id, "text": text, "show_alert": show_alert}
    )


def _revise(
    world: World,
    bot: BotAccount,
    chat: Chat,
    message: Message,
    text: str,
    entities: list[Json],
    keyboard: list[list[Json]] | None,
) -> Message:
    if (text, entities, keyboard) == (message.text, message.entities, message.keyboard):
        raise bad_request(NOT_MODIFIED)
    _spend(world, bot, chat)
    world.revise(chat, message, text, entities, keyboard)
    return message


def _own_message(bot: BotAccount, chat: Chat, message_id: int) -> Message:
    message = _visible_message(chat, message_id, "message to edit not found")
    if message.sender is not bot:
        raise bad_request("message can't be edited")
    return message


def _visible_message(chat: Chat, message_id: int, missing: str) -> Message:
    message = chat.messages.get(message_id)
    if message is None or message.deleted_at is not None:
        raise bad_request(missing)
    return message


def _spend(world: World, bot: BotAccount, chat: Chat) -> None:
    wait_s = world.flood.spend(bot.id, chat.id, chat.type == "private", world.now())
    if wait_s > 0:
        raise too_many_requests(wait_s)
