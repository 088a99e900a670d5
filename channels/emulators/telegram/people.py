"""What people do: write, send files, edit, delete, press a button, react. The control side and tests call these.

Pure. Decides which bots get to see a message, as the network does for bots in privacy mode. Who is in a room
is `rooms.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from channels.emulators.errors import ControlError
from channels.emulators.telegram.bot_calls import REACTIONS
from channels.emulators.telegram.keyboards import has_button
from channels.emulators.telegram.records import (
    BotAccount,
    CallbackQuery,
    Chat,
    ChatType,
    Content,
    Json,
    Message,
    User,
)
from channels.emulators.telegram.refusals import Refusal
from channels.emulators.telegram.rooms import kind_of, open_topic
from channels.emulators.telegram.texts import checked_caption, checked_text, entity_texts
from channels.emulators.telegram.wire import chat_to_wire, reactions_to_wire, user_to_wire
from channels.emulators.telegram.world import CALLBACK_LIFE_S, MESSAGE_UPDATE_LIFE_S, SUPERGROUP_ID_MAX, World


@dataclass(frozen=True, slots=True)
class Said:
    """What came of it: `update_id` is None when the bot does not get to see the message.

    An ephemeral message has the message id 0 and an id of its own.
    """

    message_id: int
    update_id: int | None
    ephemeral_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """Something a person writes, and where. `is_ephemeral`: a command that only this bot gets to see."""

    text: str
    user: User
    chat_id: int
    chat_type: ChatType | None = None
    chat_title: str | None = None
    reply_to: int | None = None
    message_thread_id: int | None = None
    is_ephemeral: bool = False


def say(world: World, bot: BotAccount, words: Words) -> Said:
    """Write a message; makes the chat, the person and the topic when they are new. Raises ControlError."""
    content = Content(*_checked(words.text))
    chat, thread_id = _place(world, bot, words)
    if words.is_ephemeral:
        return _whisper(world, bot, chat, words, content)
    message = world.post(chat, words.user, content, thread_id=thread_id, reply_to=words.reply_to)
    return Said(message.id, _tell(world, bot, "message", chat, message))


def show(world: World, bot: BotAccount, words: Words, contents: Sequence[Content]) -> list[Said]:
    """Send files; several are an album. The captions are in the contents. Raises ControlError."""
    chat, thread_id = _place(world, bot, words)
    group_id = world.new_group_id() if len(contents) > 1 else None
    said = []
    for content in contents:
        message = world.post(
            chat,
            words.user,
            content,
            thread_id=thread_id,
            reply_to=words.reply_to,
            media_group_id=group_id,
        )
        said.append(Said(message.id, _tell(world, bot, "message", chat, message)))
    return said


def edit(world: World, bot: BotAccount, chat_id: int, message_id: int, text: str) -> int | None:
    """A person edits a text or a caption of theirs. Returns the update id. Raises ControlError."""
    chat = chat_of(world, bot, chat_id)
    message = live_message(chat, message_id)
    if isinstance(message.sender, BotAccount) or message.service is not None:
        raise ControlError("people edit only their own messages")
    old = message.content
    content = Content(*_checked(text, checked_text if old.media is None else _caption), old.media)
    if content == old:
        raise ControlError("the message says that already")
    world.revise(chat, message, content, None)
    return _tell(world, bot, "edited_message", chat, message)


def delete(world: World, bot: BotAccount, chat_id: int, message_id: int) -> None:
    """Delete a message as a person. Bots are not told, as on the network. Raises ControlError."""
    chat = chat_of(world, bot, chat_id)
    world.remove(chat, live_message(chat, message_id))


def react(
    world: World, bot: BotAccount, chat_id: int, message_id: int, emoji: Sequence[str], user: User
) -> int | None:
    """Set a person's reactions; nothing takes them away. Returns the update id. Raises ControlError.

    Bots in private chats and administrator bots are told, when they asked for message_reaction.
    """
    chat = chat_of(world, bot, chat_id)
    message = live_message(chat, message_id)
    if any(one not in REACTIONS for one in emoji):
        raise ControlError("that is no reaction of the network")
    old = message.reactions.pop(user.id, [])
    if emoji:
        message.reactions[user.id] = list(emoji)
    chat.members[user.id] = user
    world.note("reaction", chat, {"message_id": message.id, "by": user.id, "emoji": list(emoji)})
    if old == list(emoji):
        return None
    payload: Json = {
        "chat": chat_to_wire(chat),
        "message_id": message.id,
        "user": user_to_wire(user),
        "date": int(world.now()),
        "old_reaction": reactions_to_wire(old),
        "new_reaction": reactions_to_wire(list(emoji)),
    }
    update_id = None
    for one in chat.bots.values():
        if chat.type == "private" or chat.is_admin(one.id):
            expires_at = world.now() + MESSAGE_UPDATE_LIFE_S
            delivered = world.queues[one.id].push("message_reaction", payload, expires_at)
            update_id = delivered if one is bot else update_id
    return update_id


def press(
    world: World,
    bot: BotAccount,
    chat_id: int,
    message_id: int,
    callback_data: str,
    user: User,
    ephemeral_message_id: int | None = None,
) -> CallbackQuery:
    """Press a button of a bot's message. Raises ControlError when it is not there."""
    chat = chat_of(world, bot, chat_id)
    if ephemeral_message_id is None:
        message = live_message(chat, message_id)
    else:
        message = _whispered_to(chat, ephemeral_message_id, user)
    if not isinstance(message.sender, BotAccount) or not has_button(message.keyboard, callback_data):
        raise ControlError("there is no such button")
    chat.members[user.id] = user
    now = world.now()
    query = CallbackQuery(str(9_000_000_000 + len(world.callbacks)), message.sender.id, chat, now, user.id)
    world.callbacks[query.id] = query
    payload: Json = {
        "id": query.id,
        "from": user_to_wire(user),
        "message": world.message_for(message.sender, chat, message),
        "chat_instance": str(abs(chat.id)),
        "data": callback_data,
    }
    world.queues[message.sender.id].push("callback_query", payload, now + CALLBACK_LIFE_S)
    world.note("pressed", chat, {"message_id": message.id, "data": callback_data, "user_id": user.id})
    return query


