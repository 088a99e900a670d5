"""What a bot may do to messages, and the reasons for which the network refuses it.

Pure: each call either changes the world or raises Refusal and changed nothing. Arguments arrive checked for
their form; the `*_methods.py` read them from the wire. Topics are in `topics.py`, drafts in `drafts.py`,
messages for one person's eyes in `ephemeral.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from channels.emulators.telegram.records import BotAccount, Chat, Content, Json, Message
from channels.emulators.telegram.refusals import (
    NOT_MODIFIED,
    QUERY_TOO_OLD,
    Refusal,
    bad_request,
    too_many_requests,
)
from channels.emulators.telegram.texts import utf16_length
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
    """The message a bot wants to reply to; `ephemeral_id` is one that only the bot and a person saw."""

    message_id: int
    may_be_missing: bool = False
    ephemeral_id: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a message goes, and what hangs below it."""

    thread_id: int | None = None
    reply: ReplyTarget | None = None
    keyboard: list[list[Json]] | None = None


def chat_for(world: World, bot: BotAccount, chat_id: int, *, writes: bool = True) -> Chat:
    """A chat the bot may write to (or only read): bots cannot write to people who never wrote to them."""
    chat = world.find_chat(chat_id, bot)
    if chat is None:
        raise bad_request("chat not found")
    if chat.migrated_to is not None and writes:
        text = "Bad Request: group chat was upgraded to a supergroup chat"
        raise Refusal(400, text, {"migrate_to_chat_id": chat.migrated_to})
    role = chat.role_of(bot.id)
    if chat.type == "private" and role == "kicked":
        if writes:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
    elif role == "kicked":
        raise Refusal(403, f"Forbidden: bot was kicked from the {chat.type} chat")
    elif role == "left":
        raise Refusal(403, f"Forbidden: bot is not a member of the {chat.type} chat")
    return chat


def check_thread(bot: BotAccount, chat: Chat, thread_id: int | None) -> int | None:
    """The topic to write into; outside forums groups ignore the argument, private chats refuse it."""
    if not thread_id:
        return None
    if chat.type == "private" or chat.is_forum:
        topic = chat.topics.get(thread_id)
        if thread_id == GENERAL_TOPIC_ID or topic is None:
            raise bad_request("message thread not found")
        if topic.is_closed and not chat.is_admin(bot.id):
            raise bad_request("TOPIC_CLOSED")
        return thread_id
    return None


def send(world: World, bot: BotAccount, chat: Chat, content: Content, placement: Placement) -> Message:
    """Post a message as the bot; its draft in the room is gone with that."""
    (message,) = send_all(world, bot, chat, [content], placement)
    return message


def send_all(
    world: World,
    bot: BotAccount,
    chat: Chat,
    contents: Sequence[Content],
    placement: Placement,
    media_group_id: str | None = None,
) -> list[Message]:
    """Post messages that belong together; all or none."""
    thread_id = check_thread(bot, chat, placement.thread_id)
    reply_to = None
    if placement.reply is not None:
        replied = chat.messages.get(placement.reply.message_id)
        if replied is not None and replied.deleted_at is None:
            reply_to = replied.id
            # A reply without a topic goes where the message it answers is.
            thread_id = thread_id or replied.thread_id
        elif not placement.reply.may_be_missing:
            raise bad_request("message to be replied not found")
    for _ in contents:
        spend(world, bot, chat)
    chat.drafts.pop(bot.id, None)
    return [
        world.post(
            chat,
            bot,
            content,
            thread_id=thread_id,
            reply_to=reply_to,
            keyboard=placement.keyboard,
            media_group_id=media_group_id,
        )
        for content in contents
    ]


def edit_content(
    world: World,
    bot: BotAccount,
    chat: Chat,
    message_id: int,
    content: Content,
    keyboard: list[list[Json]] | None,
) -> Message:
    """Replace what one of the bot's messages shows, and its keyboard."""
    return _revise(world, bot, chat, own_message(bot, chat, message_id), content, keyboard)


def edit_keyboard(
    world: World, bot: BotAccount, chat: Chat, message_id: int, keyboard: list[list[Json]] | None
) -> Message:
    """Replace only the keyboard."""
    message = own_message(bot, chat, message_id)
    return _revise(world, bot, chat, message, message.content, keyboard)


def delete(world: World, bot: BotAccount, chat: Chat, message_id: int) -> None:
    """Delete the bot's own messages anywhere, anybody's in a private chat or as an administrator."""
    message = visible_message(chat, message_id, "message to delete not found")
    if not _is_deletable(world, bot, chat, message):
        raise bad_request("message can't be deleted")
    world.remove(chat, message)


def delete_all(world: World, bot: BotAccount, chat: Chat, message_ids: Sequence[int]) -> None:
    """Delete many; those that are not there are skipped, as the documentation says. One that may not be
    deleted refuses the call before anything happened."""
    found = [chat.messages[one] for one in dict.fromkeys(message_ids) if one in chat.messages]
    found = [message for message in found if message.deleted_at is None]
    if not all(_is_deletable(world, bot, chat, message) for message in found):
        raise bad_request("message can't be deleted")
    for message in found:
        world.remove(chat, message)


def react(world: World, bot: BotAccount, chat: Chat, message_id: int, emoji: list[str]) -> None:
    """Set the bot's reaction, or take it away. Idempotent."""
    message = visible_message(chat, message_id, "message to react not found")
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


def own_message(bot: BotAccount, chat: Chat, message_id: int) -> Message:
    """A message the bot may edit. Raises Refusal."""
    message = visible_message(chat, message_id, "message to edit not found")
    if message.sender is not bot or message.service is not None:
        raise bad_request("message can't be edited")
    return message


def visible_message(chat: Chat, message_id: int, missing: str) -> Message:
    """A message that is still there. Raises Refusal."""
    message = chat.messages.get(message_id)
    if message is None or message.deleted_at is not None:
        raise bad_request(missing)
    return message


def spend(world: World, bot: BotAccount, chat: Chat) -> None:
    """Count a message or an edit against the flood limits. Raises Refusal 429."""
    wait_s = world.flood.spend(bot.id, chat.id, chat.type == "private", world.now())
    if wait_s > 0:
        raise too_many_requests(wait_s)


def _revise(
    world: World,
    bot: BotAccount,
    chat: Chat,
    message: Message,
    content: Content,
    keyboard: list[list[Json]] | None,
) -> Message:
    if (content, keyboard) == (message.content, message.keyboard):
        raise bad_request(NOT_MODIFIED)
    spend(world, bot, chat)
    world.revise(chat, message, content, keyboard)
    return message


def _is_deletable(world: World, bot: BotAccount, chat: Chat, message: Message) -> bool:
    if chat.is_admin(bot.id):
        return True
    is_own = message.sender is bot or chat.type == "private"
    return is_own and world.now() - message.at < DELETE_WINDOW_S
