"""What people do: write, edit, press a button, open a topic. The control side and tests call these.

Pure. Decides which bots get to see a message, as the network does for bots in privacy mode.
"""

from dataclasses import dataclass

from channels.emulators.errors import ControlError
from channels.emulators.telegram.keyboards import has_button
from channels.emulators.telegram.records import BotAccount, CallbackQuery, Chat, ChatType, Json, Message, User
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.texts import checked_text, entity_texts
from channels.emulators.telegram.wire import message_to_wire, user_to_wire
from channels.emulators.telegram.world import CALLBACK_LIFE_S, SUPERGROUP_ID_MAX, World


@dataclass(frozen=True, slots=True)
class Said:
    """What came of it: `update_id` is None when the bot does not get to see the message."""

    message_id: int
    update_id: int | None


@dataclass(frozen=True, slots=True)
class Words:
    """Something a person writes, and where."""

    text: str
    user: User
    chat_id: int
    chat_type: ChatType | None = None
    chat_title: str | None = None
    reply_to: int | None = None
    message_thread_id: int | None = None


def say(world: World, bot: BotAccount, words: Words) -> Said:
    """Write a message; makes the chat, the person and the topic when they are new. Raises ControlError."""
    kind = words.chat_type or _type_of(words.chat_id)
    if (kind == "private") != (words.chat_id > 0):
        raise ControlError("private chats have positive ids, groups negative ones")
    if (kind == "supergroup") != (words.chat_id <= SUPERGROUP_ID_MAX):
        raise ControlError(f"supergroup ids are {SUPERGROUP_ID_MAX} and below, basic group ids above that")
    if kind == "private" and words.chat_id != words.user.id:
        raise ControlError("a private chat has the id of its user")
    if words.message_thread_id is not None and kind != "supergroup":
        raise ControlError("only a supergroup has topics")
    text, entities = _checked(words.text)
    chat = world.open_chat(words.chat_id, bot, kind, words.chat_title, words.user)
    if words.reply_to is not None:
        live_message(chat, words.reply_to)
    chat.members[words.user.id] = words.user
    thread_id = words.message_thread_id
    if thread_id is not None and thread_id not in chat.topics:
        world.create_topic(chat, words.user, f"Topic {thread_id}", thread_id)
    message = world.post(chat, words.user, text, entities, thread_id=thread_id, reply_to=words.reply_to)
    update_id = None
    for one in chat.bots.values():
        if reaches(one, chat, message):
            delivered = world.deliver_message(one, "message", chat, message)
            update_id = delivered if one is bot else update_id
    return Said(message.id, update_id)


def edit(world: World, bot: BotAccount, chat_id: int, message_id: int, text: str) -> int | None:
    """A person edits their own message. Returns the update id. Raises ControlError."""
    chat = chat_of(world, bot, chat_id)
    message = live_message(chat, message_id)
    if isinstance(message.sender, BotAccount) or message.topic_created is not None:
        raise ControlError("people edit only their own messages")
    cleaned, entities = _checked(text)
    if (cleaned, entities) == (message.text, message.entities):
        raise ControlError("the message says that already")
    world.revise(chat, message, cleaned, entities, None)
    update_id = None
    for one in chat.bots.values():
        if reaches(one, chat, message):
            delivered = world.deliver_message(one, "edited_message", chat, message)
            update_id = delivered if one is bot else update_id
    return update_id


def press(
    world: World, bot: BotAccount, chat_id: int, message_id: int, callback_data: str, user: User
) -> CallbackQuery:
    """Press a button of a bot's message. Raises ControlError when it is not there."""
    chat = chat_of(world, bot, chat_id)
    message = live_message(chat, message_id)
    if not isinstance(message.sender, BotAccount) or not has_button(message.keyboard, callback_data):
        raise ControlError("there is no such button")
    chat.members[user.id] = user
    now = world.now()
    query = CallbackQuery(str(9_000_000_000 + len(world.callbacks)), message.sender.id, chat, now)
    world.callbacks[query.id] = query
    payload: Json = {
        "id": query.id,
        "from": user_to_wire(user),
        "message": message_to_wire(chat, message),
        "chat_instance": str(abs(chat.id)),
        "data": callback_data,
    }
    world.queues[message.sender.id].push("callback_query", payload, now + CALLBACK_LIFE_S)
    world.note("pressed", chat, {"message_id": message.id, "data": callback_data, "user_id": user.id})
    return query


def reaches(bot: BotAccount, chat: Chat, message: Message) -> bool:
    """Whether a bot gets to see what a person wrote (https://core.telegram.org/bots/features#privacy-mode).

    In privacy mode: commands for it (or for nobody in particular when it is the only bot or spoke last),
    mentions of it and replies to it.
    """
    if chat.type == "private" or not bot.privacy_mode:
        return True
    handle = f"@{bot.username}".lower()
    for command in entity_texts(message.text, message.entities, "bot_command"):
        addressee = command.lower().partition("@")[2]
        if f"@{addressee}" == handle:
            return True
        if not addressee and (len(chat.bots) == 1 or chat.last_bot_id == bot.id):
            return True
    if handle in (one.lower() for one in entity_texts(message.text, message.entities, "mention")):
        return True
    replied = chat.messages.get(message.reply_to or 0)
    return replied is not None and replied.sender is bot


def chat_of(world: World, bot: BotAccount, chat_id: int) -> Chat:
    """The chat a request names. Raises ControlError."""
    chat = world.find_chat(chat_id, bot)
    if chat is None:
        raise ControlError(f"no chat {chat_id} with {bot.username}")
    return chat


def live_message(chat: Chat, message_id: int) -> Message:
    """A message that people can still see. Raises ControlError."""
    message = chat.messages.get(message_id)
    if message is None or message.deleted_at is not None:
        raise ControlError(f"no message {message_id} in chat {chat.id}")
    return message


def _type_of(chat_id: int) -> ChatType:
    if chat_id > 0:
        return "private"
    return "supergroup" if chat_id <= SUPERGROUP_ID_MAX else "group"


def _checked(text: str) -> tuple[str, list[Json]]:
    try:
        return checked_text(text, [], "message is too long")
    except Refusal as refusal:
        raise ControlError(refusal.description) from None