def reaches(bot: BotAccount, chat: Chat, message: Message) -> bool:
    """Whether a bot gets to see what a person wrote (https://core.telegram.org/bots/features#privacy-mode).

    In privacy mode: commands for it (or for nobody in particular when it is the only bot or spoke last),
    mentions of it and replies to it. An administrator sees everything.
    """
    if chat.type == "private" or not bot.privacy_mode or chat.is_admin(bot.id):
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


def _place(world: World, bot: BotAccount, words: Words) -> tuple[Chat, int | None]:
    """The room and the topic that words go to."""
    kind = words.chat_type or kind_of(words.chat_id)
    if (kind == "private") != (words.chat_id > 0):
        raise ControlError("private chats have positive ids, groups negative ones")
    if (kind == "supergroup") != (words.chat_id <= SUPERGROUP_ID_MAX):
        raise ControlError(f"supergroup ids are {SUPERGROUP_ID_MAX} and below, basic group ids above that")
    if kind == "private" and words.chat_id != words.user.id:
        raise ControlError("a private chat has the id of its user")
    thread_id = words.message_thread_id
    if thread_id is not None and not (kind == "supergroup" or (kind == "private" and bot.has_topics)):
        raise ControlError("only a supergroup has topics, and a private chat whose bot has them")
    known = world.find_chat(words.chat_id, bot)
    if known is not None and known.migrated_to is not None:
        raise ControlError(f"the group is chat {known.migrated_to} now")
    chat = world.open_chat(words.chat_id, bot, kind, words.chat_title, words.user)
    if words.reply_to is not None:
        live_message(chat, words.reply_to)
    chat.members[words.user.id] = words.user
    if chat.role_of(words.user.id) in ("left", "kicked"):
        del chat.roles[words.user.id]
    if thread_id is not None and thread_id not in chat.topics:
        if kind == "private":
            raise ControlError(f"no topic {thread_id} in this chat")
        open_topic(world, chat, words.user, f"Topic {thread_id}", thread_id)
    return chat, thread_id


def _tell(world: World, bot: BotAccount, kind: str, chat: Chat, message: Message) -> int | None:
    """Queue a person's message for the bots that get to see it; returns the update id of `bot`."""
    update_id = None
    for one in chat.bots.values():
        if reaches(one, chat, message):
            delivered = world.deliver_message(one, kind, chat, message)
            update_id = delivered if one is bot else update_id
    return update_id


def _whisper(world: World, bot: BotAccount, chat: Chat, words: Words, content: Content) -> Said:
    if chat.type == "private" or not content.text.startswith("/"):
        raise ControlError("people write ephemeral messages as commands in groups")
    message = world.post(chat, words.user, content, ephemeral_to=words.user)
    return Said(0, world.deliver_message(bot, "message", chat, message), message.ephemeral_id)


def _whispered_to(chat: Chat, ephemeral_id: int, user: User) -> Message:
    message = chat.ephemeral.get(ephemeral_id)
    if message is None or message.deleted_at is not None or message.ephemeral_to is None:
        raise ControlError(f"no ephemeral message {ephemeral_id} in chat {chat.id}")
    if message.ephemeral_to.id != user.id:
        raise ControlError(f"{user.first_name} does not see that message")
    return message


def _caption(text: str, entities: list[Json], too_long: str) -> tuple[str, list[Json]]:
    return checked_caption(text, entities)


def _checked(
    text: str, check: Callable[[str, list[Json], str], tuple[str, list[Json]]] = checked_text
) -> tuple[str, list[Json]]:
    try:
        return check(text, [], "message is too long")
    except Refusal as refusal:
        raise ControlError(refusal.description) from None
